package infer_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A plain is a llama with random weights, and the straightforward computation of
// its logits in float64.
type plain struct {
	weights map[string][]float64
	tensors []*tensor.Tensor
	random  *rand.Rand
	dtype   tensor.DType // of matrices

	width, hidden, vocab, heads, kvHeads, layers int
	eps                                          float64
	// turn is the angle of pair p of a head at a position, and what the pair is
	// multiplied with.
	turn   func(position, p int) (angle, magnitude float64)
	rotary int // elements of a head that are rotated
}

func newPlain(d tensor.DType) *plain {
	p := &plain{weights: map[string][]float64{}, random: rand.New(rand.NewPCG(3, uint64(d))), dtype: d,
		width: 256, hidden: 512, vocab: 96, heads: 8, kvHeads: 2, layers: 2, eps: 1e-5, rotary: 32}
	p.turn = func(position, pair int) (float64, float64) {
		return float64(position) * math.Pow(10000, -float64(2*pair)/float64(p.rotary)), 1
	}
	return p
}

func (p *plain) dim() int { return p.width / p.heads }

// add makes a tensor of numbers around mean.
func (p *plain) add(t *testing.T, name string, d tensor.DType, mean, deviation float64, shape ...int) {
	t.Helper()
	info := tensor.Info{Name: name, DType: d, Shape: shape}
	n, _ := info.Shape.Elems()
	size, err := info.Size()
	if err != nil {
		t.Fatal(err)
	}
	codec, err := quantize.CodecOf(d)
	if err != nil {
		t.Fatal(err)
	}
	x, raw := make([]float32, n), make([]byte, size)
	for i := range x {
		x[i] = float32(mean + deviation*p.random.NormFloat64())
	}
	codec.Encode(raw, x, nil)
	codec.Decode(x, raw)
	for _, v := range x {
		p.weights[name] = append(p.weights[name], float64(v))
	}
	w, err := tensor.New(info, bytes.NewReader(raw), tensor.Origin{File: "plain"})
	if err != nil {
		t.Fatal(err)
	}
	p.tensors = append(p.tensors, w)
}

// build makes all tensors; with everything, also those that few models have.
func (p *plain) build(t *testing.T, everything bool) {
	t.Helper()
	matrix := func(name string, rows, cols int) {
		p.add(t, name, p.dtype, 0, 1/math.Sqrt(float64(cols)), rows, cols)
	}
	vector := func(name string, mean float64, n int) { p.add(t, name, tensor.F32, mean, 0.2, n) }
	matrix("token_embd.weight", p.vocab, p.width)
	vector("output_norm.weight", 1, p.width)
	keys := p.kvHeads * p.dim()
	for i := range p.layers {
		blk := fmt.Sprintf("blk.%d.", i)
		vector(blk+"attn_norm.weight", 1, p.width)
		matrix(blk+"attn_q.weight", p.width, p.width)
		matrix(blk+"attn_k.weight", keys, p.width)
		matrix(blk+"attn_v.weight", keys, p.width)
		matrix(blk+"attn_output.weight", p.width, p.width)
		vector(blk+"ffn_norm.weight", 1, p.width)
		matrix(blk+"ffn_gate.weight", p.hidden, p.width)
		matrix(blk+"ffn_up.weight", p.hidden, p.width)
		matrix(blk+"ffn_down.weight", p.width, p.hidden)
		if !everything {
			continue
		}
		for name, n := range map[string]int{"attn_q": p.width, "attn_k": keys, "attn_v": keys, "attn_output": p.width, "ffn_gate": p.hidden, "ffn_up": p.hidden, "ffn_down": p.width} {
			vector(blk+name+".bias", 0, n)
		}
		vector(blk+"attn_q_norm.weight", 1, p.dim())
		vector(blk+"attn_k_norm.weight", 1, p.dim())
	}
	if everything {
		matrix("output.weight", p.vocab, p.width)
		vector("output.bias", 0, p.vocab)
	}
}

// model returns the canonical model with more metadata.
func (p *plain) model(t *testing.T, more ...tensor.KV) *tensor.Model {
	t.Helper()
	meta := tensor.NewMeta(tensor.KV{Key: "general.architecture", Value: "llama"})
	for key, n := range map[string]int{"block_count": p.layers, "embedding_length": p.width, "feed_forward_length": p.hidden,
		"context_length": 64, "attention.head_count": p.heads, "attention.head_count_kv": p.kvHeads, "rope.dimension_count": p.rotary} {
		meta = meta.With(tensor.KV{Key: "llama." + key, Value: uint32(n)})
	}
	meta = meta.With(tensor.KV{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(p.eps)}).With(more...)
	m, err := tensor.NewModel("test", meta, p.tensors)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// multiply returns W·x+b of the matrix called name.
func (p *plain) multiply(name string, x []float64) []float64 {
	w := p.weights[name+".weight"]
	y := make([]float64, len(w)/len(x))
	copy(y, p.weights[name+".bias"])
	for o := range y {
		for i, v := range x {
			y[o] += w[o*len(x)+i] * v
		}
	}
	return y
}

func (p *plain) norm(name string, x []float64) []float64 {
	w, ok := p.weights[name+".weight"]
	if !ok {
		return x
	}
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v / math.Sqrt(sum/float64(len(x))+p.eps) * w[i]
	}
	return y
}

// turned returns the heads of x at a position, normalised and rotated.
func (p *plain) turned(name string, x []float64, position int) (heads [][]float64) {
	for ; len(x) > 0; x = x[p.dim():] {
		head := append([]float64(nil), p.norm(name, x[:p.dim()])...)
		for pair := range p.rotary / 2 {
			angle, magnitude := p.turn(position, pair)
			sin, cos := math.Sincos(angle)
			a, b := head[2*pair], head[2*pair+1]
			head[2*pair], head[2*pair+1] = magnitude*(a*cos-b*sin), magnitude*(a*sin+b*cos)
		}
		heads = append(heads, head)
	}
	return heads
}

// logits returns those of the last of ids.
func (p *plain) logits(ids []int32) []float64 {
	keys, values := make([][][][]float64, p.layers), make([][][]float64, p.layers)
	var x []float64
	for position, id := range ids {
		x = append([]float64(nil), p.weights["token_embd.weight"][int(id)*p.width:][:p.width]...)
		for i := range p.layers {
			blk := fmt.Sprintf("blk.%d.", i)
			h := p.norm(blk+"attn_norm", x)
			q := p.turned(blk+"attn_q_norm", p.multiply(blk+"attn_q", h), position)
			keys[i] = append(keys[i], p.turned(blk+"attn_k_norm", p.multiply(blk+"attn_k", h), position))
			values[i] = append(values[i], p.multiply(blk+"attn_v", h))
			add(x, p.multiply(blk+"attn_output", p.attend(q, keys[i], values[i])))
			h = p.norm(blk+"ffn_norm", x)
			gate, up := p.multiply(blk+"ffn_gate", h), p.multiply(blk+"ffn_up", h)
			for j, g := range gate {
				gate[j] = g / (1 + math.Exp(-g)) * up[j]
			}
			add(x, p.multiply(blk+"ffn_down", gate))
		}
	}
	if _, untied := p.weights["output.weight"]; untied {
		return p.multiply("output", p.norm("output_norm", x))
	}
	return p.multiply("token_embd", p.norm("output_norm", x))
}

func add(y, x []float64) {
	for i, v := range x {
		y[i] += v
	}
}

func (p *plain) attend(q [][]float64, keys [][][]float64, values [][]float64) (y []float64) {
	for h, head := range q {
		kv := h * p.kvHeads / p.heads
		weights, total := make([]float64, len(keys)), 0.0
		for j, k := range keys {
			for d, v := range head {
				weights[j] += v * k[kv][d] / math.Sqrt(float64(p.dim()))
			}
			weights[j] = math.Exp(weights[j])
			total += weights[j]
		}
		out := make([]float64, p.dim())
		for j, w := range weights {
			for d := range out {
				out[d] += w / total * values[j][kv*p.dim()+d]
			}
		}
		y = append(y, out...)
	}
	return y
}

// same compares the network of a model with the plain computation. Float32 in two
// layers is worth some 1e-6; a missing bias or a wrong angle, some 1e-1.
func (p *plain) same(t *testing.T, m *tensor.Model) {
	t.Helper()
	ids := []int32{5, 17, 90, 17, 0, 33, 61, 2, 44}
	n := llama(t, m)
	c := n.NewContext(len(ids))
	defer c.Close()
	for at, pieces := 0, []int{6, 1, 2}; len(pieces) > 0; pieces = pieces[1:] {
		if err := c.Forward(t.Context(), ids[at:at+pieces[0]], nil); err != nil {
			t.Fatal(err)
		}
		at += pieces[0]
		var want []float32
		for _, v := range p.logits(ids[:at]) {
			want = append(want, float32(v))
		}
		if e := relative(c.Logits(), want); !(e < 2e-5) {
			t.Errorf("relative error of the logits after %d tokens: %.3g", at, e)
		}
	}
}

func TestEveryTypeComputesWhatItsNumbersSay(t *testing.T) {
	types := 0
	for d := tensor.DType(0); d < 1<<7; d++ {
		codec, err := quantize.CodecOf(d)
		if err != nil || codec.Encode == nil {
			continue
		}
		types++
		t.Run(d.String(), func(t *testing.T) {
			p := newPlain(d)
			p.build(t, false)
			p.same(t, p.model(t))
		})
	}
	if types < 25 {
		t.Errorf("%d types; want all that smelt writes", types)
	}
}

func TestBiasesNormsAndUntiedOutput(t *testing.T) {
	p := newPlain(tensor.F16)
	p.build(t, true)
	p.same(t, p.model(t))
}

func TestRotaryScalings(t *testing.T) {
	text := func(key, v string) tensor.KV { return tensor.KV{Key: "llama.rope." + key, Value: v} }
	real := func(key string, v float32) tensor.KV { return tensor.KV{Key: "llama.rope." + key, Value: v} }
	for _, c := range []struct {
		name   string
		rotary int
		meta   []tensor.KV
		scale  func(p *plain, pair int) (factor, magnitude float64) // of the frequency
		base   float64
	}{
		{"base", 32, []tensor.KV{real("freq_base", 500000)}, nil, 500000},
		{"part of a head", 16, nil, nil, 10000},
		{"linear", 32, []tensor.KV{text("scaling.type", "linear"), real("scaling.factor", 4)},
			func(*plain, int) (float64, float64) { return 0.25, 1 }, 10000},
		{"linear of old", 32, []tensor.KV{real("scale_linear", 4)},
			func(*plain, int) (float64, float64) { return 0.25, 1 }, 10000},
		{"yarn", 32, []tensor.KV{text("scaling.type", "yarn"), real("scaling.factor", 4),
			{Key: "llama.rope.scaling.original_context_length", Value: uint32(64)}}, yarnOf64, 10000},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlain(tensor.F32)
			p.rotary = c.rotary
			p.turn = func(position, pair int) (float64, float64) {
				factor, magnitude := 1.0, 1.0
				if c.scale != nil {
					factor, magnitude = c.scale(p, pair)
				}
				return float64(position) * math.Pow(c.base, -float64(2*pair)/float64(p.rotary)) * factor, magnitude
			}
			p.build(t, false)
			p.same(t, p.model(t, c.meta...))
		})
	}
	t.Run("factors in a tensor", func(t *testing.T) {
		p := newPlain(tensor.F32)
		p.build(t, false)
		p.add(t, "rope_freqs.weight", tensor.F32, 3, 0.5, p.rotary/2)
		p.turn = func(position, pair int) (float64, float64) {
			return float64(position) * math.Pow(10000, -float64(2*pair)/float64(p.rotary)) / p.weights["rope_freqs.weight"][pair], 1
		}
		p.same(t, p.model(t))
	})
}

// yarnOf64 is transformers' _compute_yarn_parameters (modeling_rope_utils.py) for
// a factor of 4 over 64 positions.
func yarnOf64(p *plain, pair int) (factor, magnitude float64) {
	dim := float64(p.rotary)
	at := func(turns float64) float64 { return dim * math.Log(64/(turns*2*math.Pi)) / (2 * math.Log(10000)) }
	low, high := math.Max(0, math.Floor(at(32))), math.Min(dim-1, math.Ceil(at(1)))
	ramp := math.Min(1, math.Max(0, (float64(pair)-low)/(high-low)))
	return (1 - ramp) + ramp/4, 0.1*math.Log(4) + 1
}

func TestNewLlamaTellsAllThatIsWrong(t *testing.T) {
	p := newPlain(tensor.F32)
	p.build(t, false)
	for _, c := range []struct {
		name string
		meta tensor.KV
	}{
		{"other architecture", tensor.KV{Key: "general.architecture", Value: "whisper"}},
		{"heads that do not divide", tensor.KV{Key: "llama.attention.head_count_kv", Value: uint32(3)}},
		{"a list of heads", tensor.KV{Key: "llama.attention.head_count_kv", Value: []uint32{2, 2}}},
		{"more layers", tensor.KV{Key: "llama.block_count", Value: uint32(3)}},
		{"billions of layers", tensor.KV{Key: "llama.block_count", Value: uint32(1 << 31)}},
		{"no heads", tensor.KV{Key: "llama.attention.head_count", Value: uint32(0)}},
		{"wrong width", tensor.KV{Key: "llama.embedding_length", Value: uint32(128)}},
		{"experts", tensor.KV{Key: "llama.expert_count", Value: uint32(8)}},
		{"a scaling that is not known", tensor.KV{Key: "llama.rope.scaling.type", Value: "longrope"}},
		{"an odd rotation", tensor.KV{Key: "llama.rope.dimension_count", Value: uint32(7)}},
		{"too large a rotation", tensor.KV{Key: "llama.rope.dimension_count", Value: uint32(64)}},
		{"a base that is no number", tensor.KV{Key: "llama.rope.freq_base", Value: float32(math.NaN())}},
		{"heads of two sizes", tensor.KV{Key: "llama.attention.value_length", Value: uint32(16)}},
	} {
		b, err := cpu.New(cpu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := infer.NewLlama(p.model(t, c.meta), b); err == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
}
