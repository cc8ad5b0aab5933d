//go:build interop

package interop

import (
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// run lets smelt continue the prompts of file.
func run(t *testing.T, file string, prompts []prompt) []continuation {
	t.Helper()
	var all []continuation
	for _, p := range prompts {
		var r struct {
			PromptTokens []int `json:"prompt_tokens"`
			Tokens       []int `json:"tokens"`
		}
		decode(t, []byte(smelt(t, "run", file, "--prompt", p.Text, "-n", strconv.Itoa(p.Predict), "--json")), &r)
		all = append(all, continuation{r.PromptTokens, r.Tokens})
	}
	return all
}

// llama.cpp rounds activations to float16 or, with quantized weights, to eight
// bits on the way into each product, smelt does not. With F16 that leaves the
// likeliest tokens as they are; with fewer bits they part sooner or later, at a
// token that is nearly as likely, so that only the first are compared.
func TestRunContinuesSmolLM2AsLlamaDoes(t *testing.T) {
	var want smollm2Golden
	golden(t, &want, "smollm2", "golden.json")
	need(t, llamaCpp)
	source := need(t, model("smollm2.pt"))
	prompts := want.requests()[:len(want.Prompts)]
	for _, c := range []struct {
		recipe string
		first  int // tokens that are compared
	}{{"F16", 24}, {"Q8_0", 3}, {"Q4_K_M", 1}} {
		t.Run(c.recipe, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.gguf")
			smelt(t, append([]string{"convert", source, out, "--type", c.recipe}, smollm2Tokenizer(t, "smollm2.pt")...)...)
			ours, theirs := run(t, out, prompts), llama(t, out, prompts)
			for i, p := range prompts {
				if !slices.Equal(ours[i].IDs, theirs[i].IDs) {
					t.Errorf("ids of %q = %v; llama.cpp has %v", p.Text, ours[i].IDs, theirs[i].IDs)
				}
				a, b := ours[i].Continued, theirs[i].Continued
				if n := min(c.first, len(b)); !slices.Equal(a[:min(n, len(a))], b[:n]) {
					t.Errorf("%q goes on as %v; llama.cpp says %v", p.Text, a, b)
				}
			}
		})
	}
}
