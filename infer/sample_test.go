package infer

import (
	"math"
	"slices"
	"testing"
)

func TestZeroSamplerTakesTheLikeliest(t *testing.T) {
	var s Sampler
	nan := float32(math.NaN())
	for _, c := range []struct {
		logits []float32
		want   int32
	}{{[]float32{1, 3, 2}, 1}, {[]float32{3, 3}, 0}, {[]float32{nan, -5, nan}, 1}, {[]float32{nan, nan}, 0}} {
		if got := s.Next(c.logits); got != c.want {
			t.Errorf("Next(%v) = %d; want %d", c.logits, got, c.want)
		}
	}
}

func TestSamplerRepeatsWithItsSeed(t *testing.T) {
	draw := func(seed uint64) (ids []int32) {
		s := Sampler{Temperature: 1, Seed: seed}
		for range 50 {
			ids = append(ids, s.Next([]float32{1, 1, 1, 1, 1, 1, 1, 1}))
		}
		return ids
	}
	if !slices.Equal(draw(1), draw(1)) {
		t.Error("the same seed draws other tokens")
	}
	if slices.Equal(draw(1), draw(2)) {
		t.Error("another seed draws the same tokens")
	}
}

// The limit is five standard deviations of a frequency in 20,000 draws.
func TestSamplerDrawsByProbability(t *testing.T) {
	logits := []float32{0, float32(math.Log(2)), float32(math.Log(5)), float32(math.Inf(-1))}
	for _, c := range []struct {
		name string
		s    Sampler
		want []float64
	}{
		{"all", Sampler{Temperature: 1}, []float64{1. / 8, 2. / 8, 5. / 8, 0}},
		{"hot", Sampler{Temperature: 2}, []float64{1 / (1 + math.Sqrt2 + math.Sqrt(5)), math.Sqrt2 / (1 + math.Sqrt2 + math.Sqrt(5)), math.Sqrt(5) / (1 + math.Sqrt2 + math.Sqrt(5)), 0}},
		{"top 2", Sampler{Temperature: 1, TopK: 2}, []float64{0, 2. / 7, 5. / 7, 0}},
		{"top 0.6", Sampler{Temperature: 1, TopP: 0.6}, []float64{0, 0, 1, 0}},
		{"top 0.7", Sampler{Temperature: 1, TopP: 0.7}, []float64{0, 2. / 7, 5. / 7, 0}},
	} {
		const n = 20000
		counts := make([]float64, len(logits))
		for range n {
			counts[c.s.Next(logits)]++
		}
		for i, p := range c.want {
			if d := math.Abs(counts[i]/n - p); d > 5*math.Sqrt(p*(1-p)/n) {
				t.Errorf("%s: token %d was drawn %.4f of the time; want %.4f", c.name, i, counts[i]/n, p)
			}
		}
	}
}
