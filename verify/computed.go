package verify

import (
	"math"
	"slices"

	"github.com/smelt-project/smelt/infer/trace"
)

// computed is what a network computed, in the order in which it was shown.
type computed struct {
	wanted func(trace.Place) bool
	places []trace.Place
	at     map[trace.Place]*rows
}

// rows is a matrix of activations.
type rows struct {
	x     []float32
	width int
}

func newComputed(wanted func(trace.Place) bool) *computed {
	return &computed{wanted: wanted, at: map[trace.Place]*rows{}}
}

// outline takes what stands between layers.
func outline(p trace.Place) bool { return p.Layer < 0 || p.Op == trace.Residual }

// inside takes what one layer computes.
func inside(part trace.Part, layer int) func(trace.Place) bool {
	return func(p trace.Place) bool { return p.Part == part && p.Layer == layer }
}

// keep is a trace.Func. What is shown in parts is put together.
func (c *computed) keep(at trace.Place, x []float32, width int) error {
	if !c.wanted(at) {
		return nil
	}
	r := c.at[at]
	if r == nil {
		r = &rows{width: width}
		c.at[at] = r
		c.places = append(c.places, at)
	}
	r.x = append(r.x, x...)
	return nil
}

// errorOf returns the relative error of b: the root of the mean over the rows of
// ‖a−b‖²/‖a‖², so that no row hides behind a larger one. It is NaN if the shapes
// differ.
func (a *rows) errorOf(b *rows) float64 {
	sum, n := a.squaredErrors(b)
	return math.Sqrt(sum / float64(n))
}

func (a *rows) squaredErrors(b *rows) (sum float64, n int) {
	if b == nil || a.width != b.width || len(a.x) != len(b.x) {
		return math.NaN(), 1
	}
	for i := 0; i < len(a.x); i += a.width {
		var s errorSums
		s.sum(a.x[i:i+a.width], b.x[i:i+a.width])
		r := s.relative()
		sum += r * r
	}
	return sum, len(a.x) / a.width
}

// row returns one row.
func (a *rows) row(i int) []float32 { return a.x[i*a.width : (i+1)*a.width] }

func (a *rows) count() int { return len(a.x) / max(a.width, 1) }

// union lists the places of both in order, those that only b has last.
func union(a, b *computed) []trace.Place {
	out := slices.Clone(a.places)
	for _, p := range b.places {
		if a.at[p] == nil {
			out = append(out, p)
		}
	}
	return out
}
