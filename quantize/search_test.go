package quantize

import (
	"math/rand/v2"
	"testing"

	"github.com/smelt-project/smelt/quantize/quantizetest"
)

// weightedLoss is Σ w·(x−y)².
func weightedLoss(x, w []float32, y func(i int) float64) (sum float64) {
	for i, v := range x {
		d := float64(v) - y(i)
		sum += float64(w[i]) * d * d
	}
	return sum
}

// slack is what float32 can hide. A search begins with the plain rounding and
// takes only what it finds better, by Σ w·x² − (Σ w·x·l)²/Σ w·l²: sums of n terms
// of at most five roundings, each off by (n+5)·2⁻²⁴ of its value, three of them in
// the quotient, which is at most Σ w·x², for either of two candidates, and the
// same again twice for the scale that is rounded last.
func slack(x, w []float32, n int) float64 {
	var norm float64
	for i, v := range x {
		norm += float64(w[i]) * float64(v) * float64(v)
	}
	return 8 * float64(n+5) * 0x1p-24 * norm
}

func TestSearchesLoseNoMoreThanPlainRounding(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for _, g := range quantizetest.Generators {
		if g.Extreme {
			continue
		}
		for range 50 {
			x, w, q := make([]float32, 32), make([]float32, 32), make([]uint8, 32)
			g.Fill(r, x)
			quantizetest.Importance(r, w)
			limit := slack(x, w, 32)

			d := symmetric(q, x, w, 8)
			got := weightedLoss(x, w, func(i int) float64 { return float64(d) * float64(int(q[i])-8) })
			plain := -peak(x) / 8
			var level [32]uint8
			signedLevels(level[:], x, plain, 8)
			want := weightedLoss(x, w, func(i int) float64 { return float64(plain) * float64(int(level[i])-8) })
			if d != 0 && got > want+limit {
				t.Errorf("%s: symmetric loses %g, plain rounding %g", g.Name, got, want)
			}

			search := affineSearch{top: 15, from: -0.9, step: 0.05, steps: 36}
			d, m := search.fit(q, x, w)
			got = weightedLoss(x, w, func(i int) float64 { return float64(d)*float64(q[i]) - float64(m) })
			low, high := extent(x)
			low = min(low, 0)
			plain = (high - low) / 15
			affineLevels(level[:], x, plain, -low, 15)
			want = weightedLoss(x, w, func(i int) float64 { return float64(plain)*float64(level[i]) + float64(low) })
			// fit divides by the inverse of the step: up to three more roundings, of values up to span
			span := make([]float32, 32)
			for i := range span {
				span[i] = high - low
			}
			if plain != 0 && got > want+limit+slack(span, w, 32) {
				t.Errorf("%s: fit loses %g, plain rounding %g", g.Name, got, want)
			}

			for i, v := range x {
				x[i] = abs(v)
			}
			d = positive(q, x, w, 63)
			got = weightedLoss(x, w, func(i int) float64 { return float64(d) * float64(q[i]) })
			plain = abs(peak(x)) / 63
			affineLevels(level[:], x, plain, 0, 63)
			want = weightedLoss(x, w, func(i int) float64 { return float64(plain) * float64(level[i]) })
			if d != 0 && got > want+limit {
				t.Errorf("%s: positive loses %g, plain rounding %g", g.Name, got, want)
			}
		}
	}
}

func TestGroupsOfZerosHaveNoScale(t *testing.T) {
	zero, w, q := make([]float32, 16), make([]float32, 16), make([]uint8, 16)
	search := affineSearch{top: 3, steps: 4}
	for _, c := range []struct {
		name string
		fit  func() float32
	}{
		{"symmetric", func() float32 { return symmetric(q, zero, w, 4) }},
		{"refined", func() float32 { return refined(q, zero, 4) }},
		{"affine", func() float32 { d, _ := search.fit(q, zero, w); return d }},
		{"positive", func() float32 { return positive(q, zero, w, 15) }},
	} {
		for i := range q {
			q[i] = 9
		}
		if d := c.fit(); d != 0 {
			t.Errorf("%s: scale %g; want 0", c.name, d)
		}
		for i, v := range q {
			if v != 0 {
				t.Errorf("%s: level %d = %d; want 0", c.name, i, v)
			}
		}
	}
}
