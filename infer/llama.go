package infer

import (
	"fmt"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A Llama is a decoder of the shape of Llama 1, 2 and 3: RMSNorm, rotary
// positions, grouped queries, SwiGLU. Its weights are those of a canonical model,
// named as in GGUF, with the rows of queries and keys in the order of Meta's
// programs (llama model.py; llama.cpp 3f545becc, src/models/llama.cpp).
type Llama struct {
	backend Backend
	layers  []llamaLayer

	embedding, norm, output Weight
	outputBias              Weight // nil: none
	rotation                *Rotation

	width, hidden, vocab int // elements of the stream and of the feed-forward, tokens
	heads, kvHeads, dim  int
	eps                  float32
	trained              int // context length
}

// llamaLayer is one layer; biases and the norms of queries and keys may be nil.
type llamaLayer struct {
	attnNorm, q, k, v, out     Weight
	qBias, kBias, vBias, oBias Weight
	qNorm, kNorm               Weight // over the elements of a head
	ffnNorm, gate, up, down    Weight
	gateBias, upBias, downBias Weight
}

// NewLlama returns the network of a canonical model of architecture llama. m must
// stay open. All that is missing or misshapen is reported at once.
func NewLlama(m *tensor.Model, b Backend) (*Llama, error) {
	if arch := m.Meta.Text("general.architecture"); arch != "llama" {
		return nil, &tensor.Error{Op: "run", File: fileOf(m), Err: fmt.Errorf("architecture %q, want llama: %w", arch, tensor.ErrUnsupported)}
	}
	h := &hypers{meta: m.Meta, prefix: "llama."}
	n := &Llama{
		backend: b,
		width:   h.count("embedding_length", 0),
		hidden:  h.count("feed_forward_length", 0),
		heads:   h.count("attention.head_count", 0),
		eps:     float32(h.real("attention.layer_norm_rms_epsilon", math.NaN())),
		trained: h.count("context_length", 0),
	}
	n.kvHeads = h.count("attention.head_count_kv", n.heads)
	if n.heads%n.kvHeads != 0 {
		h.failf("%d heads of queries over %d of keys and values: %w", n.heads, n.kvHeads, tensor.ErrCorrupt)
	}
	n.dim = h.count("attention.key_length", max(1, n.width/n.heads))
	if values := h.count("attention.value_length", n.dim); values != n.dim {
		h.failf("heads of %d elements in keys and %d in values: %w", n.dim, values, tensor.ErrUnsupported)
	}
	h.refuse("expert_count", "mixtures of experts")
	h.refuse("attention.sliding_window", "sliding windows")
	n.rotation = rotation(h, m, n.dim)
	layers := h.count("block_count", 0)
	if len(h.errs) > 0 {
		return nil, wrong(m, h.errs)
	}
	l := &loader{model: m, backend: b}
	n.load(l, layers)
	return n, wrong(m, l.errs)
}

// load takes the weights of as many layers as there should be, and stops at the
// first that has none.
func (n *Llama) load(l *loader, layers int) {
	if t := l.model.Tensor("token_embd.weight"); t != nil && len(t.Shape) == 2 {
		n.vocab = t.Shape[0]
	}
	n.embedding = l.weight("token_embd.weight", n.vocab, n.width)
	n.norm = l.weight("output_norm.weight", n.width)
	if n.output = l.optional("output.weight", n.vocab, n.width); n.output == nil {
		n.output = n.embedding
	}
	n.outputBias = l.optional("output.bias", n.vocab)
	for i := 0; i < layers && len(l.errs) == 0; i++ {
		n.layers = append(n.layers, n.layer(l, fmt.Sprintf("blk.%d.", i)))
	}
}

func (n *Llama) layer(l *loader, prefix string) llamaLayer {
	queries, keys := n.heads*n.dim, n.kvHeads*n.dim
	return llamaLayer{
		attnNorm: l.weight(prefix+"attn_norm.weight", n.width),
		q:        l.weight(prefix+"attn_q.weight", queries, n.width),
		k:        l.weight(prefix+"attn_k.weight", keys, n.width),
		v:        l.weight(prefix+"attn_v.weight", keys, n.width),
		out:      l.weight(prefix+"attn_output.weight", n.width, queries),
		qBias:    l.optional(prefix+"attn_q.bias", queries),
		kBias:    l.optional(prefix+"attn_k.bias", keys),
		vBias:    l.optional(prefix+"attn_v.bias", keys),
		oBias:    l.optional(prefix+"attn_output.bias", n.width),
		qNorm:    l.optional(prefix+"attn_q_norm.weight", n.dim),
		kNorm:    l.optional(prefix+"attn_k_norm.weight", n.dim),
		ffnNorm:  l.weight(prefix+"ffn_norm.weight", n.width),
		gate:     l.weight(prefix+"ffn_gate.weight", n.hidden, n.width),
		up:       l.weight(prefix+"ffn_up.weight", n.hidden, n.width),
		down:     l.weight(prefix+"ffn_down.weight", n.width, n.hidden),
		gateBias: l.optional(prefix+"ffn_gate.bias", n.hidden),
		upBias:   l.optional(prefix+"ffn_up.bias", n.hidden),
		downBias: l.optional(prefix+"ffn_down.bias", n.width),
	}
}

// Layers returns the number of layers.
func (n *Llama) Layers() int { return len(n.layers) }

// Vocab returns the number of token ids.
func (n *Llama) Vocab() int { return n.vocab }

// ContextLength returns for how many tokens the model was trained.
func (n *Llama) ContextLength() int { return n.trained }
