//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/gguf"
	"github.com/smelt-project/smelt/tokenizer"
)

// mixedTexts are the built-in texts and pieces of them in random order, always the same.
func mixedTexts(n int) []string {
	corpus := tokenizer.Corpus()
	all := []rune(strings.Join(corpus, "\n"))
	random := rand.New(rand.NewPCG(5, 7))
	for range n {
		var b strings.Builder
		for range 1 + random.IntN(12) {
			at := random.IntN(len(all))
			b.WriteString(string(all[at:min(len(all), at+random.IntN(20))]))
		}
		corpus = append(corpus, b.String())
	}
	return corpus
}

func TestTokenizesAsTheOriginalLibraries(t *testing.T) {
	texts := mixedTexts(2000)
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		path func(t *testing.T) string
		o    tokenizer.EncodeOptions
	}{
		{"SmolLM2", func(t *testing.T) string { return need(t, model("smollm2-hf")) }, tokenizer.EncodeOptions{Special: true}},
		{"stories260K", func(t *testing.T) string {
			return filepath.Join(need(t, shared), "models", "stories260K", "tokenizer.model")
		}, tokenizer.EncodeOptions{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.path(t)
			cmd := exec.Command(need(t, python), filepath.Join("peers", "original_ids.py"), path)
			cmd.Stdin = bytes.NewReader(in)
			var want [][]int32
			decode(t, output(t, cmd), &want)
			same(t, originalTokenizer(t, path), texts, c.o, want)
		})
	}
}

// originalTokenizer reads the files that the original library reads.
func originalTokenizer(t *testing.T, path string) *tokenizer.Tokenizer {
	t.Helper()
	var v *tokenizer.Vocab
	var err error
	if strings.HasSuffix(path, ".model") {
		v, err = tokenizer.OpenFile(path)
	} else {
		v, err = tokenizer.Open(os.DirFS(path), ".")
	}
	if err != nil {
		t.Fatal(err)
	}
	return toTokenizer(t, v)
}

func toTokenizer(t *testing.T, v *tokenizer.Vocab) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := v.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func same(t *testing.T, tok *tokenizer.Tokenizer, texts []string, o tokenizer.EncodeOptions, want [][]int32) {
	t.Helper()
	for i, text := range texts {
		if got := tok.Encode(text, o); !slices.Equal(got, want[i]) {
			t.Errorf("Encode(%q)\n got %v\nwant %v", text, got, want[i])
		}
	}
}

func TestTokenizesAsLlamaCppDoes(t *testing.T) {
	// node-llama-cpp hands texts to C as strings that a NUL ends.
	texts := slices.DeleteFunc(mixedTexts(20), func(s string) bool { return s == "" || strings.Contains(s, "\x00") })
	for _, c := range []struct {
		name    string
		source  func(t *testing.T) string
		special bool
	}{
		{"SmolLM2", func(t *testing.T) string { return need(t, model("smollm2-bin")) }, true},
		{"SmolLM2 as text", func(t *testing.T) string { return need(t, model("smollm2-bin")) }, false},
		{"stories260K", stories, true},
		{"stories260K as text", stories, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			need(t, llamaCpp)
			file := filepath.Join(t.TempDir(), "out.gguf")
			smelt(t, "convert", c.source(t), file, "--type", "f16")
			prompts := make([]prompt, len(texts))
			for i, text := range texts {
				prompts[i] = prompt{Text: text, Special: c.special}
			}
			want := make([][]int32, len(texts))
			for i, r := range llama(t, file, prompts) {
				for _, id := range r.IDs {
					want[i] = append(want[i], int32(id))
				}
			}
			same(t, ggufTokenizer(t, file), texts, tokenizer.EncodeOptions{BOS: !c.special, Special: c.special}, want)
		})
	}
}

func ggufTokenizer(t *testing.T, file string) *tokenizer.Tokenizer {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := gguf.Read(f, st.Size(), file)
	if err != nil {
		t.Fatal(err)
	}
	v, err := tokenizer.FromMeta(m.Meta.Get)
	if err != nil {
		t.Fatal(err)
	}
	return toTokenizer(t, v)
}
