package quantize

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/smelt-project/smelt/tensor"
)

// An Option is one type that a tensor, or several that share a type, may be
// stored as.
type Option struct {
	DType tensor.DType
	Bytes int64   // in the file
	Error float64 // Σw·(x−x̂)², finite
}

// A Solution takes one option for each tensor.
type Solution struct {
	Options []int // index of the option of each tensor
	Bytes   int64
	Error   float64 // sum over the tensors
	// Bound is below or equal to the error of every choice within the limit.
	Bound float64
}

// A LimitError says that even the smallest options do not fit.
type LimitError struct{ Limit, Smallest int64 } // bytes

// Error says both sides.
func (e *LimitError) Error() string {
	return fmt.Sprintf("the smallest choice takes %d bytes, the limit is %d", e.Smallest, e.Limit)
}

// Solve chooses an option for each tensor so that their bytes together are at
// most limit and their error is small: along the lower convex hull of each
// tensor's options, always the step that takes away most error for a byte, and
// then whatever still fits. The error exceeds the least possible by less than
// that of the first step that does not fit. It fails with a LimitError, or if a
// tensor has no option.
func Solve(tensors [][]Option, limit int64) (*Solution, error) {
	s := &Solution{Options: make([]int, len(tensors))}
	var steps []step
	for i, options := range tensors {
		if len(options) == 0 {
			return nil, fmt.Errorf("tensor %d has no type to choose: %w", i, tensor.ErrUnsupported)
		}
		hull := lowerHull(options)
		s.Options[i] = hull[0]
		if s.Bytes > math.MaxInt64-options[hull[0]].Bytes {
			return nil, fmt.Errorf("%d tensors together: %w", len(tensors), tensor.ErrTooLarge)
		}
		s.Bytes += options[hull[0]].Bytes
		for k := 1; k < len(hull); k++ {
			steps = append(steps, newStep(options, i, hull[k-1], hull[k]))
		}
	}
	if s.Bytes > limit {
		return nil, &LimitError{limit, s.Bytes}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(b.slope, a.slope) })
	s.climb(tensors, steps, limit)
	s.fill(tensors, limit)
	s.Error = s.sum(tensors)
	s.Bound = min(s.Bound, s.Error)
	return s, nil
}

// A step replaces an option of a tensor by the next one on its hull.
type step struct {
	tensor, to int
	bytes      int64
	gain       float64 // error that it takes away
	slope      float64 // gain for a byte
}

func newStep(options []Option, i, from, to int) step {
	a, b := options[from], options[to]
	s := step{tensor: i, to: to, bytes: b.Bytes - a.Bytes, gain: a.Error - b.Error}
	s.slope = s.gain / max(float64(s.bytes), 1) // one that takes no byte more counts as one byte
	return s
}

// lowerHull returns the indices of the options on the lower convex hull of
// (Bytes, Error), from the smallest to that of the least error.
func lowerHull(options []Option) []int {
	order := make([]int, len(options))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(options[a].Bytes, options[b].Bytes), cmp.Compare(options[a].Error, options[b].Error))
	})
	hull := order[:1:1]
	for _, i := range order[1:] {
		if options[i].Error >= options[hull[len(hull)-1]].Error {
			continue
		}
		for n := len(hull); n > 1 && newStep(options, 0, hull[n-2], hull[n-1]).slope <= newStep(options, 0, hull[n-1], i).slope; n-- {
			hull = hull[:n-1]
		}
		hull = append(hull, i)
	}
	return hull
}

// climb takes the steps in order until one does not fit. Were that one
// divisible, its fitting part would make the choice the best of all, which
// bounds the others.
func (s *Solution) climb(tensors [][]Option, steps []step, limit int64) {
	for _, st := range steps {
		if st.bytes > limit-s.Bytes {
			s.Bound = max(0, s.sum(tensors)-float64(st.slope*float64(limit-s.Bytes)))
			return
		}
		s.Options[st.tensor] = st.to
		s.Bytes += st.bytes
	}
	s.Bound = s.sum(tensors)
}

// fill spends what is left on the options that take away most error for a
// byte, those off the hull too.
func (s *Solution) fill(tensors [][]Option, limit int64) {
	for {
		best := step{}
		for i, options := range tensors {
			for k := range options {
				st := newStep(options, i, s.Options[i], k)
				if st.gain > 0 && st.bytes <= limit-s.Bytes && st.slope > best.slope {
					best = st
				}
			}
		}
		if best.gain == 0 {
			return
		}
		s.Options[best.tensor] = best.to
		s.Bytes += best.bytes
	}
}

// sum adds up the errors in the order of the tensors.
func (s *Solution) sum(tensors [][]Option) (sum float64) {
	for i, options := range tensors {
		sum += options[s.Options[i]].Error
	}
	return sum
}
