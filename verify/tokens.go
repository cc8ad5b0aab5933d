package verify

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/tokenizer"
)

// Keys of the vocabulary (ggml/docs/gguf.md).
const (
	tokenizerKeys = "tokenizer.ggml."
	modelKey      = tokenizerKeys + "model"
	tokensKey     = tokenizerKeys + "tokens"
	ggmlTokensKey = "ggml.tokens" // of a whisper.cpp file
)

// steering are the keys that change ids although a vocabulary need not state
// them.
var steering = []string{"bos_token_id", "eos_token_id", "add_bos_token", "add_eos_token", "add_space_prefix", "remove_extra_whitespaces", "precompiled_charsmap", "pre"}

// checkTokenizer compares the vocabularies key by key, and then what both make
// of texts in many scripts, and back.
func checkTokenizer(_ context.Context, v *verifier) error {
	want, got := v.Canonical.Model.Meta, v.Result.Model.Meta
	if kind := want.Text(modelKey); kind == "" || kind == "none" {
		v.leaveOut("the original has no vocabulary, in it or beside it")
		return nil
	}
	if _, ok := got.Get(ggmlTokensKey); ok && got.Text(modelKey) == "" {
		return v.checkGGMLTokens(got)
	}
	n := 0
	for _, kv := range want.All() {
		if !strings.HasPrefix(kv.Key, tokenizerKeys) {
			continue
		}
		n++
		if x, _ := got.Get(kv.Key); !sameValue(kv.Value, x) {
			v.find(mismatch(Finding{Key: kv.Key, Expected: valueText(kv.Value), Found: valueText(x), Cause: listCause(kv.Key, kv.Value, x)}))
		}
	}
	for _, key := range steering {
		_, known := want.Get(tokenizerKeys + key)
		if x, ok := got.Get(tokenizerKeys + key); ok && !known {
			v.compareKey(tokenizerKeys+key, nil, x)
		}
	}
	v.find(matches(Finding{Expected: count(n, "key"), Found: "compared"}))
	return v.checkIDs(want, got)
}

// checkIDs compares the ids of texts, and the texts of ids.
func (v *verifier) checkIDs(want, got tensor.Meta) error {
	ours, err := tokenizerOf(want)
	if err != nil {
		v.leaveOut("ids of texts: the original's vocabulary: %v", err)
		return nil //nolint:nilerr // it is told in the report
	}
	theirs, err := tokenizerOf(got)
	if err != nil {
		v.find(mismatch(Finding{Key: modelKey, Expected: "a vocabulary that splits text", Found: err.Error(), Cause: "the vocabulary contradicts itself"}))
		return nil
	}
	corpus := tokenizer.Corpus()
	for _, o := range []tokenizer.EncodeOptions{{}, {BOS: true, Special: true}} {
		for i, text := range corpus {
			a, b := ours.Encode(text, o), theirs.Encode(text, o)
			if !slices.Equal(a, b) {
				v.find(mismatch(Finding{Key: tokensKey, Expected: fmt.Sprint(short(a)), Found: fmt.Sprint(short(b)), Cause: fmt.Sprintf("line %d of the corpus becomes other ids", i+1)}))
				return nil
			}
			if x, y := ours.Decode(a), theirs.Decode(a); x != y {
				v.find(mismatch(Finding{Key: tokensKey, Expected: fmt.Sprintf("%.40q", x), Found: fmt.Sprintf("%.40q", y), Cause: fmt.Sprintf("the ids of line %d of the corpus become other text", i+1)}))
				return nil
			}
		}
	}
	f := Finding{Metric: DifferingIDs, Expected: fmt.Sprintf("the ids of %d texts, both ways", len(corpus)), Found: "the same"}
	v.find(f.judged())
	return nil
}

func short(ids []int32) []int32 { return ids[:min(len(ids), 8)] }

// tokenizerOf returns the tokenizer that metadata describes.
func tokenizerOf(m tensor.Meta) (*tokenizer.Tokenizer, error) {
	vocab, err := tokenizer.FromMeta(m.Get)
	if err != nil {
		return nil, err
	}
	return vocab.Tokenizer()
}

// checkGGMLTokens compares the tokens of a whisper.cpp file, which are bytes,
// with Whisper's vocabulary.
func (v *verifier) checkGGMLTokens(got tensor.Meta) error {
	n, _ := v.Canonical.Model.Meta.Int("whisper.vocab_size")
	want, err := tokenizer.WhisperVocab(int(n))
	if err != nil {
		return err
	}
	x, _ := got.Get(ggmlTokensKey)
	tokens, _ := x.([]string)
	if len(want) != len(tokens) {
		v.find(mismatch(Finding{Key: ggmlTokensKey, Expected: count(len(want), "token"), Found: count(len(tokens), "token"), Cause: countCause(len(want), len(tokens))}))
		return nil
	}
	for i, w := range want {
		if tokens[i] != string(w) {
			v.find(mismatch(Finding{Key: ggmlTokensKey, Expected: fmt.Sprintf("token %d is %q", i, w), Found: fmt.Sprintf("%q", tokens[i]), Cause: fmt.Sprintf("token %d is another", i)}))
			return nil
		}
	}
	v.find(matches(Finding{Expected: count(len(want), "token"), Found: "compared"}))
	return nil
}

// listCause says how two values of a key differ.
func listCause(key string, want, got any) string {
	a, b := reflect.ValueOf(want), reflect.ValueOf(got)
	switch {
	case got == nil:
		return key + " is missing"
	case a.Kind() != reflect.Slice || b.Kind() != reflect.Slice || a.Type() != b.Type():
		return fmt.Sprintf("%s is %s, the original states %s", key, valueText(got), valueText(want))
	case a.Len() != b.Len():
		return countCause(a.Len(), b.Len())
	}
	differ := []int{}
	for i := range a.Len() {
		if a.Index(i).Interface() != b.Index(i).Interface() {
			differ = append(differ, i)
		}
	}
	if len(differ) == 0 {
		return "numbers that are none"
	}
	i := differ[0]
	if len(differ) == 2 && a.Index(i).Interface() == b.Index(differ[1]).Interface() && b.Index(i).Interface() == a.Index(differ[1]).Interface() {
		return fmt.Sprintf("entries %d and %d are swapped", i, differ[1])
	}
	return fmt.Sprintf("%d entries differ; entry %d is %.40q, the original's %.40q", len(differ), i, fmt.Sprint(b.Index(i)), fmt.Sprint(a.Index(i)))
}

func countCause(want, got int) string {
	if got < want {
		return fmt.Sprintf("%d entries are missing", want-got)
	}
	return fmt.Sprintf("%d entries too many", got-want)
}
