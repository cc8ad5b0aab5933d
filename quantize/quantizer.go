package quantize

import (
	"fmt"

	"github.com/smelt-project/smelt/tensor"
)

// A Quantizer changes the type of elements, weighed by importance if there is
// one, and measures what that does to them. It may be used concurrently.
//
// It sees the source as float32: F64 is rounded to that first. The bytes are
// those of quantizing a file in which the source is stored as F32, and as F16 or
// BF16 if it has that type.
type Quantizer struct {
	same     bool // the bytes stay
	from, to Codec
	layout   tensor.Layout // of the source
	sum      summing
}

// A Measure is what became of a run of elements. Its sums are the same on every
// platform.
type Measure struct {
	Overflows int     // finite elements that did not fit
	NonFinite int     // elements that are infinite or not a number
	First     int     // index in the run of the first of those
	Squares   float64 // Σx² of the others
	Errors    float64 // Σ(x−x̂)² of the others
}

// A Scratch is the memory of one goroutine that quantizes.
type Scratch struct{ x, y []float32 }

// NewQuantizer returns the quantizer from one type to another.
func NewQuantizer(to, from tensor.DType) (*Quantizer, error) {
	path, err := chosenPath()
	if err != nil {
		return nil, err
	}
	src, err := CodecOf(from)
	if err != nil {
		return nil, err
	}
	dst, err := CodecOf(to)
	if err != nil {
		return nil, err
	}
	if dst.Encode == nil && to != from {
		return nil, fmt.Errorf("writing %v: %w", to, tensor.ErrUnsupported)
	}
	l, _ := from.Layout()
	return &Quantizer{same: to == from, from: src, to: dst, layout: l, sum: path.summing()}, nil
}

// Quantize fills dst from src, the same elements in whole blocks. importance is
// that of the columns of a row, of whole rows then, or nil.
func (q *Quantizer) Quantize(dst, src []byte, importance []float32, s *Scratch) (m Measure) {
	n := len(src) / q.layout.Bytes * q.layout.Elems
	if cap(s.x) < n {
		s.x, s.y = make([]float32, n), make([]float32, n)
	}
	x, y := s.x[:n], s.y[:n]
	q.from.Decode(x, src)
	if q.same {
		copy(dst, src)
		m.compare(x, x, q.sum)
		return m
	}
	m.Overflows = q.to.Encode(dst, x, importance)
	q.to.Decode(y, dst)
	m.compare(x, y, q.sum)
	return m
}

// sumRun is how many elements are added up before looking whether one was not
// finite.
const sumRun = 1 << 12

// compare adds up the squares of the finite elements of x and of their
// differences to y.
func (m *Measure) compare(x, y []float32, sum summing) {
	var s sums
	for at := 0; at < len(x); at += sumRun {
		end := min(at+sumRun, len(x))
		before := s
		sum(&s, x[at:end], y[at:end])
		if !s.finite() {
			s = before
			m.addFinite(&s, x, y, at, end)
		}
	}
	m.Squares, m.Errors = total(&s.squares), total(&s.errors)
}

// addFinite adds those of the elements from at to end that are finite, and
// counts the others.
func (m *Measure) addFinite(s *sums, x, y []float32, at, end int) {
	for i := at; i < end; i++ {
		if v := x[i]; v-v == 0 {
			s.add(i%sumLanes, v, y[i])
			continue
		}
		if m.NonFinite == 0 {
			m.First = i
		}
		m.NonFinite++
	}
}
