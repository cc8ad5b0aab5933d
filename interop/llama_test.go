//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// A prompt is one request to llama.cpp.
type prompt struct {
	Text    string `json:"text"`
	Predict int    `json:"predict"`           // tokens to add greedily
	Special bool   `json:"special,omitempty"` // <|name|> in Text is a control token; no start token is added
}

type continuation struct {
	IDs       []int `json:"ids"`
	Continued []int `json:"continued"`
}

// llama runs the prompts through llama.cpp on the file.
func llama(t *testing.T, file string, prompts []prompt) []continuation {
	t.Helper()
	in, err := json.Marshal(prompts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join("peers", "llama.mjs"), need(t, llamaCpp), file)
	cmd.Stdin = bytes.NewReader(in)
	var v struct{ Results []continuation }
	decode(t, output(t, cmd), &v)
	if len(v.Results) != len(prompts) {
		t.Fatalf("llama.cpp answered %d of %d prompts", len(v.Results), len(prompts))
	}
	return v.Results
}

func TestLlamaContinuesTheConvertedStoriesAsPyTorchDoes(t *testing.T) {
	var want struct {
		Prompt       string `json:"prompt"`
		Tokens       []int  `json:"tokens"`
		GreedyPrompt string `json:"greedy_prompt"`
		GreedyTokens []int  `json:"greedy_tokens"`
	}
	golden(t, &want, "stories260K", "golden.json")
	need(t, llamaCpp)
	out := filepath.Join(t.TempDir(), "out.gguf")
	smelt(t, "convert", stories(t), out, "--type", "f32")

	got := llama(t, out, []prompt{{Text: want.Prompt}, {Text: want.GreedyPrompt, Predict: len(want.GreedyTokens)}})
	if !slices.Equal(got[0].IDs, want.Tokens) {
		t.Errorf("ids of %q = %v, want %v", want.Prompt, got[0].IDs, want.Tokens)
	}
	all := slices.Concat(got[1].IDs, got[1].Continued)
	if all = all[:min(len(all), len(want.GreedyTokens))]; !slices.Equal(all, want.GreedyTokens) {
		t.Errorf("%q continues as\n%v, want\n%v", want.GreedyPrompt, all, want.GreedyTokens)
	}
}

// stories is the checkpoint with real weights that is small enough to lie beside the golden results.
func stories(t *testing.T) string {
	return filepath.Join(need(t, shared), "models", "stories260K", "stories260K.pt")
}

// The same model as people have it: a training checkpoint, a Hugging Face folder, Meta's tensor-parallel layout.
var smollm2Sources = []string{"smollm2.pt", "smollm2-bin", "smollm2-meta"}

// smollm2Tokenizer names the tokenizer for the one layout that has none beside it.
func smollm2Tokenizer(t *testing.T, source string) []string {
	t.Helper()
	if source != "smollm2.pt" {
		return nil
	}
	return []string{"--tokenizer", need(t, model("smollm2-hf"))}
}

type smollm2Golden struct {
	Prompts []struct {
		Text   string `json:"text"`
		IDs    []int  `json:"ids"`
		Greedy []int  `json:"greedy"`
	} `json:"prompts"`
	Chat []struct {
		Messages []message `json:"messages"`
		Rendered string    `json:"rendered"`
		IDs      []int     `json:"ids"`
	} `json:"chat"`
}

func (g smollm2Golden) requests() []prompt {
	var list []prompt
	for _, p := range g.Prompts {
		list = append(list, prompt{Text: p.Text, Predict: len(p.Greedy) - len(p.IDs)})
	}
	for _, c := range g.Chat {
		list = append(list, prompt{Text: c.Rendered, Special: true})
	}
	return list
}

func TestLlamaContinuesSmolLM2FromEveryLayoutAsTransformersDoes(t *testing.T) {
	var want smollm2Golden
	golden(t, &want, "smollm2", "golden.json")
	for _, source := range smollm2Sources {
		t.Run(source, func(t *testing.T) {
			need(t, llamaCpp)
			out := filepath.Join(t.TempDir(), "out.gguf")
			smelt(t, append([]string{"convert", need(t, model(source)), out, "--type", "f16"}, smollm2Tokenizer(t, source)...)...)
			got := llama(t, out, want.requests())
			for i, p := range want.Prompts {
				if !slices.Equal(got[i].IDs, p.IDs) {
					t.Errorf("ids of %q = %v, want %v", p.Text, got[i].IDs, p.IDs)
				}
				if all := slices.Concat(got[i].IDs, got[i].Continued); !slices.Equal(all, p.Greedy) {
					t.Errorf("%q continues as\n%v, want\n%v", p.Text, all, p.Greedy)
				}
			}
			for i, c := range want.Chat {
				if ids := got[len(want.Prompts)+i].IDs; !slices.Equal(ids, c.IDs) {
					t.Errorf("ids of %q = %v, want %v", c.Rendered, ids, c.IDs)
				}
			}
		})
	}
}

func TestEveryLayoutOfSmolLM2GivesTheSameTensors(t *testing.T) {
	dir := t.TempDir()
	var first []tensorInfo
	for _, source := range smollm2Sources {
		src := need(t, model(source))
		out := filepath.Join(dir, source+".gguf")
		smelt(t, append([]string{"convert", src, out, "--type", "f16"}, smollm2Tokenizer(t, source)...)...)
		got := inspect(t, out).Tensors
		if slices.ContainsFunc(got, func(i tensorInfo) bool { return i.Name == "output.weight" }) {
			t.Errorf("%s: output.weight is written although it is token_embd.weight", source)
		}
		if first == nil {
			first = got
			continue
		}
		sameTensors(t, got, first)
	}
}

func TestSmolLM2HasTheNamesAndShapesOfThePublishedGGUF(t *testing.T) {
	py, published := need(t, python), need(t, model("smollm2-135m-instruct.Q4_1.gguf"))
	out := filepath.Join(t.TempDir(), "out.gguf")
	smelt(t, "convert", need(t, model("smollm2-bin")), out, "--type", "f16")
	got, want := dump(t, py, out).Tensors, dump(t, py, published).Tensors
	for _, list := range [][]tensorInfo{got, want} {
		for i := range list {
			list[i] = tensorInfo{Name: list[i].Name, Shape: list[i].Shape}
		}
	}
	sameTensors(t, got, want)
}

func TestWeightsThatKeepTheirLayoutAreCopiedBitForBit(t *testing.T) {
	src := need(t, model("smollm2.pt"))
	out := filepath.Join(t.TempDir(), "out.gguf")
	smelt(t, "convert", src, out, "--type", "f16")
	got, source := byName(t, inspect(t, out).Tensors), byName(t, inspect(t, src).Tensors)
	for canonical, name := range map[string]string{
		"token_embd.weight":      "model.model.embed_tokens.weight",
		"blk.0.attn_v.weight":    "model.model.layers.0.self_attn.v_proj.weight",
		"blk.29.ffn_down.weight": "model.model.layers.29.mlp.down_proj.weight",
	} {
		if got, want := got[canonical], source[name]; got.String() != want.String() || want.SHA256 == "" {
			t.Errorf("%s = %v, want %s = %v", canonical, got, name, want)
		}
	}
}
