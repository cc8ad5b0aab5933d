package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// What the sentencepiece library says of a model, by testdata/make.py.
type spFacts struct {
	Pieces  []string
	Scores  []float32
	Types   []TokenType
	Special map[Role]int
}

func TestSentencePieceSaysWhatTheLibrarySays(t *testing.T) {
	for _, c := range []struct {
		name         string
		model        string
		userDefined  []int
		prefix, trim bool
	}{
		{"stories260K", "llama", nil, true, false},
		{"sp_bpe", "llama", []int{5, 6}, false, true},
		{"sp_unigram", "t5", nil, true, false},
	} {
		want := loadTestdata[spFacts](t, c.name+".want.json")
		v, err := SentencePiece(readTestdata(t, c.name+".model"))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, id := range c.userDefined {
			want.Types[id] = UserDefined
			want.Pieces[id] = strings.ReplaceAll(want.Pieces[id], "▁", " ")
		}
		for _, f := range []struct {
			what      string
			got, want any
		}{
			{"model", v.Model, c.model},
			{"pre", v.Pre, "default"},
			{"tokens", v.Tokens, want.Pieces},
			{"scores", v.Scores, want.Scores},
			{"types", v.Types, want.Types},
			{"special ids", v.Special, want.Special},
			{"add_space_prefix", *v.AddSpacePrefix, c.prefix},
			{"remove_extra_whitespaces", *v.RemoveExtraWhitespaces, c.trim},
		} {
			if !reflect.DeepEqual(f.got, f.want) {
				t.Errorf("%s: %s = %v, want %v", c.name, f.what, f.got, f.want)
			}
		}
	}
}

func TestSentencePieceKeepsTheSignOfZeroScores(t *testing.T) {
	v, err := SentencePiece(readTestdata(t, "stories260K.model"))
	if err != nil {
		t.Fatal(err)
	}
	if v.Tokens[259] != "▁t" || !math.Signbit(float64(v.Scores[259])) {
		t.Errorf("token 259 is %q with score %v, want \"▁t\" with -0", v.Tokens[259], v.Scores[259])
	}
}

func TestNormalizationTableIsCarried(t *testing.T) {
	v, err := SentencePiece(readTestdata(t, "sp_unigram.model"))
	if err != nil {
		t.Fatal(err)
	}
	table, ok := pair(v, "tokenizer.ggml.precompiled_charsmap").([]byte)
	if !ok || len(table) == 0 || !bytes.Contains(readTestdata(t, "sp_unigram.model"), table) {
		t.Errorf("precompiled_charsmap has %d bytes, want those of the model", len(table))
	}
}

// Messages built here by hand; field numbers as in sentencepiece_model.proto.
func spPiece(text string, score float32, typ TokenType) []byte {
	b := protowire.AppendTag(nil, pieceText, protowire.BytesType)
	b = protowire.AppendString(b, text)
	b = protowire.AppendTag(b, pieceScore, protowire.Fixed32Type)
	b = protowire.AppendFixed32(b, math.Float32bits(score))
	b = protowire.AppendTag(b, pieceType, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(typ))
}

func spMessage(num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), body)
}

func spVarint(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func TestHostileSentencePieceIsRefused(t *testing.T) {
	good := spMessage(modelPiece, spPiece("a", 0, Normal))
	bpe := spMessage(modelTrainer, spVarint(trainerModelType, 2))
	for _, c := range []struct {
		name string
		file []byte
		want error
		says string
	}{
		{"empty", nil, ErrCorrupt, "no pieces"},
		{"length beyond the file", append(protowire.AppendTag(nil, modelPiece, protowire.BytesType), 0xff, 0xff, 0xff, 0xff, 0x0f), ErrCorrupt, "bytes that remain"},
		{"length of 2^63", append(protowire.AppendTag(nil, modelPiece, protowire.BytesType), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), ErrCorrupt, "byte 0x1"},
		{"length inside a piece beyond the piece", spMessage(modelPiece, []byte{pieceText<<3 | 2, 100, 'a'}), ErrCorrupt, "byte 0x3"},
		{"tag cut off", append(bytes.Clone(good), 0x80), ErrCorrupt, "byte 0xc"},
		{"field number 0", []byte{0x02, 0x00}, ErrCorrupt, ""},
		{"groups without end", bytes.Repeat([]byte{0x0b}, 100000), ErrCorrupt, ""},
		{"piece as a number", spVarint(modelPiece, 7), ErrCorrupt, "wire type 0, want 2"},
		{"empty piece", spMessage(modelPiece, spPiece("", 0, Normal)), ErrCorrupt, "piece 0 is empty"},
		{"invalid UTF-8", spMessage(modelPiece, spPiece("\xff", 0, Normal)), ErrCorrupt, "not UTF-8"},
		{"score NaN", spMessage(modelPiece, spPiece("a", float32(math.NaN()), Normal)), ErrCorrupt, "score NaN"},
		{"score infinite", spMessage(modelPiece, spPiece("a", float32(math.Inf(-1)), Normal)), ErrCorrupt, "score -Inf"},
		{"type 7", spMessage(modelPiece, spPiece("a", 0, 7)), ErrCorrupt, "type 7"},
		{"two pieces alike", bytes.Join([][]byte{good, good, bpe}, nil), ErrCorrupt, `"a" has two ids, 0 and 1`},
		{"word model", readTestdata(t, "sp_word.model"), ErrUnsupported, "word"},
		{"character model", readTestdata(t, "sp_char.model"), ErrUnsupported, "character"},
		{"unknown model type", append(bytes.Clone(good), spMessage(modelTrainer, spVarint(trainerModelType, 99))...), ErrUnsupported, "99"},
		{"spaces after words", append(bytes.Clone(good), spMessage(modelTrainer, append(spVarint(trainerModelType, 2), spVarint(trainerWordSuffix, 1)...))...), ErrUnsupported, "treat_whitespace_as_suffix"},
		{"spaces not escaped", append(bytes.Clone(good), spMessage(modelNormalizer, spVarint(normEscape, 0))...), ErrUnsupported, "escape_whitespaces"},
		{"HTML page", []byte("<!DOCTYPE html><html><body>404</body></html>"), ErrUnsupported, "HTML"},
		{"Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:9e55\nsize 499723\n"), ErrUnsupported, "git lfs pull"},
		{"tiktoken vocabulary", []byte("IQ== 0\nIg== 1\nIw== 2\n"), ErrUnsupported, "tiktoken"},
	} {
		v, err := SentencePiece(c.file)
		if v != nil || !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: SentencePiece = %v, %v; want %v saying %q", c.name, v, err, c.want, c.says)
		}
	}
}

func TestTruncatedSentencePieceGivesNoOtherTokens(t *testing.T) {
	file := readTestdata(t, "stories260K.model")
	whole, err := SentencePiece(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range file {
		v, err := SentencePiece(file[:n])
		if err == nil && !slices.Equal(v.Tokens, whole.Tokens[:len(v.Tokens)]) {
			t.Fatalf("the first %d bytes have other tokens than the file", n)
		}
	}
}

func TestSentencePieceMemoryIsBoundedByTheFile(t *testing.T) {
	var file []byte
	for i := range 200_000 {
		file = append(file, spMessage(modelPiece, []byte(fmt.Sprintf("\x0a\x05%05x", i)))...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := SentencePiece(file); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	// A piece takes 16 bytes of header, its text, a score, a type and a place in
	// the order in which they are compared.
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64<<20); got > limit {
		t.Errorf("%d bytes allocated for a file of %d, want at most %d", got, len(file), limit)
	}
}

func ExampleSentencePiece() {
	b, err := os.ReadFile("testdata/stories260K.model")
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := SentencePiece(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Model, len(v.Tokens), v.Tokens[259:263])
	// Output: llama 512 [▁t he ▁a ▁s]
}

func FuzzSentencePiece(f *testing.F) {
	for _, name := range []string{"stories260K.model", "sp_bpe.model", "sp_unigram.model", "sp_word.model"} {
		f.Add(readTestdata(f, name))
	}
	f.Add(spMessage(modelPiece, spPiece("a", 0, Normal)))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := SentencePiece(b)
		if err != nil {
			if v != nil {
				t.Errorf("a vocabulary beside the error %v", err)
			}
			return
		}
		checkConsistent(t, v)
	})
}

// checkConsistent holds for every vocabulary that reading gives.
func checkConsistent(t *testing.T, v *Vocab) {
	t.Helper()
	n := len(v.Tokens)
	if n == 0 || len(v.Types) != n || v.Scores != nil && len(v.Scores) != n {
		t.Errorf("%d tokens, %d types, %d scores", n, len(v.Types), len(v.Scores))
	}
	for role, id := range v.Special {
		if id < 0 || id >= n {
			t.Errorf("%s is token %d of %d", role, id, n)
		}
	}
	seen := map[string]bool{}
	for _, text := range v.Tokens {
		if seen[text] {
			t.Errorf("two tokens %q", text)
		}
		seen[text] = true
	}
	if v.Model == "" || v.Pre == "" {
		t.Errorf("model %q, pre %q", v.Model, v.Pre)
	}
}
