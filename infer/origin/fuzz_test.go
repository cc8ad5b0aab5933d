package origin_test

import (
	"testing"

	"github.com/smelt-project/smelt/infer/origin"
	"github.com/smelt-project/smelt/internal/relayout"
	"github.com/smelt-project/smelt/tensor"
)

// FuzzSettings opens stories260K, as transformers would store it, with any
// settings: what opens also computes, without a panic.
func FuzzSettings(f *testing.F) {
	f.Add(int64(64), int64(5), int64(8), int64(4), int64(8), 1e-5, 10000.0, "default", 1.0, false, "model.")
	f.Add(int64(64), int64(5), int64(8), int64(4), int64(0), 1e-5, 10000.0, "yarn", 0.5, true, "")
	f.Add(int64(64), int64(5), int64(64), int64(32), int64(1), 0.0, 1.0, "llama3", 8.0, true, "a.b.c.d.")
	f.Fuzz(func(t *testing.T, dim, layers, heads, kvHeads, headDim int64, eps, theta float64, kind string, factor float64, tied bool, prefix string) {
		var kvs []tensor.KV
		for key, v := range map[string]any{
			"hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kvHeads, "head_dim": headDim,
			"rms_norm_eps": eps, "rope_parameters.rope_theta": theta, "rope_parameters.rope_type": kind, "rope_parameters.factor": factor,
			"tie_word_embeddings": tied,
		} {
			kvs = append(kvs, tensor.KV{Key: key, Value: v})
		}
		m, err := tensor.NewModel("test", tensor.Meta{}, relayout.Renamed(asTransformers(t), func(n string) string { return prefix + n }))
		if err != nil {
			return
		}
		n, err := origin.Open(m, origin.Options{Configs: []tensor.Meta{tensor.NewMeta(kvs...)}, Workers: 1})
		if err != nil {
			return
		}
		l := n.(*origin.Llama)
		logits, err := l.NewContext().Forward(t.Context(), []int32{1, 2, 3}, nil)
		if err == nil && len(logits) != 3*l.Vocab() {
			t.Errorf("%d logits of 3 tokens, want %d", len(logits), 3*l.Vocab())
		}
	})
}
