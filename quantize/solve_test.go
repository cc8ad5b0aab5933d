package quantize

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// randomOptions makes up tensors with a few options each; larger ones are not
// always better.
func randomOptions(r *rand.Rand) [][]Option {
	tensors := make([][]Option, 1+r.IntN(5))
	for i := range tensors {
		for range 1 + r.IntN(5) {
			tensors[i] = append(tensors[i], Option{Bytes: int64(1 + r.IntN(40)), Error: math.Exp(3 * r.NormFloat64())})
		}
	}
	return tensors
}

// leastError tries every choice; ok is false if none fits.
func leastError(tensors [][]Option, limit int64) (least float64, ok bool) {
	if len(tensors) == 0 {
		return 0, limit >= 0
	}
	least = math.Inf(1)
	for _, o := range tensors[0] {
		if rest, fits := leastError(tensors[1:], limit-o.Bytes); fits {
			least, ok = min(least, o.Error+rest), true
		}
	}
	return least, ok
}

// largestStep is the most error that one step on a hull takes away.
func largestStep(tensors [][]Option) (most float64) {
	for _, options := range tensors {
		hull := lowerHull(options)
		for k := 1; k < len(hull); k++ {
			most = max(most, options[hull[k-1]].Error-options[hull[k]].Error)
		}
	}
	return most
}

// The relaxation in which one step may be taken in part is no worse than the
// best choice, and the choice without that step no better than what Solve
// returns: both are one step apart. Rounding of the sums, of fewer than 32 terms,
// is below 32 units in the last place of the largest sum.
func TestSolutionIsWithinOneStepOfTheBest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 3000 {
		tensors, limit := randomOptions(r), int64(r.IntN(160))
		best, possible := leastError(tensors, limit)
		got, err := Solve(tensors, limit)
		if !possible {
			var le *LimitError
			if !errors.As(err, &le) || le.Limit != limit || le.Smallest <= limit {
				t.Fatalf("case %d: error %v, want a LimitError with a smallest size above %d", n, err, limit)
			}
			continue
		}
		if err != nil {
			t.Fatalf("case %d: %v", n, err)
		}
		var bytes int64
		var sum, total float64
		for i, k := range got.Options {
			bytes, sum = bytes+tensors[i][k].Bytes, sum+tensors[i][k].Error
			for _, o := range tensors[i] {
				total += o.Error
			}
		}
		rounding := 32 * 0x1p-52 * total
		if bytes != got.Bytes || bytes > limit || sum != got.Error {
			t.Errorf("case %d: %d bytes and error %g reported, options have %d and %g, limit %d", n, got.Bytes, got.Error, bytes, sum, limit)
		}
		if got.Bound > best+rounding || got.Error < best-rounding || got.Error > best+largestStep(tensors)+rounding {
			t.Errorf("case %d: bound %g, error %g; best %g, largest step %g", n, got.Bound, got.Error, best, largestStep(tensors))
		}
	}
}

// Where the limit is just what a run of best steps takes, nothing is lost.
func TestSolutionIsTheBestWhereTheStepsFit(t *testing.T) {
	tensors := [][]Option{
		{{Bytes: 10, Error: 8}, {Bytes: 20, Error: 2}, {Bytes: 30, Error: 1}},
		{{Bytes: 10, Error: 9}, {Bytes: 20, Error: 7.5}, {Bytes: 30, Error: 0}}, // the middle one is above the hull
	}
	for _, c := range []struct {
		name  string
		limit int64
		want  Solution
	}{
		{"smallest", 20, Solution{[]int{0, 0}, 20, 17, 17}},
		{"one step", 30, Solution{[]int{1, 0}, 30, 11, 11}},
		{"off the hull, to fill", 40, Solution{[]int{1, 1}, 40, 9.5, 6.5}},
		{"two steps", 50, Solution{[]int{1, 2}, 50, 2, 2}},
		{"all", 99, Solution{[]int{2, 2}, 60, 1, 1}},
	} {
		got, err := Solve(tensors, c.limit)
		if err != nil || !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: Solve(%d) = %+v, %v; want %+v", c.name, c.limit, got, err, c.want)
		}
	}
}

func TestTensorsWithoutOptionsAreRefused(t *testing.T) {
	if _, err := Solve([][]Option{{}}, 1); !errors.Is(err, tensor.ErrUnsupported) {
		t.Errorf("error %v, want %v", err, tensor.ErrUnsupported)
	}
	huge := []Option{{Bytes: math.MaxInt64}}
	if _, err := Solve([][]Option{huge, huge}, math.MaxInt64); !errors.Is(err, tensor.ErrTooLarge) {
		t.Errorf("error %v, want %v", err, tensor.ErrTooLarge)
	}
}
