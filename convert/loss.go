package convert

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// Reason is why the stored type is what it is, with the fallback if there is one.
func (s *Step) Reason() string {
	if s.Fallback == "" {
		return s.Why
	}
	return fmt.Sprintf("%s; %v instead: %s", s.Why, s.To.DType, s.Fallback)
}

// measures reports whether a step's numbers are looked at: in a plan that
// quantizes, those of all tensors of floating-point numbers and of blocks that
// change.
func (p *Plan) measures(s *Step) bool {
	if !p.Recipe.Quantizes() {
		return false
	}
	l, _ := s.From.DType.Layout()
	if l.Kind == tensor.Block {
		return s.To.DType != s.From.DType
	}
	_, err := quantize.NewQuantizer(s.To.DType, s.From.DType)
	return l.Kind == tensor.Float && err == nil
}

// pack writes unit i of a step that is measured.
func (w *worker) pack(i int, srcOff, srcLen, dstOff, dstLen int64) error {
	it := w.run.items[i]
	s := &w.run.plan.Steps[it.step]
	q, err := quantize.NewQuantizer(s.To.DType, s.From.DType)
	if err != nil {
		return err
	}
	w.src, w.dst = grow(w.src, srcLen), grow(w.dst, dstLen)
	if err := w.read(s.From, srcOff); err != nil {
		return err
	}
	m := q.Quantize(w.dst, w.src, s.columns(it.lo), &w.quantize)
	w.run.measures[i] = m
	if m.Overflows > 0 {
		w.run.overflow(it, w.src, m.Overflows)
	}
	return w.run.sinkOf(s).write(w.dst, dstOff)
}

// columns returns the importance of the columns of the matrix that element lo is in.
func (s *Step) columns(lo int64) []float32 {
	if s.importance == nil {
		return nil
	}
	row := int64(s.To.Shape.Row())
	at := lo / s.matrix() * row % int64(len(s.importance))
	return s.importance[at : at+row]
}

// matrix is the number of elements of one matrix of a stack.
func (s *Step) matrix() int64 {
	shape := s.To.Shape
	return int64(shape[len(shape)-2]) * int64(shape.Row())
}

// A Loss says how far a tensor is from its source.
type Loss struct {
	Tensor string       `json:"tensor"`
	DType  tensor.DType `json:"-"`
	// Squares is Σx² of the source's elements, Errors Σ(x−x̂)², x̂ being what the
	// stored bytes stand for. Sums are taken in units of work, added in order.
	Squares float64 `json:"squares"`
	Errors  float64 `json:"squared_error"`
}

// Relative returns ‖x−x̂‖₂/‖x‖₂, 0 for a tensor of zeros.
func (l Loss) Relative() float64 {
	if l.Squares == 0 {
		return 0
	}
	return math.Sqrt(l.Errors / l.Squares)
}

// TotalLoss adds up losses.
func TotalLoss(losses []Loss) (total Loss) {
	for _, l := range losses {
		total.Squares += l.Squares
		total.Errors += l.Errors
	}
	return total
}

// WorstLosses returns the n tensors of the greatest relative error, the greatest first.
func WorstLosses(losses []Loss, n int) []Loss {
	worst := slices.Clone(losses)
	slices.SortStableFunc(worst, func(a, b Loss) int {
		switch x, y := a.Relative(), b.Relative(); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return worst[:min(n, len(worst))]
}

// losses returns those of the tensors that became blocks.
func (r *run) losses() []Loss {
	var out []Loss
	at := -1
	for i, m := range r.measures {
		s := &r.plan.Steps[r.items[i].step]
		if l, _ := s.To.DType.Layout(); l.Kind != tensor.Block || s.To.DType == s.From.DType {
			continue
		}
		if at != r.items[i].step {
			at = r.items[i].step
			out = append(out, Loss{Tensor: s.To.Name, DType: s.To.DType})
		}
		last := &out[len(out)-1]
		last.Squares += m.Squares
		last.Errors += m.Errors
	}
	return out
}

// A NonFinite counts the elements of a tensor that are infinite or no numbers.
type NonFinite struct {
	Tensor string       `json:"tensor"`
	DType  tensor.DType `json:"-"` // stored
	Count  int64        `json:"count"`
	Row    int64        `json:"row"`    // of the first, counted through the whole tensor
	Column int64        `json:"column"` // of the first
}

// A NonFiniteError lists every tensor with such elements.
type NonFiniteError struct {
	Tensors []NonFinite
	// Blocks: some of them are stored in blocks, which cannot hold them.
	Blocks bool
}

// Error names each tensor with its count and first place.
func (e *NonFiniteError) Error() string {
	var b strings.Builder
	for i, n := range e.Tensors {
		if i == maxListed {
			fmt.Fprintf(&b, "\n  and %d more tensors", len(e.Tensors)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %d values, the first in row %d, column %d", n.Tensor, n.Count, n.Row, n.Column)
	}
	advice := "--allow-nonfinite keeps them"
	if e.Blocks {
		advice = "a quantized type cannot hold them: mend the source, or keep the tensor with --tensor-type NAME=f16 and --allow-nonfinite"
	}
	return fmt.Sprintf("%d tensors hold values that are infinite or no numbers; %s:%s", len(e.Tensors), advice, b.String())
}

// nonFinite lists those tensors in the order of the plan.
func (r *run) nonFinite() []NonFinite {
	var out []NonFinite
	at := -1
	for i, m := range r.measures {
		if m.NonFinite == 0 {
			continue
		}
		it := r.items[i]
		s := &r.plan.Steps[it.step]
		if at != it.step {
			at = it.step
			first, row := it.lo+int64(m.First), int64(s.To.Shape.Row())
			out = append(out, NonFinite{Tensor: s.To.Name, DType: s.To.DType, Row: first / row, Column: first % row})
		}
		out[len(out)-1].Count += int64(m.NonFinite)
	}
	return out
}

// refused returns the error of what was found and is not allowed.
func (r *run) refused(found []Overflow, odd []NonFinite, opt RunOptions) error {
	blocks := slices.ContainsFunc(odd, func(n NonFinite) bool {
		l, _ := n.DType.Layout()
		return l.Kind == tensor.Block
	})
	if len(odd) > 0 && (blocks || !opt.AllowNonFinite) {
		return &NonFiniteError{odd, blocks}
	}
	if len(found) > 0 && !opt.AllowOverflow {
		return &OverflowError{found}
	}
	return nil
}
