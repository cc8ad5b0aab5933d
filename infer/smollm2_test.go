package infer_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/smelt-project/smelt/infer/trace"
)

// outside returns the path of something that is not in the repository: of
// variable, or of otherwise where it is not set. A test without it is skipped.
func outside(t testing.TB, variable, otherwise string, name ...string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		dir = otherwise
	}
	path := filepath.Join(append([]string{dir}, name...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%v; .ci/setup makes it, or %s names where it is", err, variable)
	}
	return path
}

func golden(t testing.TB, name ...string) string {
	return outside(t, "SMELT_SHARED", filepath.Join("..", "..", "shared"), append([]string{"golden"}, name...)...)
}

func model(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("models of that size run without -short")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	return outside(t, "SMELT_CACHE", filepath.Join(home, ".cache", "smelt"), "models", name)
}

type smolGolden struct {
	Prompts []struct {
		Text   string  `json:"text"`
		IDs    []int32 `json:"ids"`
		Greedy []int32 `json:"greedy"`
	} `json:"prompts"`
}

// What transformers computes with PyTorch in float32 differs from float64 by
// 3e-6; the limit is between that and what any mistake costs.
func TestSmolLM2EqualsTheOriginal(t *testing.T) {
	var g smolGolden
	readJSON(t, golden(t, "smollm2", "golden.json"), &g)
	logits := readFloats(t, golden(t, "smollm2", "last_logits.f32"))
	residual := readFloats(t, golden(t, "smollm2", "residual.f32"))
	sources := []struct {
		name string
		path func(t *testing.T) string
	}{
		{"checkpoint", func(t *testing.T) string { return model(t, "smollm2.pt") }},
		{"hugging face shards", func(t *testing.T) string { return model(t, "smollm2-bin") }},
		{"safetensors", func(t *testing.T) string { return model(t, "smollm2-hf") }},
		{"meta ranks", func(t *testing.T) string { return model(t, "smollm2-meta") }},
		{"gguf", func(t *testing.T) string { return converted(t, model(t, "smollm2.pt"), "f16") }},
	}
	for i, c := range sources {
		t.Run(c.name, func(t *testing.T) {
			n := llama(t, canonical(t, c.path(t)))
			s := watch(t, n, g.Prompts[0].IDs)
			got := slices.Clone(s["decoder.embedding"])
			for i := range n.Layers() - 1 {
				got = append(got, s[trace.Place{Part: trace.Decoder, Layer: i, Op: trace.Residual}.String()]...)
			}
			if e := relative(got, residual); !(e <= 2e-5) {
				t.Errorf("relative error of the residual stream: %.3g; want 2e-5 at most", e)
			}
			all := s["decoder.logits"]
			e := relative(all[len(all)-n.Vocab():], logits)
			if !(e <= 2e-5) {
				t.Errorf("relative error of the logits: %.3g; want 2e-5 at most", e)
			}
			t.Logf("relative error of the logits: %.3g", e)
			prompts := g.Prompts
			if i > 0 { // the weights are the same
				prompts = prompts[:1]
			}
			for _, p := range prompts {
				if got := greedy(t, n, p.IDs, len(p.Greedy)); !slices.Equal(got, p.Greedy) {
					t.Errorf("%q goes on as %v; want %v", p.Text, got[len(p.IDs):], p.Greedy[len(p.IDs):])
				}
			}
		})
	}
}

// The published file holds other weights, rounded to four bits: what it says to
// the first prompt is the same.
func TestPublishedSmolLM2Runs(t *testing.T) {
	var g smolGolden
	readJSON(t, golden(t, "smollm2", "golden.json"), &g)
	n := llama(t, canonical(t, model(t, "smollm2-135m-instruct.Q4_1.gguf")))
	p := g.Prompts[0]
	if got := greedy(t, n, p.IDs, len(p.IDs)+1); got[len(p.IDs)] != p.Greedy[len(p.IDs)] {
		t.Errorf("%q goes on with %d; want %d", p.Text, got[len(p.IDs)], p.Greedy[len(p.IDs)])
	}
}
