package tokenizer

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/gguf"
)

// sharedFile returns the path of a file of the golden results, which lie outside
// the repository; the test is skipped if it is not there.
func sharedFile(t testing.TB, path ...string) string {
	t.Helper()
	dir := os.Getenv("SMELT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	return existing(t, filepath.Join(append([]string{dir}, path...)...))
}

// cachedModel returns the path of a model that .ci/setup fetches.
func cachedModel(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SMELT_CACHE")
	if dir == "" {
		dir = filepath.Join(os.Getenv("HOME"), ".cache", "smelt")
	}
	return existing(t, filepath.Join(dir, "models", name))
}

func existing(t testing.TB, path string) string {
	t.Helper()
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("without ", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// ggufVocab reads the vocabulary of a GGUF file.
func ggufVocab(t testing.TB, path string) *Vocab {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := gguf.Read(f, st.Size(), path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := FromMeta(m.Meta.Get)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func tokenizerOf(t testing.TB, v *Vocab, err error) *Tokenizer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	tok, err := v.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// The texts and ids are those of llama.cpp's models/ggml-vocab-*.gguf.inp and .out.
func TestEncodesAsLlamaCppsVocabularyTests(t *testing.T) {
	for _, name := range []string{"bert-bge", "gpt-2", "llama-spm", "mpt", "phi-3", "refact"} {
		t.Run(name, func(t *testing.T) {
			file := sharedFile(t, "golden", "tokenizer", "ggml-vocab-"+name+".gguf")
			tok := tokenizerOf(t, ggufVocab(t, file), nil)
			in := strings.Split(readString(t, file+".inp"), "\n__ggml_vocab_test__\n")
			out := strings.Split(readString(t, file+".out"), "\n")
			for i, text := range in {
				if want := parseIDs(t, out[i]); !slices.Equal(tok.Encode(text, EncodeOptions{}), want) {
					t.Errorf("Encode(%q)\n got %v\nwant %v", text, tok.Encode(text, EncodeOptions{}), want)
				}
			}
		})
	}
}

func readString(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parseIDs(t *testing.T, line string) []int32 {
	t.Helper()
	var ids []int32
	for _, f := range strings.Fields(line) {
		n, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, int32(n))
	}
	return ids
}

type idsFile struct {
	Corpus []string
	IDs    map[string][][]int32
}

// testdata/ids.json is made by the original tokenizers: transformers, openai-whisper
// and sentencepiece.
func TestEncodesAsTheOriginals(t *testing.T) {
	golden := loadTestdata[idsFile](t, "ids.json")
	for _, c := range []struct {
		name   string
		open   func(t *testing.T) (*Vocab, error)
		o      EncodeOptions
		oneWay bool // decoding does not give the text back
	}{
		{"smollm2", func(t *testing.T) (*Vocab, error) {
			return ggufVocab(t, cachedModel(t, "smollm2-135m-instruct.Q4_1.gguf")), nil
		}, EncodeOptions{}, false},
		{"minilm", func(t *testing.T) (*Vocab, error) {
			return ggufVocab(t, sharedFile(t, "golden", "tokenizer", "ggml-vocab-bert-bge.gguf")), nil
		}, EncodeOptions{BOS: true}, true},
		{"whisper-multilingual", func(*testing.T) (*Vocab, error) { return WhisperGGUF(51865) }, EncodeOptions{}, false},
		{"whisper-en", func(*testing.T) (*Vocab, error) { return WhisperGGUF(51864) }, EncodeOptions{}, false},
		{"stories260K-sentencepiece", func(t *testing.T) (*Vocab, error) { return SentencePiece(readTestdata(t, "stories260K.model")) }, EncodeOptions{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := c.open(t)
			tok := tokenizerOf(t, v, err)
			if len(golden.IDs[c.name]) != len(golden.Corpus) {
				t.Fatalf("%d results for %d texts", len(golden.IDs[c.name]), len(golden.Corpus))
			}
			for i, want := range golden.IDs[c.name] {
				text := golden.Corpus[i]
				got := tok.Encode(text, c.o)
				if !slices.Equal(got, want) {
					t.Errorf("Encode(%q)\n got %v\nwant %v", text, got, want)
				}
				if back := tok.Decode(got); !c.oneWay && back != text {
					t.Errorf("Decode(Encode(%q)) = %q", text, back)
				}
			}
		})
	}
}

// The prompts, chats and continuations are those of transformers.
func TestSmolLM2PromptsAndChats(t *testing.T) {
	var golden struct {
		Prompts []struct {
			Text       string
			IDs        []int32
			Greedy     []int32
			GreedyText string `json:"greedy_text"`
		}
		Chat []struct {
			Rendered string
			IDs      []int32
		}
	}
	if err := json.Unmarshal([]byte(readString(t, sharedFile(t, "golden", "smollm2", "golden.json"))), &golden); err != nil {
		t.Fatal(err)
	}
	tok := tokenizerOf(t, ggufVocab(t, cachedModel(t, "smollm2-135m-instruct.Q4_1.gguf")), nil)
	for _, p := range golden.Prompts {
		if got := tok.Encode(p.Text, EncodeOptions{BOS: true, Special: true}); !slices.Equal(got, p.IDs) {
			t.Errorf("Encode(%q)\n got %v\nwant %v", p.Text, got, p.IDs)
		}
		if got := tok.Decode(p.Greedy); got != p.GreedyText {
			t.Errorf("Decode = %q, want %q", got, p.GreedyText)
		}
	}
	for _, c := range golden.Chat {
		if got := tok.Encode(c.Rendered, EncodeOptions{Special: true}); !slices.Equal(got, c.IDs) {
			t.Errorf("Encode(%q)\n got %v\nwant %v", c.Rendered, got, c.IDs)
		}
	}
}
