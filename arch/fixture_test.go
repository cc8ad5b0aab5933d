package arch

import (
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// A filler stands for a tensor's bytes: fixtures have the names, types and
// shapes of published checkpoints and no weights. Bytes are computed, so that
// tensors of different seeds differ from the start.
type filler struct {
	seed uint64
	size int64
}

func (f filler) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), f.size-off)))
	for i := range n {
		at := uint64(off) + uint64(i)
		p[i] = byte((f.seed + at/251*0x9E3779B97F4A7C15) >> (8 * (at % 8)))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// A header collects tensors in order.
type header struct {
	t       testing.TB
	prefix  string
	dtype   tensor.DType
	tensors []*tensor.Tensor
	seen    map[string]*tensor.Tensor
}

func newHeader(t testing.TB, prefix string, dtype tensor.DType) *header {
	return &header{t: t, prefix: prefix, dtype: dtype, seen: map[string]*tensor.Tensor{}}
}

func (h *header) add(name string, shape ...int) {
	h.t.Helper()
	sum := fnv.New64a()
	sum.Write([]byte(name))
	info := tensor.Info{Name: h.prefix + name, DType: h.dtype, Shape: shape}
	size, err := info.Size()
	if err != nil {
		h.t.Fatal(err)
	}
	t, err := tensor.New(info, filler{sum.Sum64(), size}, tensor.Origin{File: "fixture.pt", Offset: -1, Storage: name})
	if err != nil {
		h.t.Fatal(err)
	}
	h.seen[name] = t
	h.tensors = append(h.tensors, t)
}

// alias adds a second name for a tensor's bytes.
func (h *header) alias(name, of string) {
	c := *h.seen[of]
	c.Name = h.prefix + name
	h.tensors = append(h.tensors, &c)
}

func (h *header) model(kvs ...tensor.KV) *tensor.Model {
	h.t.Helper()
	m, err := tensor.NewModel("fixture", tensor.NewMeta(kvs...), h.tensors)
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

type llamaDims struct{ layers, embd, heads, kv, headDim, ff, vocab int }

// metaLlama adds the tensors of Meta's Transformer, in the order of its
// state_dict (llama model.py; llama2.c model.py is the same).
func (h *header) metaLlama(d llamaDims) {
	h.add("tok_embeddings.weight", d.vocab, d.embd)
	for i := range d.layers {
		l := fmt.Sprintf("layers.%d.", i)
		h.add(l+"attention.wq.weight", d.heads*d.headDim, d.embd)
		h.add(l+"attention.wk.weight", d.kv*d.headDim, d.embd)
		h.add(l+"attention.wv.weight", d.kv*d.headDim, d.embd)
		h.add(l+"attention.wo.weight", d.embd, d.heads*d.headDim)
		h.add(l+"feed_forward.w1.weight", d.ff, d.embd)
		h.add(l+"feed_forward.w2.weight", d.embd, d.ff)
		h.add(l+"feed_forward.w3.weight", d.ff, d.embd)
		h.add(l+"attention_norm.weight", d.embd)
		h.add(l+"ffn_norm.weight", d.embd)
	}
	h.add("norm.weight", d.embd)
}

// hfLlama adds the tensors of transformers' LlamaForCausalLM without its head;
// root is "model." or "".
func (h *header) hfLlama(d llamaDims, root string) {
	h.add(root+"embed_tokens.weight", d.vocab, d.embd)
	for i := range d.layers {
		l := fmt.Sprintf("%slayers.%d.", root, i)
		h.add(l+"self_attn.q_proj.weight", d.heads*d.headDim, d.embd)
		h.add(l+"self_attn.k_proj.weight", d.kv*d.headDim, d.embd)
		h.add(l+"self_attn.v_proj.weight", d.kv*d.headDim, d.embd)
		h.add(l+"self_attn.o_proj.weight", d.embd, d.heads*d.headDim)
		h.add(l+"mlp.gate_proj.weight", d.ff, d.embd)
		h.add(l+"mlp.up_proj.weight", d.ff, d.embd)
		h.add(l+"mlp.down_proj.weight", d.embd, d.ff)
		h.add(l+"input_layernorm.weight", d.embd)
		h.add(l+"post_attention_layernorm.weight", d.embd)
	}
	h.add(root+"norm.weight", d.embd)
}

type whisperDims struct{ mels, audioCtx, state, heads, layers, textCtx, vocab int }

// openaiWhisper adds the tensors of openai/whisper's Whisper, in the order of
// its state_dict (model.py).
func (h *header) openaiWhisper(d whisperDims) {
	h.whisper(d, whisperNames{
		"encoder.blocks", "decoder.blocks", "attn", "cross_attn", "query", "key", "value", "out", "attn_ln", "cross_attn_ln", "mlp.0", "mlp.2", "mlp_ln",
		"encoder.positional_embedding", "encoder.conv", "encoder.ln_post", "decoder.token_embedding.weight", "decoder.positional_embedding", "decoder.ln"})
}

// hfWhisper adds the tensors of transformers' WhisperForConditionalGeneration
// (models/whisper/modeling_whisper.py).
func (h *header) hfWhisper(d whisperDims) {
	h.whisper(d, whisperNames{
		"model.encoder.layers", "model.decoder.layers", "self_attn", "encoder_attn", "q_proj", "k_proj", "v_proj", "out_proj",
		"self_attn_layer_norm", "encoder_attn_layer_norm", "fc1", "fc2", "final_layer_norm",
		"model.encoder.embed_positions.weight", "model.encoder.conv", "model.encoder.layer_norm",
		"model.decoder.embed_tokens.weight", "model.decoder.embed_positions.weight", "model.decoder.layer_norm"})
}

type whisperNames struct {
	enc, dec, self, cross, q, k, v, out, selfNorm, crossNorm, fc1, fc2, norm string
	encPos, conv, encNorm, tokens, decPos, decNorm                           string
}

func (h *header) whisper(d whisperDims, n whisperNames) {
	linear := func(name string, out, in int) {
		h.add(name+".weight", out, in)
		h.add(name+".bias", out)
	}
	norm := func(name string) {
		h.add(name+".weight", d.state)
		h.add(name+".bias", d.state)
	}
	attention := func(name, ln string) {
		linear(name+"."+n.q, d.state, d.state)
		h.add(name+"."+n.k+".weight", d.state, d.state)
		linear(name+"."+n.v, d.state, d.state)
		linear(name+"."+n.out, d.state, d.state)
		norm(ln)
	}
	mlp := func(l string) {
		linear(l+n.fc1, 4*d.state, d.state)
		linear(l+n.fc2, d.state, 4*d.state)
		norm(l + n.norm)
	}
	h.add(n.encPos, d.audioCtx, d.state)
	h.add(n.conv+"1.weight", d.state, d.mels, 3)
	h.add(n.conv+"1.bias", d.state)
	h.add(n.conv+"2.weight", d.state, d.state, 3)
	h.add(n.conv+"2.bias", d.state)
	for i := range d.layers {
		l := fmt.Sprintf("%s.%d.", n.enc, i)
		attention(l+n.self, l+n.selfNorm)
		mlp(l)
	}
	norm(n.encNorm)
	h.add(n.decPos, d.textCtx, d.state)
	h.add(n.tokens, d.vocab, d.state)
	for i := range d.layers {
		l := fmt.Sprintf("%s.%d.", n.dec, i)
		attention(l+n.self, l+n.selfNorm)
		attention(l+n.cross, l+n.crossNorm)
		mlp(l)
	}
	norm(n.decNorm)
}

// dims are the keys of a whisper checkpoint.
func (d whisperDims) dims() []tensor.KV {
	var out []tensor.KV
	for _, kv := range []tensor.KV{
		{Key: "n_mels", Value: d.mels}, {Key: "n_vocab", Value: d.vocab},
		{Key: "n_audio_ctx", Value: d.audioCtx}, {Key: "n_audio_state", Value: d.state}, {Key: "n_audio_head", Value: d.heads}, {Key: "n_audio_layer", Value: d.layers},
		{Key: "n_text_ctx", Value: d.textCtx}, {Key: "n_text_state", Value: d.state}, {Key: "n_text_head", Value: d.heads}, {Key: "n_text_layer", Value: d.layers},
	} {
		out = append(out, tensor.KV{Key: "dims." + kv.Key, Value: int64(kv.Value.(int))})
	}
	return out
}

// config parses a configuration file's text.
func config(t testing.TB, from, text string) Config {
	t.Helper()
	meta, err := FlattenJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Config{from, meta}
}

// under returns the entries of a configuration as scalars of a checkpoint.
func under(prefix string, c Config) []tensor.KV {
	var out []tensor.KV
	for _, kv := range c.Meta.All() {
		out = append(out, tensor.KV{Key: prefix + kv.Key, Value: kv.Value})
	}
	return out
}

// convert detects and maps a model that must be complete.
func convert(t testing.TB, src *tensor.Model, configs ...Config) (*Match, *Result) {
	t.Helper()
	m, err := Detect(src, "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Canonical(src, configs)
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

// planText writes everything that a mapping decides.
func planText(m *Match, r *Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v, convention %s\n\n", m, m.Convention)
	from := map[string]string{}
	for _, p := range r.Params {
		from[p.Key] = p.From
	}
	for _, kv := range r.Model.Meta.All() {
		fmt.Fprintf(&b, "%s = %T %v", kv.Key, kv.Value, kv.Value)
		if f := from[kv.Key]; f != "" {
			fmt.Fprintf(&b, " (%s)", f)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	for _, t := range r.Model.Tensors() {
		fmt.Fprintf(&b, "%s → %s %v %v: %s\n", r.Sources[t.Name], t.Name, t.DType, t.Shape, r.Why[t.Name])
	}
	b.WriteByte('\n')
	for _, d := range r.Dropped {
		fmt.Fprintf(&b, "dropped %s: %s\n", d.Name, d.Why)
	}
	for _, n := range r.Model.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}
