package tokenizer

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func small() *Vocab {
	return &Vocab{Model: "llama", Pre: "default", Tokens: []string{"a", "b"}, Scores: []float32{0, -1}, Types: []TokenType{Normal, Normal}}
}

func TestResizePadsToTheModelsVocabulary(t *testing.T) {
	v := small()
	if err := v.Resize(4); err != nil {
		t.Fatal(err)
	}
	want := &Vocab{
		Model: "llama", Pre: "default", Tokens: []string{"a", "b", "[PAD2]", "[PAD3]"},
		Scores: []float32{0, -1, padScore, padScore}, Types: []TokenType{Normal, Normal, Unused, Unused},
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("Resize(4) gives %+v, want %+v", v, want)
	}
}

func TestResizeKeepsAVocabularyWithoutScoresWithoutThem(t *testing.T) {
	v := small()
	v.Scores = nil
	if err := v.Resize(3); err != nil || v.Scores != nil || len(v.Types) != 3 {
		t.Errorf("Resize(3) = %v; scores %v, types %v", err, v.Scores, v.Types)
	}
}

func TestResizeThatCannotBeLeavesTheVocabularyAsItWas(t *testing.T) {
	for _, c := range []struct {
		name  string
		token string
		n     int
		want  error
		says  string
	}{
		{"fewer than there are", "b", 1, ErrTooLarge, "has 2 tokens, the model's vocabulary 1"},
		{"negative", "b", -1, ErrTooLarge, "the model's vocabulary -1"},
		{"far more", "b", 1 << 30, ErrTooLarge, "has 2 tokens, the model's vocabulary 1073741824"},
		{"a token with the name of a padding token", "[PAD2]", 3, ErrCorrupt, `"[PAD2]" has two ids, 1 and 2`},
	} {
		v := small()
		v.Tokens[1] = c.token
		before := slices.Clone(v.Tokens)
		err := v.Resize(c.n)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Resize(%d) = %v, want %v saying %q", c.name, c.n, err, c.want, c.says)
		}
		if !slices.Equal(v.Tokens, before) || len(v.Types) != 2 || len(v.Scores) != 2 {
			t.Errorf("%s: tokens became %q", c.name, v.Tokens)
		}
	}
}

func TestErrorsStateOperationPlaceAndCause(t *testing.T) {
	for _, c := range []struct {
		name string
		err  Error
		want string
	}{
		{"everything known", Error{Op: "tokenizer: read", File: "m/tokenizer.model", Offset: 16, Err: ErrCorrupt}, "tokenizer: read m/tokenizer.model at byte 0x10: corrupt"},
		{"no single place", Error{Op: "tokenizer: read", File: "x", Offset: -1, Err: ErrUnsupported}, "tokenizer: read x: unsupported"},
		{"no file", Error{Op: "tokenizer: read", Offset: 0, Err: ErrCorrupt}, "tokenizer: read at byte 0x0: corrupt"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if !errors.Is(&c.err, c.err.Err) {
			t.Errorf("%s: does not wrap its cause", c.name)
		}
	}
}
