package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// permutedHeads finds rows in the order of the other convention of rotary
// embeddings: halves of a head against pairs.
func (s *suspect) permutedHeads() string {
	rows := len(s.x) / s.row
	if len(s.want.Shape.Squeeze()) == 1 {
		rows, s.row = len(s.x), 1
		defer func() { s.row = s.want.Shape.Row() }()
	}
	for _, heads := range s.v.headCounts() {
		if heads < 1 || rows%heads != 0 || rows/heads%2 != 0 || rows == heads {
			continue
		}
		dim := rows / heads
		half := dim / 2
		toPairs := func(r int) int { return r/dim*dim + r%2*half + r%dim/2 }
		toHalves := func(r int) int { return r/dim*dim + r%dim%half*2 + r%dim/half }
		for _, from := range []func(int) int{toPairs, toHalves} {
			if s.byRows(from) {
				return s.equalsSource() + " with rows permuted as for the other RoPE convention"
			}
		}
	}
	return ""
}

// headCounts lists the counts of heads that the original states.
func (v *verifier) headCounts() []int {
	var out []int
	for _, kv := range v.Canonical.Model.Meta.All() {
		if n, ok := tensor.AsInt(kv.Value); ok && strings.Contains(kv.Key, ".head_count") && !slices.Contains(out, int(n)) {
			out = append(out, int(n))
		}
	}
	return out
}

// byRows reports whether row r of the result is row from(r) of the original.
func (s *suspect) byRows(from func(r int) int) bool {
	return s.everywhere(func(i int) float32 { return s.x[from(i/s.row)*s.row+i%s.row] })
}

// reversed finds rows or columns the other way round.
func (s *suspect) reversed() string {
	rows := len(s.x) / s.row
	switch {
	case rows > 1 && s.byRows(func(r int) int { return rows - 1 - r }):
		return "rows in reverse"
	case s.row > 1 && s.everywhere(func(i int) float32 { return s.x[i-i%s.row+s.row-1-i%s.row] }):
		return "columns in reverse"
	}
	return ""
}

// headOrder finds whole heads in each other's place.
func (s *suspect) headOrder() string {
	rows := len(s.x) / s.row
	for _, heads := range s.v.headCounts() {
		if heads < 2 || rows%heads != 0 || rows == heads {
			continue
		}
		if from := s.blockOrder(heads); from != nil {
			var moved []int
			for h := range from {
				if from[h] != h {
					moved = append(moved, h)
				}
			}
			switch len(moved) {
			case 0, 1: // not a matter of order
				continue
			case 2:
				return fmt.Sprintf("heads %d and %d are swapped", moved[0], moved[1])
			}
			return fmt.Sprintf("heads in another order: %d of %d are not in their place", len(moved), heads)
		}
	}
	return ""
}

// blockOrder returns which of n equal parts of the original each part of the
// result is, its own if that is one, nil if one is none.
func (s *suspect) blockOrder(n int) []int {
	size := len(s.x) / n
	from := make([]int, n)
	for b := range n {
		y := s.y[b*size : (b+1)*size]
		if from[b] = b; s.close(s.x[b*size:(b+1)*size], y) {
			continue
		}
		from[b] = slices.IndexFunc(slices.Collect(slices.Chunk(s.x, size)), func(x []float32) bool {
			n := min(few, size)
			return distance(x[:n], y[:n]) <= tooFar*s.tol && s.close(x, y)
		})
		if from[b] < 0 {
			return nil
		}
	}
	return from
}

// splitOrder finds parts in another order than the original's: of a matrix that
// was split into two or three, of one that was joined from ranks, by rows or
// columns, one after another or one row of each in turn.
func (s *suspect) splitOrder() string {
	rows := len(s.x) / s.row
	for _, n := range []int{2, 3, 4, 8} {
		if rows%n == 0 && rows > n {
			part := rows / n
			for k := 1; k < n; k++ {
				if s.byRows(func(r int) int { return (r + k*part) % rows }) {
					return fmt.Sprintf("split in the wrong order: its %d parts of %d rows are %d places off", n, part, k)
				}
			}
			if s.byRows(func(r int) int { return r%n*part + r/n }) || s.byRows(func(r int) int { return r%part*n + r/part }) {
				return fmt.Sprintf("split in the wrong order: %d parts, one row of each in turn", n)
			}
			if s.byRows(func(r int) int { return (n-1-r/part)*part + r%part }) {
				return fmt.Sprintf("split in the wrong order: its %d parts of %d rows are the other way round", n, part)
			}
		}
		if s.row%n == 0 && s.row > n {
			part := s.row / n
			for k := 1; k < n; k++ {
				if s.everywhere(func(i int) float32 { return s.x[i-i%s.row+(i%s.row+k*part)%s.row] }) {
					return fmt.Sprintf("split in the wrong order: its %d parts of %d columns are %d places off", n, part, k)
				}
			}
		}
	}
	return ""
}

// swappedRows finds two rows that stand in each other's place.
func (s *suspect) swappedRows() string {
	a, b := s.lo/s.row, s.hi/s.row-1
	if a >= b {
		return ""
	}
	swapped := func(i int) float32 {
		switch i / s.row {
		case a:
			return s.x[b*s.row+i%s.row]
		case b:
			return s.x[a*s.row+i%s.row]
		}
		return s.x[i]
	}
	if !s.explains(swapped) {
		return ""
	}
	if s.row == 1 {
		return fmt.Sprintf("elements %d and %d are swapped", a, b)
	}
	return fmt.Sprintf("rows %d and %d are swapped", a, b)
}

// window is how many elements tell two places of a tensor apart.
const window = 32

// shifted finds the original's values at other places: by whole rows, or by
// elements as if the tensor began elsewhere.
func (s *suspect) shifted() string {
	n := len(s.x)
	if n < 4*window || len(s.y) != n {
		return ""
	}
	mid := (s.lo + s.hi) / 2 / window * window
	if mid+window > n {
		mid = n - window
	}
	for at := range n - window + 1 {
		if at == mid || !s.near(s.x[at:at+window], s.y[mid:mid+window]) {
			continue
		}
		by := mid - at
		lo, hi := max(0, by), min(n, n+by)
		if hi-lo < n/2 || distance(s.x[lo-by:hi-by], s.y[lo:hi]) > s.tol {
			continue
		}
		if by%s.row == 0 && s.row > 1 {
			return fmt.Sprintf("shifted by %d rows", by/s.row)
		}
		return fmt.Sprintf("shifted by %d elements", by)
	}
	return ""
}

// near compares windows, one element first.
func (s *suspect) near(h, y []float32) bool {
	if d := abs(h[0] - y[0]); float64(d) > 2*s.maxZ && float64(d) > 1e-5*float64(abs(h[0])) {
		return false
	}
	return distance(h, y) <= 2*s.tol
}

// another finds the tensor of the original whose values these are.
func another(ctx context.Context, s *suspect) (string, error) {
	for _, other := range s.v.Canonical.Model.Tensors() {
		if other.Name == s.want.Name || !other.Shape.Squeeze().Equal(s.want.Shape.Squeeze()) || unfit(other.DType, s.got.DType) != "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return "", context.Cause(ctx)
		}
		equal, err := s.equals(other)
		if err != nil {
			return "", err
		}
		if !equal {
			continue
		}
		if back, err := s.v.holds(ctx, s.want, other.Name); back || err != nil {
			return "swapped with " + other.Name, err
		}
		return "equals " + other.Name, nil
	}
	return "", nil
}

// equals reports whether the result's values are those of another tensor of the
// original: first by a few elements, then by all.
func (s *suspect) equals(other *tensor.Tensor) (bool, error) {
	n := int64(len(s.y))
	few := min(n, blockElems)
	if n%blockElems != 0 && n < maxSuspect {
		few = n
	}
	for _, k := range []int64{few, n} {
		x, err := numbers(other, k)
		if err != nil || !s.close(x, s.y[:k]) {
			return false, err
		}
	}
	return true, nil
}

// holds reports whether the result's tensor called name has the values of want.
func (v *verifier) holds(ctx context.Context, want *tensor.Tensor, name string) (bool, error) {
	got := v.Result.Model.Tensor(name)
	if got == nil || !got.Shape.Squeeze().Equal(want.Shape.Squeeze()) {
		return false, nil
	}
	c, err := v.newComparison(want, got)
	if err != nil || !c.numbers {
		return false, err
	}
	n, _ := want.Shape.Elems() // New has checked it
	if c.errorSums, err = (&pieceWork{}).unit(ctx, c, 0, n); err != nil {
		return false, err
	}
	return c.relative() <= max(1.5*c.own(), 1e-6), nil
}

// diagnoseShape names what explains a shape that is not the expected one.
func (v *verifier) diagnoseShape(_ context.Context, want, got *tensor.Tensor) (string, error) {
	a, b := want.Shape.Squeeze(), got.Shape.Squeeze()
	n, _ := a.Elems() // New has checked both
	m, _ := b.Elems()
	if n == m && n <= maxSuspect && unfit(want.DType, got.DType) == "" {
		return v.diagnoseOrder(want, got, int(n))
	}
	if len(a) == len(b) && len(a) > 0 && slices.Equal(a[1:], b[1:]) {
		if b[0] < a[0] {
			return fmt.Sprintf("truncated: %d rows of %d", b[0], a[0]), nil
		}
		return fmt.Sprintf("%d rows too many", b[0]-a[0]), nil
	}
	return "the dimensions are others", nil
}

// diagnoseOrder compares tensors of n elements and different shapes.
func (v *verifier) diagnoseOrder(want, got *tensor.Tensor, n int) (string, error) {
	c := &comparison{want: want, got: got, via: want.DType, errorSums: errorSums{elems: int64(n), first: -1}, numbers: true}
	s, err := v.newSuspect(c)
	if err != nil {
		return "", err
	}
	s.tol = max(1.5*typeError(got.DType), 1e-6)
	if s.close(s.x, s.y) {
		return "the values are in the original's order: only the shape is wrong", nil
	}
	if cause := s.transposed(); cause != "" {
		return cause, nil
	}
	return "the dimensions are others", nil
}
