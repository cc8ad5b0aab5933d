package infer

import (
	"fmt"
	"math"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// rotation returns the rotary embedding that the metadata describes, of heads of
// dim elements: pair p has the frequency base^(-2p/dim), divided by element p of
// rope_freqs.weight if the model has that tensor (llama3 scaling), by the factor
// of linear scaling, or by yarn's.
func rotation(h *hypers, m *tensor.Model, dim int) *Rotation {
	rotated := h.count("rope.dimension_count", dim)
	if rotated > dim || rotated%2 != 0 {
		h.failf("%srope.dimension_count = %d of heads of %d elements: %w", h.prefix, rotated, dim, tensor.ErrCorrupt)
		return nil
	}
	base := h.real("rope.freq_base", 10000)
	if base <= 0 {
		h.failf("%srope.freq_base = %v: %w", h.prefix, base, tensor.ErrCorrupt)
		return nil
	}
	r := &Rotation{Frequencies: make([]float32, rotated/2)}
	for p := range r.Frequencies {
		exponent := float32(2*p) / float32(rotated)
		r.Frequencies[p] = 1 / float32(math.Pow(base, float64(exponent)))
	}
	kind := h.meta.Text(h.prefix + "rope.scaling.type")
	scale, ok := scalings[kind]
	if !ok {
		h.failf("%srope.scaling.type = %q: %w", h.prefix, kind, tensor.ErrUnsupported)
		return nil
	}
	scale(h, r, base)
	if t := m.Tensor("rope_freqs.weight"); t != nil {
		factors, err := numbers(t, len(r.Frequencies))
		if err != nil {
			h.errs = append(h.errs, err)
			return nil
		}
		for p, f := range factors {
			r.Frequencies[p] /= f
		}
	}
	return r
}

// scalings is the table of rotary scalings that stand in metadata. Files of old
// state the factor of linear scaling without a type, under another key.
var scalings = map[string]func(h *hypers, r *Rotation, base float64){
	"":       func(h *hypers, r *Rotation, _ float64) { r.divide(h, h.real("rope.scale_linear", 1)) },
	"none":   func(*hypers, *Rotation, float64) {},
	"linear": func(h *hypers, r *Rotation, _ float64) { r.divide(h, h.real("rope.scaling.factor", math.NaN())) },
	"yarn":   yarn,
}

// divide is linear scaling (arXiv:2306.15595).
func (r *Rotation) divide(h *hypers, factor float64) {
	if factor <= 0 {
		h.failf("%srope.scaling.factor = %v: %w", h.prefix, factor, tensor.ErrCorrupt)
		return
	}
	for p := range r.Frequencies {
		r.Frequencies[p] /= float32(factor)
	}
}

// yarn divides the frequencies of few turns within the original context by the
// factor, leaves those of many, and goes from one to the other between
// (arXiv:2309.00071; llama.cpp 3f545becc, ggml-cpu/ops.cpp rope_yarn, ggml.c
// ggml_rope_yarn_corr_dims).
func yarn(h *hypers, r *Rotation, base float64) {
	factor := h.real("rope.scaling.factor", math.NaN())
	original := float64(h.count("rope.scaling.original_context_length", h.count("context_length", 0)))
	extrapolation := h.real("rope.scaling.yarn_ext_factor", 1)
	fast, slow := h.real("rope.scaling.yarn_beta_fast", 32), h.real("rope.scaling.yarn_beta_slow", 1)
	if factor <= 0 || fast <= 0 || slow <= 0 || base == 1 {
		h.failf("yarn with factor %v, beta_fast %v, beta_slow %v, base %v: %w", factor, fast, slow, base, tensor.ErrCorrupt)
		return
	}
	dim := float64(2 * len(r.Frequencies))
	pairOf := func(turns float64) float64 {
		return dim * math.Log(original/(turns*2*math.Pi)) / (2 * math.Log(base))
	}
	low, high := max(0, math.Floor(pairOf(fast))), min(dim-1, math.Ceil(pairOf(slow)))
	for p, f := range r.Frequencies {
		ramp := (float64(p) - low) / max(0.001, high-low)
		kept := (1 - min(1, max(0, ramp))) * extrapolation
		r.Frequencies[p] = float32(float64(f)/factor*(1-kept) + float64(f)*kept)
	}
	r.Magnitude = float32(h.real("rope.scaling.yarn_attn_factor", 1) * (1 + 0.1*math.Log(factor)))
}

// numbers returns the n elements of t.
func numbers(t *tensor.Tensor, n int) ([]float32, error) {
	fail := func(err error) ([]float32, error) {
		return nil, &tensor.Error{Op: "infer: load", File: t.Origin.File, Tensor: t.Name, Err: err}
	}
	if !t.Shape.Equal(tensor.Shape{n}) {
		return fail(fmt.Errorf("shape %v, want [%d]: %w", t.Shape, n, tensor.ErrCorrupt))
	}
	codec, err := quantize.CodecOf(t.DType)
	if err != nil {
		return fail(err)
	}
	raw, err := t.ReadAll()
	if err != nil {
		return nil, err
	}
	x := make([]float32, n)
	codec.Decode(x, raw)
	return x, nil
}
