package verify

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// maxSuspect bounds the elements of a tensor whose fault is looked for; of a
// larger one the first rows stand for all.
const maxSuspect = 1 << 25

// A suspect is a tensor whose values are not what they should be.
type suspect struct {
	*comparison
	v      *verifier
	x, y   []float32 // of the original and of the result, as many
	row    int       // elements of a row
	lo, hi int       // the differing elements, whole rows
	tol    float64   // relative error at which values count as equal, but for what their type loses
}

// A fault is a row of the catalogue: a known way in which conversions go wrong.
// explain returns the cause in words if the fault accounts for what was found,
// else "".
type fault struct {
	name    string
	explain func(ctx context.Context, s *suspect) (string, error)
}

// faults are tried in order: those that say most first.
var faults = []fault{
	{"a single bit", ofValues((*suspect).singleBit)},
	{"zeroed", ofValues((*suspect).zeroed)},
	{"another tensor", another},
	{"permuted heads", ofValues((*suspect).permutedHeads)},
	{"transposed", ofValues((*suspect).transposed)},
	{"wrong sign", ofValues((*suspect).wrongSign)},
	{"1 added or missing", ofValues((*suspect).constant)},
	{"rounding", ofValues((*suspect).rounded)},
	{"wrong scale", ofValues((*suspect).scaled)},
	{"other bytes", otherBytes},
	{"other blocks", otherBlocks},
	{"reversed", ofValues((*suspect).reversed)},
	{"split in the wrong order", ofValues((*suspect).splitOrder)},
	{"heads in another order", ofValues((*suspect).headOrder)},
	{"rows swapped", ofValues((*suspect).swappedRows)},
	{"shifted", ofValues((*suspect).shifted)},
	{"some elements", ofValues((*suspect).someElements)},
}

func ofValues(explain func(*suspect) string) func(context.Context, *suspect) (string, error) {
	return func(_ context.Context, s *suspect) (string, error) { return explain(s), nil }
}

// diagnose names what explains a failed comparison.
func (v *verifier) diagnose(ctx context.Context, c *comparison) (string, error) {
	if !c.numbers {
		return c.whereBytesDiffer(), nil
	}
	s, err := v.newSuspect(c)
	if err != nil {
		return "", err
	}
	for _, f := range faults {
		if err := ctx.Err(); err != nil {
			return "", context.Cause(ctx)
		}
		if cause, err := f.explain(ctx, s); cause != "" || err != nil {
			return cause, err
		}
	}
	return "", nil
}

func (c *comparison) whereBytesDiffer() string {
	return fmt.Sprintf("%d of %d bytes differ, from byte %d to %d of the tensor", c.difBytes, c.got.Size(), c.first, c.last)
}

func (v *verifier) newSuspect(c *comparison) (*suspect, error) {
	s := &suspect{comparison: c, v: v, row: c.want.Shape.Row()}
	n := c.elems
	if n > maxSuspect {
		n = max(maxSuspect/int64(s.row), 1) * int64(s.row)
	}
	var err error
	if s.x, err = numbers(c.want, n); err != nil {
		return nil, err
	}
	if s.y, err = numbers(c.got, n); err != nil {
		return nil, err
	}
	// Values that went through the type once more are √2 times as far off; the rest
	// is for faults that make values harder to hold.
	s.tol = max(2*c.own(), 1e-6)
	s.hi = len(s.x)
	if c.first >= 0 && !c.weighed && !c.other {
		l, _ := c.got.DType.Layout()
		first, last := int(c.first)/l.Bytes*l.Elems, (int(c.last)/l.Bytes+1)*l.Elems
		s.lo, s.hi = min(first/s.row*s.row, len(s.x)), min((last+s.row-1)/s.row*s.row, len(s.x))
	}
	return s, nil
}

// numbers decodes the first n elements of a tensor.
func numbers(t *tensor.Tensor, n int64) ([]float32, error) {
	codec, err := quantize.CodecOf(t.DType)
	if err != nil {
		return nil, err
	}
	_, size := span(t.DType, 0, n)
	b := make([]byte, size)
	if err := t.ReadFull(b, 0); err != nil {
		return nil, err
	}
	x := make([]float32, n)
	codec.Decode(x, b)
	return x, nil
}

// close reports whether h explains y.
func (s *suspect) close(h, y []float32) bool { return distance(h, y) <= s.tol }

// explains reports whether the value at i, for the differing rows, explains them.
func (s *suspect) explains(at func(i int) float32) bool { return s.explainsRange(s.lo, s.hi, at) }

// everywhere reports whether the value at i explains all elements.
func (s *suspect) everywhere(at func(i int) float32) bool {
	return len(s.x) > 0 && len(s.x)%s.row == 0 && s.explainsRange(0, len(s.x), at)
}

// A few elements tell most explanations that are none: their error is far over
// what the whole may have.
const (
	few    = 1 << 14
	tooFar = 4
)

func (s *suspect) explainsRange(lo, hi int, at func(i int) float32) bool {
	h := make([]float32, min(few, hi-lo))
	for i := range h {
		h[i] = at(lo + i)
	}
	if len(h) < hi-lo && distance(h, s.y[lo:lo+len(h)]) > tooFar*s.tol {
		return false
	}
	h = slices.Grow(h, hi-lo-len(h))
	for i := lo + len(h); i < hi; i++ {
		h = append(h, at(i))
	}
	return s.close(h, s.y[lo:hi])
}

// distance is ‖h−y‖₂/‖h‖₂; of pairs that are both no numbers nothing is counted.
func distance(h, y []float32) float64 {
	var s errorSums
	s.sum(h, y)
	return s.relative()
}

// where says which rows differ if not all do.
func (s *suspect) where() string {
	rows := len(s.x) / max(s.row, 1)
	lo, hi := s.lo/s.row, s.hi/s.row-1
	switch {
	case hi-lo+1 >= rows || rows < 2:
		return ""
	case lo == hi:
		return fmt.Sprintf(" in row %d", lo)
	}
	return fmt.Sprintf(" in rows %d to %d", lo, hi)
}

// same ends a sentence about the tensor: its name equals its source …
func (s *suspect) equalsSource() string { return s.got.Name + " equals its source" }

func (s *suspect) singleBit() string {
	if s.difBits != 1 || s.weighed || s.other {
		return ""
	}
	l, _ := s.got.DType.Layout()
	at := s.first / int64(l.Bytes) * int64(l.Elems)
	place := fmt.Sprintf("row %d, column %d", at/int64(s.row), at%int64(s.row))
	if l.Elems > 1 {
		place = "the block at " + place
	}
	return fmt.Sprintf("a single bit differs, in byte %d of the tensor (%s)", s.first, place)
}

// zeroed finds zeros in one run where the original has none, and the original's
// values around them.
func (s *suspect) zeroed() string {
	lo, hi := longestZeros(s.y[s.lo:s.hi])
	lo, hi = lo+s.lo, hi+s.lo
	var lost, all errorSums
	lost.sum(s.x[lo:hi], s.y[lo:hi])
	all.sum(s.x[s.lo:s.hi], s.y[s.lo:s.hi])
	if hi-lo < 2 || !(lost.ee > all.ee/2) {
		return "" // what differs is elsewhere
	}
	if !s.explains(func(i int) float32 {
		if i >= lo && i < hi {
			return 0
		}
		return s.x[i]
	}) {
		return ""
	}
	switch rows := len(s.x) / s.row; {
	case lo == 0 && hi == len(s.x):
		return "zeroed: every element is 0"
	case hi == len(s.x) && lo%s.row == 0 && rows > 1:
		return fmt.Sprintf("truncated: rows from %d on are 0", lo/s.row)
	case hi == len(s.x):
		return fmt.Sprintf("truncated: elements from %d on are 0", lo)
	}
	return fmt.Sprintf("zeroed: elements %d to %d are 0%s", lo, hi-1, s.where())
}

// longestZeros returns the longest run of zeros in y.
func longestZeros(y []float32) (lo, hi int) {
	start := 0
	for i, v := range y {
		if v != 0 {
			start = i + 1
		} else if i+1-start > hi-lo {
			lo, hi = start, i+1
		}
	}
	return lo, hi
}

func abs(x float32) float32 { return float32(math.Abs(float64(x))) }

func (s *suspect) wrongSign() string {
	if !s.explains(func(i int) float32 { return -s.x[i] }) {
		return ""
	}
	return s.equalsSource() + " with the wrong sign" + s.where()
}

func (s *suspect) constant() string {
	for _, c := range []struct {
		of   float32
		text string
	}{{1, "1 added"}, {-1, "1 missing"}} {
		if s.explains(func(i int) float32 { return s.x[i] + c.of }) {
			return s.equalsSource() + " with " + c.text + s.where()
		}
	}
	return ""
}

// scaled finds the factor of least squares.
func (s *suspect) scaled() string {
	var e errorSums
	e.sum(s.x[s.lo:s.hi], s.y[s.lo:s.hi])
	if !(e.xx > 0) || math.IsInf(e.ee, 0) {
		return ""
	}
	factor := e.xy / e.xx
	if factor == 0 || math.Abs(factor-1) <= 2*s.tol*s.tol || math.Abs(factor-1) < 1e-6 {
		return ""
	}
	if p := math.Exp2(math.Round(math.Log2(math.Abs(factor)))); math.Abs(math.Abs(factor)/p-1) <= s.tol { // most wrong scales are powers of two
		factor = math.Copysign(p, factor)
	}
	f := float32(factor)
	if f == 1 || !s.explains(func(i int) float32 { return f * s.x[i] }) {
		return ""
	}
	return fmt.Sprintf("scaled by %.4g%s", factor, s.where())
}

func (s *suspect) transposed() string {
	shape := s.want.Shape.Squeeze()
	if len(shape) != 2 || int64(len(s.x)) != s.elems {
		return ""
	}
	rows, cols := shape[0], shape[1]
	switch {
	case s.everywhere(func(i int) float32 { return s.x[i%rows*cols+i/rows] }):
		return "transposed"
	case s.everywhere(func(i int) float32 { return s.x[i%cols*rows+i/cols] }):
		return "transposed"
	}
	return ""
}

// someElements is the last resort: it says how much differs, and where.
func (s *suspect) someElements() string {
	l, _ := s.got.DType.Layout()
	switch {
	case s.weighed || s.other:
		return fmt.Sprintf("no known fault explains it; the cosine is %.4f, the worst block is at element %d", s.cosine(), s.worstAt)
	case s.hi-s.lo < len(s.x):
		return fmt.Sprintf("values differ%s, others are exact; no known fault explains them", s.where())
	case s.difBlocks*2 < s.blocks:
		return fmt.Sprintf("values differ in %d of %d blocks of %d, the first at element %d, others are exact; no known fault explains them",
			s.difBlocks, s.blocks, l.Elems, s.first/int64(l.Bytes)*int64(l.Elems))
	}
	return fmt.Sprintf("no known fault explains it: %d of %d bytes differ, the cosine is %.4f", s.difBytes, s.got.Size(), s.cosine())
}

// rounded tells values that are the original's, rounded otherwise: many of them,
// by no more than the type loses.
func (s *suspect) rounded() string {
	l, _ := s.got.DType.Layout()
	if l.Kind == tensor.Block || s.relative() > 2.1*s.own() || s.own() == 0 || s.maxE > 2.1*s.maxZ || s.difBlocks*10 < s.blocks {
		return ""
	}
	return "the values are the original's, but not rounded to nearest even"
}
