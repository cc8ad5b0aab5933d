package verify

import (
	"strings"
	"testing"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

func backend(t *testing.T) []infer.Backend {
	t.Helper()
	b, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return []infer.Backend{b}
}

func TestEveryTypeComputesTheSameWithinItsLimits(t *testing.T) {
	b := backend(t)
	for _, r := range quantize.Recipes() {
		t.Run(r.Name, func(t *testing.T) {
			p := pairOf(t, stories, convert.Options{Type: r.Name})
			report := run(t, p, Options{Backends: b})
			for _, f := range report.Failures() {
				t.Errorf("%+v", f)
			}
			for _, l := range report.LeftOut {
				if !strings.Contains(l.Why, "backend") {
					t.Errorf("left out: %v", l)
				}
			}
			for _, f := range report.Findings {
				if f.Layer != "" && (f.Metric != RelativeError || strings.HasSuffix(f.Layer, "4.residual") || strings.HasSuffix(f.Layer, "logits")) {
					t.Logf("%s %s %s: %v of %v", f.Check, f.Layer, f.Metric, f.Got, f.Limit)
				}
			}
		})
	}
}

func TestWrongHyperparametersAreNamed(t *testing.T) {
	b := backend(t)
	p := pairOf(t, stories, convert.Options{Type: "Q8_0"})
	for _, kv := range []tensor.KV{
		{Key: "llama.rope.freq_base", Value: float32(1e6)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-3)},
		{Key: "llama.block_count", Value: uint32(4)},
	} {
		t.Run(kv.Key, func(t *testing.T) {
			report := run(t, changed(t, p, p.Result.Model.Meta.With(kv), p.Result.Model.Tensors()), Options{Backends: b})
			for _, f := range report.Failures() {
				t.Logf("%s %s %s %s %v > %v: %s", f.Check, f.Key, f.Layer, f.Metric, f.Got, f.Limit, f.Cause)
			}
			if f := report.Failures(); len(f) == 0 || f[0].Key != kv.Key {
				t.Errorf("the first failure is %+v, want %s", f, kv.Key)
			}
		})
	}
}
