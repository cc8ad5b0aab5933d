//go:build plantedfault

package verify

import (
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/internal/relayout"
	"github.com/smelt-project/smelt/tensor"
)

// storiesHeadDim and storiesShared are the length of a head of stories260K, and
// how many of its queries share a head of keys.
const storiesHeadDim, storiesShared = 8, 2

// rule returns the rule of the table of llama called name.
func rule(specs []*arch.Spec, name string) *arch.Rule {
	for _, s := range specs {
		for i := range s.Rules {
			if s.Rules[i].Name == name {
				return &s.Rules[i]
			}
		}
	}
	panic("no rule " + name)
}

// exchange gives two rules each other's source names.
func exchange(a, b string) func([]*arch.Spec) {
	return func(specs []*arch.Spec) {
		x, y := rule(specs, a), rule(specs, b)
		x.From, y.From = y.From, x.From
	}
}

// TestFaultsPlantedInTheTablesAreCaught plants faults in the tables that
// conversion and verification share. What is made of them looks right to every
// check that uses the tables, and wrong to those that run the original's own
// program.
func TestFaultsPlantedInTheTablesAreCaught(t *testing.T) {
	hf := tensor.NewMeta(tensor.KV{Key: "model_type", Value: "llama"}, tensor.KV{Key: "hidden_size", Value: int64(64)},
		tensor.KV{Key: "num_hidden_layers", Value: int64(5)}, tensor.KV{Key: "num_attention_heads", Value: int64(8)},
		tensor.KV{Key: "num_key_value_heads", Value: int64(4)}, tensor.KV{Key: "rms_norm_eps", Value: 1e-5},
		tensor.KV{Key: "intermediate_size", Value: int64(172)}, tensor.KV{Key: "max_position_embeddings", Value: int64(512)})
	meta := tensor.NewMeta(tensor.KV{Key: "dim", Value: int64(64)}, tensor.KV{Key: "n_layers", Value: int64(5)},
		tensor.KV{Key: "n_heads", Value: int64(8)}, tensor.KV{Key: "max_seq_len", Value: int64(512)})
	src, err := convert.Open(stories, convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	own := relayout.Renamed(src.Model.Tensors(), func(n string) string { return strings.TrimPrefix(n, "model.") })
	transformers, err := relayout.Transformers(own, storiesHeadDim)
	if err != nil {
		t.Fatal(err)
	}
	multiHead, err := relayout.MultiHead(own, storiesHeadDim, storiesShared)
	if err != nil {
		t.Fatal(err)
	}
	b := backend(t)
	for _, c := range []struct {
		name    string
		tensors []*tensor.Tensor
		config  tensor.Meta
		plant   func([]*arch.Spec)
		cause   string
	}{
		{"no fault in llama2.c's names", multiHead, meta, func([]*arch.Spec) {}, ""},
		{"no fault in transformers' names", transformers, hf, func([]*arch.Spec) {}, ""},
		{"wq and wk", multiHead, meta, exchange("blk.{n}.attn_q.weight", "blk.{n}.attn_k.weight"), "attn_q and attn_k are exchanged in every layer"},
		{"wk and wv", multiHead, meta, exchange("blk.{n}.attn_k.weight", "blk.{n}.attn_v.weight"), "attn_k and attn_v are exchanged in every layer"},
		{"w1 and w3", multiHead, meta, exchange("blk.{n}.ffn_gate.weight", "blk.{n}.ffn_up.weight"), "ffn_gate and ffn_up are exchanged in every layer"},
		{"norms", multiHead, meta, exchange("blk.{n}.attn_norm.weight", "blk.{n}.ffn_norm.weight"), "attn_norm and ffn_norm are exchanged in every layer"},
		{"no permutation", transformers, hf, func(specs []*arch.Spec) {
			for _, n := range []string{"blk.{n}.attn_q.weight", "blk.{n}.attn_k.weight"} {
				from := rule(specs, n).From
				for i := range from {
					from[i].View = nil
				}
			}
		}, "rows in the order of the other RoPE convention"},
		{"a default", transformers, hf, func(specs []*arch.Spec) {
			for _, s := range specs {
				for i, h := range s.Hypers {
					if h.Symbol == "rope_theta" {
						s.Hypers[i].Defaults = slices.Clone(h.Defaults)
						for k := range s.Hypers[i].Defaults {
							s.Hypers[i].Defaults[k].Of = func(*arch.Values) (any, error) { return 500000.0, nil }
						}
					}
				}
			}
		}, "llama.rope.freq_base is 500000, and 10000 explains the original"},
	} {
		t.Run(c.name, func(t *testing.T) {
			arch.Planted = c.plant
			t.Cleanup(func() { arch.Planted = nil })
			m, err := tensor.NewModel("test", tensor.Meta{}, c.tensors)
			if err != nil {
				t.Fatal(err)
			}
			planted := &convert.Source{Path: "stories260K", Model: m, Configs: []arch.Config{{From: "config.json", Meta: c.config}}}
			mapped, err := convert.Mapped(t.Context(), planted, convert.Options{})
			if err != nil {
				t.Fatal(err)
			}
			p := Pair{Original: sideOf(planted), Canonical: mapped, Configs: planted.Configs, Result: Side{Name: "converted", Model: mapped.Model}}
			report := run(t, p, Options{Backends: b})
			failed := map[string]bool{}
			for _, f := range report.Failures() {
				failed[f.Check] = true
			}
			if c.cause == "" {
				if len(failed) > 0 {
					t.Fatalf("failures: %+v", report.Failures())
				}
				return
			}
			if !failed["layers"] || !failed["outputs"] || len(failed) != 2 {
				t.Errorf("failed checks %v, want layers and outputs", failed)
			}
			if first := report.Failures()[0]; !strings.Contains(first.Cause, c.cause) {
				t.Errorf("the cause is %q, want %q", first.Cause, c.cause)
			}
		})
	}
}

// TestFaultsPlantedInTheTableOfWhisperAreCaught is the same for speech.
func TestFaultsPlantedInTheTableOfWhisperAreCaught(t *testing.T) {
	src, err := convert.Open(modelOf(t, "whisper-tiny.en.pt"), convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	arch.Planted = exchange("encoder.blocks.{n}.attn.query.weight", "encoder.blocks.{n}.attn.key.weight")
	t.Cleanup(func() { arch.Planted = nil })
	mapped, err := convert.Mapped(t.Context(), src, convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := Pair{Original: sideOf(src), Canonical: mapped, Configs: src.Configs, Result: Side{Name: "converted", Model: mapped.Model}}
	report := run(t, p, Options{Level: Layers, Backends: backend(t)})
	if report.Verdict != Failed {
		t.Fatal("not caught")
	}
	first := report.Failures()[0]
	t.Logf("%+v", first)
	if first.Check != "layers" || first.Layer != "encoder.0.attn_q" {
		t.Errorf("found by %s at %s, want layers at encoder.0.attn_q", first.Check, first.Layer)
	}
}
