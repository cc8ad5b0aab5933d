package origin

import (
	"context"
	"fmt"

	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

// llamaNames are the modules and settings of a llama as its program calls them.
type llamaNames struct {
	inner                     string // where all but the head is, "" or ending in a dot
	embed, layers, norm, head string
	attnNorm, wq, wk, wv, wo  string // in a layer
	ffnNorm, gate, up, down   string
	keys                      llamaKeys
	attnBias, ffnBias, tied   string  // keys; "" if the program has no such choice
	eps, theta                float64 // what the program takes if they are not stated
	halves                    bool    // see rotary
	guards                    []guard
	stretch                   func(settings) (kind string, s stretch, err error)
}

// llamaKeys are the settings of a llama as its program calls them.
type llamaKeys struct{ dim, layers, heads, kvHeads, headDim, eps string }

// metaLlama is Transformer of Meta's llama (llama/model.py of the llama and
// llama3 repositories) and of llama2.c (model.py), which have one set of names.
var metaLlama = llamaNames{
	embed: "tok_embeddings", layers: "layers", norm: "norm", head: "output",
	attnNorm: "attention_norm", wq: "attention.wq", wk: "attention.wk", wv: "attention.wv", wo: "attention.wo",
	ffnNorm: "ffn_norm", gate: "feed_forward.w1", up: "feed_forward.w3", down: "feed_forward.w2",
	keys: llamaKeys{dim: "dim", layers: "n_layers", heads: "n_heads", kvHeads: "n_kv_heads", headDim: "head_dim", eps: "norm_eps"},
	eps:  1e-5, theta: 10000,
	stretch: metaStretch,
}

// hfLlama is LlamaForCausalLM (transformers models/llama/modeling_llama.py) and,
// where no window slides, MistralForCausalLM.
var hfLlama = llamaNames{
	inner: "model.",
	embed: "embed_tokens", layers: "layers", norm: "norm", head: "lm_head",
	attnNorm: "input_layernorm", wq: "self_attn.q_proj", wk: "self_attn.k_proj", wv: "self_attn.v_proj", wo: "self_attn.o_proj",
	ffnNorm: "post_attention_layernorm", gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj",
	keys: llamaKeys{dim: "hidden_size", layers: "num_hidden_layers", heads: "num_attention_heads",
		kvHeads: "num_key_value_heads", headDim: "head_dim", eps: "rms_norm_eps"},
	attnBias: "attention_bias", ffnBias: "mlp_bias", tied: "tie_word_embeddings",
	eps: 1e-6, theta: 10000,
	halves: true,
	guards: []guard{
		{[]string{"model_type"}, []any{"llama", "mistral"}},
		{[]string{"hidden_act"}, []any{"silu", "swish"}},
		{[]string{"sliding_window"}, nil},
		{[]string{"rope_parameters.partial_rotary_factor", "partial_rotary_factor"}, []any{int64(1), 1.0}},
	},
	stretch: hfStretch,
}

// bare returns n for a network that was saved without its head.
func (n llamaNames) bare() llamaNames {
	n.inner = ""
	return n
}

// hfStretch reads rope_parameters, which older configurations call rope_scaling.
func hfStretch(s settings) (string, stretch, error) {
	kind := s.text("default", "rope_parameters.rope_type", "rope_scaling.rope_type", "rope_scaling.type")
	st := stretch{truncate: true}
	if truncate, stated := s.flag("rope_parameters.truncate"); stated {
		st.truncate = truncate
	}
	for _, f := range []struct {
		to        *float64
		key       string
		otherwise float64
	}{
		{&st.factor, "factor", 1}, {&st.low, "low_freq_factor", 1}, {&st.high, "high_freq_factor", 4},
		{&st.context, "original_max_position_embeddings", 8192},
		{&st.fast, "beta_fast", 32}, {&st.slow, "beta_slow", 1}, {&st.attention, "attention_factor", 0},
	} {
		x, err := s.real(f.otherwise, "rope_parameters."+f.key, "rope_scaling."+f.key)
		if err != nil {
			return "", st, err
		}
		*f.to = x
	}
	return kind, st, nil
}

// metaStretch reads use_scaled_rope, whose numbers are constants in the program
// (apply_scaling in llama3's model.py); rope_scaling_factor came later.
func metaStretch(s settings) (string, stretch, error) {
	if scaled, _ := s.flag("use_scaled_rope"); !scaled {
		return "default", stretch{}, nil
	}
	factor, err := s.real(8, "rope_scaling_factor")
	return "llama3", stretch{factor: factor, low: 1, high: 4, context: 8192}, err
}

// A linear is a torch.nn.Linear; bias may be nil.
type linear struct{ weight, bias *parameter }

func (p *pass) apply(l linear, x values) values { return p.linear(x, l.weight, l.bias) }

// A Llama is a llama network. It may be used concurrently, a context may not.
type Llama struct {
	program     string
	workers     int
	heads       heads
	eps         float64
	rotary      *rotary
	embed, norm *parameter
	head        *parameter
	layers      []llamaLayer
}

type llamaLayer struct {
	attnNorm, ffnNorm *parameter
	q, k, v, o        linear
	gate, up, down    linear
}

// Program names the program whose code is repeated.
func (l *Llama) Program() string { return l.program }

// Vocab is the number of tokens.
func (l *Llama) Vocab() int { return l.embed.rows }

// Layers is the number of layers.
func (l *Llama) Layers() int { return len(l.layers) }

func (n llamaNames) build(c *checkpoint) (Network, error) {
	s := c.settings
	l := &Llama{program: c.naming.program, workers: c.workers}
	dim, layers, err := n.sizes(l, s)
	if err != nil {
		return nil, err
	}
	found := c.root.list(n.inner + n.layers)
	if len(found) != layers {
		return nil, fmt.Errorf("%s has %d layers, %s is %d: %w", c.root.name(n.inner+n.layers), len(found), n.keys.layers, layers, tensor.ErrCorrupt)
	}
	r := &reader{}
	l.embed = r.parameter(c.root, n.inner+n.embed+".weight", 0, dim)
	l.norm = r.parameter(c.root, n.inner+n.norm+".weight", dim)
	attnBias, _ := s.flag(n.attnBias)
	ffnBias, _ := s.flag(n.ffnBias)
	l.layers = make([]llamaLayer, layers)
	for i, m := range found {
		project := func(path string, bias bool, out, in int) linear {
			p := linear{weight: r.parameter(m, path+".weight", out, in)}
			if bias {
				p.bias = r.parameter(m, path+".bias", out)
			}
			return p
		}
		y := &l.layers[i]
		y.attnNorm = r.parameter(m, n.attnNorm+".weight", dim)
		y.q = project(n.wq, attnBias, l.heads.q*l.heads.dim, dim)
		y.k = project(n.wk, attnBias, l.heads.kv*l.heads.dim, dim)
		y.v = project(n.wv, attnBias, l.heads.kv*l.heads.dim, dim)
		y.o = project(n.wo, attnBias, dim, l.heads.q*l.heads.dim)
		y.ffnNorm = r.parameter(m, n.ffnNorm+".weight", dim)
		y.gate = project(n.gate, ffnBias, 0, dim)
		y.up = project(n.up, ffnBias, y.gate.weight.rows, dim)
		y.down = project(n.down, ffnBias, dim, y.gate.weight.rows)
	}
	if l.head, err = n.output(c, r, l); err != nil {
		return nil, err
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return l, nil
}

// sizes reads the settings into l and returns the length of the residual stream
// and the number of layers.
func (n llamaNames) sizes(l *Llama, s settings) (dim, layers int, err error) {
	if err := s.expect(n.guards); err != nil {
		return 0, 0, err
	}
	for _, f := range []struct {
		to  *int
		key string
	}{{&dim, n.keys.dim}, {&layers, n.keys.layers}, {&l.heads.q, n.keys.heads}} {
		if *f.to, err = s.need(f.key); err != nil {
			return 0, 0, err
		}
	}
	if l.heads.kv, err = s.count(n.keys.kvHeads); err != nil {
		return 0, 0, err
	}
	if l.heads.kv == 0 {
		l.heads.kv = l.heads.q
	}
	if l.heads.dim, err = s.count(n.keys.headDim); err != nil {
		return 0, 0, err
	}
	if l.heads.dim == 0 {
		l.heads.dim = dim / l.heads.q
	}
	if l.heads.dim < 2 || l.heads.dim%2 != 0 {
		return 0, 0, fmt.Errorf("heads of %d elements (%s %d, %s %d): %w", l.heads.dim, n.keys.dim, dim, n.keys.heads, l.heads.q, tensor.ErrUnsupported)
	}
	if l.heads.q%l.heads.kv != 0 {
		return 0, 0, fmt.Errorf("%s %d is not a multiple of %s %d: %w", n.keys.heads, l.heads.q, n.keys.kvHeads, l.heads.kv, tensor.ErrCorrupt)
	}
	l.heads.causal = true
	if l.eps, err = s.real(n.eps, n.keys.eps); err != nil {
		return 0, 0, err
	}
	kind, st, err := n.stretch(s)
	if err != nil {
		return 0, 0, err
	}
	if l.rotary, err = newRotary(s, l.heads.dim, n.theta, kind, st); err != nil {
		return 0, 0, err
	}
	l.rotary.halves = n.halves
	return dim, layers, nil
}

// output returns the matrix that makes logits: the embedding if the settings tie
// them, or if there is no other and no setting says that there should be.
func (n llamaNames) output(c *checkpoint, r *reader, l *Llama) (*parameter, error) {
	tied, stated := c.settings.flag(n.tied)
	if tied {
		return l.embed, nil
	}
	head := r.optional(c.root, n.head+".weight", l.embed.rows, l.embed.width)
	if head == nil {
		if stated {
			return nil, fmt.Errorf("%s is false and there is no %s.weight: %w", n.tied, n.head, tensor.ErrNotFound)
		}
		return l.embed, nil
	}
	return head, nil
}

// A LlamaContext is a text so far.
type LlamaContext struct {
	net  *Llama
	past history
	n    int
}

// NewContext returns an empty text.
func (l *Llama) NewContext() *LlamaContext {
	return &LlamaContext{net: l, past: make(history, len(l.layers))}
}

// Forward appends tokens to the text and returns the logits after each,
// [len(ids), Vocab]. show may be nil. After an error the text is undefined.
func (c *LlamaContext) Forward(ctx context.Context, ids []int32, show trace.Func) ([]float32, error) {
	l := c.net
	p := &pass{ctx: ctx, workers: l.workers, show: show, part: trace.Decoder, layer: -1}
	x := p.embed(l.embed, ids)
	p.trace(trace.Embedding, x)
	for i := range l.layers {
		p.layer = i
		x = l.layers[i].forward(p, l, x, c)
		p.trace(trace.Residual, x)
	}
	p.layer = -1
	x = p.rmsNorm(x, l.norm, l.eps)
	p.trace(trace.FinalNorm, x)
	x = p.linear(x, l.head, nil)
	p.trace(trace.Logits, x)
	c.n += len(ids)
	return x.data, p.err
}

// forward is LlamaDecoderLayer.forward; TransformerBlock.forward of Meta's llama.
func (y *llamaLayer) forward(p *pass, l *Llama, x values, c *LlamaContext) values {
	h := p.rmsNorm(x, y.attnNorm, l.eps)
	p.trace(trace.AttnNorm, h)
	q := p.turn(p.apply(y.q, h), l.rotary, c.n)
	p.trace(trace.AttnQ, l.rotary.paired(q))
	k := p.turn(p.apply(y.k, h), l.rotary, c.n)
	p.trace(trace.AttnK, l.rotary.paired(k))
	v := p.apply(y.v, h)
	p.trace(trace.AttnV, v)
	k, v = c.past.append(p.layer, k, v)
	h = p.attend(q, k, v, l.heads)
	p.trace(trace.AttnContext, h)
	h = p.apply(y.o, h)
	p.trace(trace.AttnOut, h)
	x = add(x, h)

	h = p.rmsNorm(x, y.ffnNorm, l.eps)
	p.trace(trace.FFNNorm, h)
	gate := p.apply(y.gate, h)
	p.trace(trace.FFNGate, gate)
	up := p.apply(y.up, h)
	p.trace(trace.FFNUp, up)
	h = p.gated(gate, up)
	p.trace(trace.FFNActivation, h)
	h = p.apply(y.down, h)
	p.trace(trace.FFNOut, h)
	return add(x, h)
}
