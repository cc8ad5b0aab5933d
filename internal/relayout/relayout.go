// Package relayout stores a llama of llama2.c as other programs would, so that
// tests have one network in every layout.
package relayout

import (
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// transformers are pairs of llama2.c's names and those of transformers.
var transformers = strings.NewReplacer(
	"tok_embeddings", "model.embed_tokens", "output", "lm_head", "layers", "model.layers",
	"attention_norm", "input_layernorm", "ffn_norm", "post_attention_layernorm", "norm", "model.norm",
	"attention.wq", "self_attn.q_proj", "attention.wk", "self_attn.k_proj", "attention.wv", "self_attn.v_proj", "attention.wo", "self_attn.o_proj",
	"feed_forward.w1", "mlp.gate_proj", "feed_forward.w2", "mlp.down_proj", "feed_forward.w3", "mlp.up_proj")

// Transformers returns the tensors of a llama as transformers has them: under its
// names, and the rows of each head of queries and keys are the first elements of
// all rotated pairs, then the second ones (convert_llama_weights_to_hf.py,
// permute). dim is the length of a head.
func Transformers(tensors []*tensor.Tensor, dim int) ([]*tensor.Tensor, error) {
	var out []*tensor.Tensor
	for _, t := range tensors {
		name := transformers.Replace(t.Name)
		if strings.HasSuffix(t.Name, "wq.weight") || strings.HasSuffix(t.Name, "wk.weight") {
			var err error
			t, err = t.PermuteRows(func(i int) int {
				head, half, pair := i/dim, i%dim/(dim/2), i%(dim/2)
				return head*dim + 2*pair + half
			})
			if err != nil {
				return nil, err
			}
		}
		out = append(out, t.Renamed(name))
	}
	return out, nil
}

// MultiHead returns the tensors of a llama with grouped queries as one that has a
// head of keys and values for each of queries, which computes the same: each is
// there as often as it was shared (repeat_kv of Meta's llama). dim is the length
// of a head, shared how many queries share one.
func MultiHead(tensors []*tensor.Tensor, dim, shared int) ([]*tensor.Tensor, error) {
	var out []*tensor.Tensor
	for _, t := range tensors {
		if strings.HasSuffix(t.Name, "wk.weight") || strings.HasSuffix(t.Name, "wv.weight") {
			var heads []*tensor.Tensor
			for at := 0; at < t.Shape[0]; at += dim {
				head, err := t.Rows(at, at+dim)
				if err != nil {
					return nil, err
				}
				for range shared {
					heads = append(heads, head)
				}
			}
			joined, err := tensor.Concat(0, heads...)
			if err != nil {
				return nil, err
			}
			t = joined.Renamed(t.Name)
		}
		out = append(out, t)
	}
	return out, nil
}

// Renamed returns tensors under the names that name gives them, without those
// that it gives none.
func Renamed(tensors []*tensor.Tensor, name func(string) string) []*tensor.Tensor {
	var out []*tensor.Tensor
	for _, t := range tensors {
		if n := name(t.Name); n != "" {
			out = append(out, t.Renamed(n))
		}
	}
	return out
}
