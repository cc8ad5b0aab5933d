package tokenizer

import (
	"errors"
	"maps"
	"testing"
)

func TestOnlyHalvesOfCharactersAreLone(t *testing.T) {
	for _, c := range []struct {
		name, json string
		want       int
	}{
		{"no escape", `"é😀"`, -1},
		{"pair", `"\ud83d\ude00"`, -1},
		{"pairs in a row", `"\uD83D\uDE00\ud83d\ude00"`, -1},
		{"escaped backslash before it", `"\\ud83d"`, -1},
		{"escaped backslash and a half", `"\\\ud83d"`, 3},
		{"other escape", `"\u00e9\n\uffff"`, -1},
		{"high alone", `"a\ud83d"`, 2},
		{"high before other text", `"\ud83dx"`, 1},
		{"low alone", `"\ude00"`, 1},
		{"low before high", `"\ude00\ud83d"`, 1},
		{"escape cut off", `"\ud8`, -1},
		{"escape of no number", `"\udzzz"`, -1},
	} {
		if got := loneSurrogate([]byte(c.json)); got != c.want {
			t.Errorf("%s: loneSurrogate(%s) = %d, want %d", c.name, c.json, got, c.want)
		}
	}
}

func TestPostProcessorsSayWhatIsAdded(t *testing.T) {
	special := func(id string) string { return `{"SpecialToken":{"id":"` + id + `","type_id":0}}` }
	const text = `{"Sequence":{"id":"A","type_id":0}}`
	template := func(parts string) string { return `{"type":"TemplateProcessing","single":[` + parts + `]}` }
	tokens := `{"id":3,"content":"<|end|>","special":true},{"id":4,"content":"<s>","special":true},{"id":5,"content":"<t>","special":true}`
	yes, no := ptr(true), ptr(false)
	for _, c := range []struct {
		name, post, config string
		bos, eos, sep      *bool
		special            map[Role]int
	}{
		{"nothing", "null", "{}", no, nil, nil, map[Role]int{}},
		{"bytes only", `{"type":"ByteLevel"}`, "{}", no, nil, nil, map[Role]int{}},
		{"text alone", template(text), "{}", no, nil, nil, map[Role]int{}},
		{"begin", template(special("<s>") + "," + text), "{}", yes, nil, nil, map[Role]int{BOS: 4}},
		{"begin, in a sequence", `{"type":"Sequence","processors":[{"type":"ByteLevel"},` + template(special("<s>")+","+text) + `]}`, "{}", yes, nil, nil, map[Role]int{BOS: 4}},
		{"end", template(text + "," + special("<t>")), "{}", no, yes, nil, map[Role]int{EOS: 5}},
		{"another end than the configured one", template(text + "," + special("<t>")), `{"eos_token":"<|end|>"}`, no, yes, nil, map[Role]int{EOS: 5, EOT: 3}},
		{"begins with what is not BOS", template(special("<t>") + "," + text), `{"bos_token":"<s>"}`, no, nil, nil, map[Role]int{BOS: 4}},
		{"begins with CLS", template(special("<t>") + "," + text + "," + special("<|end|>")), `{"cls_token":"<t>","sep_token":"<|end|>"}`, yes, yes, nil, map[Role]int{BOS: 5, CLS: 5, EOS: 3, SEP: 3}},
		{"the configuration decides", template(special("<s>") + "," + text), `{"add_bos_token":false,"add_eos_token":true}`, no, yes, nil, map[Role]int{BOS: 4}},
		{"RoBERTa", `{"type":"RobertaProcessing","sep":["<t>",5],"cls":["<s>",4]}`, `{"bos_token":"<s>","eos_token":"<t>","sep_token":"<t>"}`, yes, yes, yes, map[Role]int{BOS: 4, EOS: 5, SEP: 5}},
	} {
		file := tokenizerJSON(`{"id":3,"content":"<|end|>","special":true}`, tokens, `"post_processor":null`, `"post_processor":`+c.post)
		v, err := Open(files("tokenizer.json", string(file), "tokenizer_config.json", c.config), "model")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, f := range []struct {
			what      string
			got, want *bool
		}{{"add_bos", v.AddBOS, c.bos}, {"add_eos", v.AddEOS, c.eos}, {"add_sep", v.AddSEP, c.sep}} {
			if (f.got == nil) != (f.want == nil) || f.got != nil && *f.got != *f.want {
				t.Errorf("%s: %s = %v, want %v", c.name, f.what, show(f.got), show(f.want))
			}
		}
		if !maps.Equal(v.Special, c.special) {
			t.Errorf("%s: special ids %v, want %v", c.name, v.Special, c.special)
		}
	}
}

func show(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

func TestControlTokensNotMarkedAsSuchAreRecognized(t *testing.T) {
	for _, c := range []struct {
		text string
		want TokenType
	}{
		{"<pad>", Control}, {"<|im_end|>", Control}, {"<｜User｜>", Control}, {"<unused12>", Control}, {"[@BOS@]", Control},
		{"<think>", UserDefined}, {"<|a", UserDefined}, {"  ", UserDefined},
	} {
		if got := (addedToken{Content: c.text}).typeOf(); got != c.want {
			t.Errorf("the added token %q has type %d, want %d", c.text, got, c.want)
		}
	}
}

func TestMoreMergesThanAnyFileHasAreRefused(t *testing.T) {
	var list mergeList
	b := make([]byte, 0, 6*maxMerges+8)
	b = append(b, '[')
	for range maxMerges {
		b = append(b, `"a b",`...)
	}
	b = append(b, `"a b"]`...)
	if err := list.UnmarshalJSON(b); !errors.Is(err, ErrTooLarge) {
		t.Errorf("UnmarshalJSON = %v after %d merges, want %v", err, len(list), ErrTooLarge)
	}
}
