package convert

import (
	"context"
	"math"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// sampleElems bounds the elements of a tensor that are measured for each type:
// whole rows at equal distances, one at least. Trying a dozen types on all rows
// would take a dozen times as long as writing the file; the rows of a matrix are
// much alike, so that the mean of some hundred tells the order of the types.
const sampleElems = 1 << 17

// A sample is some rows of the tensor of a step.
type sample struct {
	step  *Step
	rows  []int64 // ascending
	of    int64   // rows of the tensor
	src   []byte  // the rows, one after another
	scale float64 // of the error in the sample to that of the tensor
}

// newSample reads the sample of s.
func newSample(s *Step) (*sample, error) {
	n, err := s.To.Shape.Elems()
	if err != nil {
		return nil, err
	}
	row := int64(s.To.Shape.Row())
	m := &sample{step: s}
	if n == 0 {
		return m, nil
	}
	k, rowBytes := s.sampled()
	m.of = n / row
	m.src = make([]byte, k*rowBytes)
	for i := range k {
		at := i*(m.of/k) + i*(m.of%k)/k // i·of/k, without its overflow
		m.rows = append(m.rows, at)
		if err := s.From.ReadFull(m.src[i*rowBytes:(i+1)*rowBytes], at*rowBytes); err != nil {
			return nil, err
		}
	}
	m.scale = float64(m.of) / float64(k) / meanOf(s.importance)
	return m, nil
}

// sampled returns how many rows of a tensor that is not empty are measured, and
// what each takes in the source.
func (s *Step) sampled() (rows, rowBytes int64) {
	row := int64(s.To.Shape.Row())
	l, _ := s.From.DType.Layout()
	n, _ := s.To.Shape.Elems() // whoever plans has checked it
	return min(n/row, max(sampleElems/row, 1)), row / int64(l.Elems) * int64(l.Bytes)
}

// meanOf returns the mean of importances, 1 if there are none. Divided by it they
// say how much columns of one tensor count beside each other; between tensors
// every element counts alike, whether the matrix knows them or not.
func meanOf(importance []float32) float64 {
	var sum float64
	for _, w := range importance {
		sum += float64(w)
	}
	if !(sum > 0) {
		return 1
	}
	return sum / float64(len(importance))
}

// error returns the weighted squared error of the tensor as type d, estimated
// from the sample; ok is false if d cannot hold it.
func (m *sample) error(d tensor.DType, w *worker) (e float64, ok bool, err error) {
	q, err := quantize.NewQuantizer(d, m.step.From.DType)
	if err != nil {
		return 0, false, err
	}
	rowBytes := len(m.src) / max(len(m.rows), 1)
	row := int64(m.step.To.Shape.Row())
	for lo := 0; lo < len(m.rows); {
		columns := m.step.columns(m.rows[lo] * row)
		hi := lo + 1
		for hi < len(m.rows) && (columns == nil || &m.step.columns(m.rows[hi] * row)[0] == &columns[0]) {
			hi++
		}
		size, err := d.Bytes(tensor.Shape{hi - lo, int(row)})
		if err != nil {
			return 0, false, err
		}
		w.dst = grow(w.dst, size)
		part, ok := q.WeightedError(w.dst, m.src[lo*rowBytes:hi*rowBytes], columns, &w.quantize)
		if !ok {
			return 0, false, nil
		}
		e += part
		lo = hi
	}
	e *= m.scale
	return e, !math.IsInf(e, 0) && !math.IsNaN(e), nil
}

// sized returns the options of every free tensor without their errors: what its
// type may be if there are bits for a weight, with the size in the file.
func (p *Plan) sized(bits float64) ([][]quantize.Option, error) {
	options := make([][]quantize.Option, len(p.Steps))
	for i := range p.Steps {
		s := &p.Steps[i]
		if !s.free {
			continue
		}
		for _, d := range s.types(bits) {
			if !p.stores(d) {
				continue
			}
			n, err := d.Bytes(s.To.Shape)
			if err != nil {
				return nil, &tensor.Error{Op: "plan", Tensor: s.To.Name, Err: err}
			}
			options[i] = append(options[i], quantize.Option{DType: d, Bytes: p.Target.padded(p, n)})
		}
	}
	return options, nil
}

// types returns what may be tried for s: the type that it has, which takes no
// error, and the candidates.
func (s *Step) types(bits float64) []tensor.DType {
	weighed := quantize.Unweighed
	if s.importance != nil {
		weighed = quantize.Weighed
	}
	types := []tensor.DType{s.From.DType}
	for _, c := range quantize.Candidates(s.To.Shape.Row(), bits, weighed) {
		if c.DType != s.From.DType {
			types = append(types, c.DType)
		}
	}
	return types
}

// measure returns options with their errors, without those that do not hold
// their tensor.
func (p *Plan) measure(ctx context.Context, options [][]quantize.Option, workers int) ([][]quantize.Option, error) {
	measured := make([][]quantize.Option, len(options))
	progress := p.measuring(options)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i := range options {
		if len(options[i]) == 0 {
			continue
		}
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			measured[i], err = p.Steps[i].measure(options[i], progress)
			return err
		})
	}
	return measured, g.Wait()
}

// measuring begins to tell how much of the options is measured, and returns what
// goes on.
func (p *Plan) measuring(options [][]quantize.Option) func(n int64) {
	var total int64
	var done atomic.Int64
	for i := range options {
		if len(options[i]) > 0 && p.Steps[i].From.Size() > 0 {
			rows, rowBytes := p.Steps[i].sampled()
			total += rows * rowBytes * int64(len(options[i]))
		}
	}
	tell := p.options.Progress
	if tell == nil {
		tell = func(_, _ int64) {}
	}
	tell(0, total)
	return func(n int64) { tell(done.Add(n), total) }
}

// measure tells progress the bytes of the source for each option.
func (s *Step) measure(options []quantize.Option, progress func(n int64)) (measured []quantize.Option, err error) {
	sampled, err := newSample(s)
	if err != nil {
		return nil, err
	}
	var w worker
	for _, o := range options {
		var ok bool
		if o.Error, ok, err = sampled.error(o.DType, &w); err != nil {
			return nil, err
		}
		if ok {
			measured = append(measured, o)
		}
		progress(int64(len(sampled.src)))
	}
	return measured, nil
}
