package infer

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// A Sampler chooses tokens from logits. The zero value takes the likeliest. With
// the same settings and logits it makes the same choices everywhere.
type Sampler struct {
	Temperature float64 // divides the logits; 0 takes the likeliest token
	TopK        int     // keeps that many of the likeliest; 0 all
	TopP        float64 // keeps the likeliest that together have that probability; 0 all (arXiv:1904.09751)
	Seed        uint64

	random *rand.Rand
	likely []candidate
}

type candidate struct {
	id     int32
	logit  float32
	weight float64 // exp(logit/temperature), relative to the likeliest
}

// Next returns the id of the next token. Of equal logits the lowest id is the
// likelier; NaN is the least likely of all.
func (s *Sampler) Next(logits []float32) int32 {
	if s.Temperature <= 0 {
		return likeliest(logits)
	}
	if s.random == nil {
		s.random = rand.New(rand.NewPCG(s.Seed, 0))
	}
	s.sort(logits)
	kept, total := s.keep()
	x := s.random.Float64() * total
	for _, c := range kept {
		if x -= c.weight; x < 0 {
			return c.id
		}
	}
	return kept[0].id // what rounding left over
}

func likeliest(logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] || math.IsNaN(float64(logits[best])) && !math.IsNaN(float64(v)) {
			best = i
		}
	}
	return int32(best)
}

// sort lists the tokens from the likeliest on.
func (s *Sampler) sort(logits []float32) {
	s.likely = s.likely[:0]
	for i, v := range logits {
		s.likely = append(s.likely, candidate{id: int32(i), logit: v})
	}
	slices.SortFunc(s.likely, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.logit, a.logit), cmp.Compare(a.id, b.id))
	})
}

// keep weighs the tokens that TopK and TopP leave and returns them with the sum.
func (s *Sampler) keep() (kept []candidate, total float64) {
	kept = s.likely
	if s.TopK > 0 {
		kept = kept[:min(s.TopK, len(kept))]
	}
	for i := range kept {
		c := &kept[i]
		if c.weight = math.Exp(float64(c.logit-kept[0].logit) / s.Temperature); math.IsNaN(c.weight) {
			c.weight = 0
		}
		total += c.weight
	}
	if s.TopP <= 0 || s.TopP >= 1 {
		return kept, total
	}
	var sum float64
	for i, c := range kept {
		if sum += c.weight; sum >= s.TopP*total {
			return kept[:i+1], sum
		}
	}
	return kept, total
}
