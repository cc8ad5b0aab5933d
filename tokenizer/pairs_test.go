package tokenizer

import (
	"reflect"
	"testing"
)

func TestPairsComeInTheOrderOfLlamaCppsConverter(t *testing.T) {
	v := &Vocab{
		Model: "llama", Pre: "default",
		Tokens: []string{"<s>", "a"}, Scores: []float32{0, -1}, Types: []TokenType{Control, Normal}, Merges: []string{"a b"},
		Special: map[Role]int{PAD: 0, BOS: 0, UNK: 1, SEP: 0, FIMMid: 1},
		AddBOS:  ptr(true), AddEOS: ptr(false), AddSEP: ptr(false), AddSpacePrefix: ptr(false), RemoveExtraWhitespaces: ptr(true),
		PrecompiledCharsmap: []byte{1, 2},
		ChatTemplate:        "{{ a }}", ChatTemplates: map[string]string{"tool_use": "t", "rag": "r"},
	}
	want := []KV{
		{"tokenizer.ggml.model", "llama"},
		{"tokenizer.ggml.pre", "default"},
		{"tokenizer.ggml.tokens", []string{"<s>", "a"}},
		{"tokenizer.ggml.scores", []float32{0, -1}},
		{"tokenizer.ggml.token_type", []int32{3, 1}},
		{"tokenizer.ggml.add_space_prefix", false},
		{"tokenizer.ggml.remove_extra_whitespaces", true},
		{"tokenizer.ggml.precompiled_charsmap", []byte{1, 2}},
		{"tokenizer.ggml.merges", []string{"a b"}},
		{"tokenizer.ggml.bos_token_id", uint32(0)},
		{"tokenizer.ggml.unknown_token_id", uint32(1)},
		{"tokenizer.ggml.seperator_token_id", uint32(0)},
		{"tokenizer.ggml.padding_token_id", uint32(0)},
		{"tokenizer.ggml.fim_mid_token_id", uint32(1)},
		{"tokenizer.ggml.add_bos_token", true},
		{"tokenizer.ggml.add_eos_token", false},
		{"tokenizer.ggml.add_sep_token", false},
		{"tokenizer.chat_template.rag", "r"},
		{"tokenizer.chat_template.tool_use", "t"},
		{"tokenizer.chat_templates", []string{"rag", "tool_use"}},
		{"tokenizer.chat_template", "{{ a }}"},
	}
	for range 20 { // map order differs from run to run
		if got := v.Pairs(); !reflect.DeepEqual(got, want) {
			t.Fatalf("Pairs() = %v, want %v", got, want)
		}
	}
}

func TestPairsLeaveOutWhatIsNotSaid(t *testing.T) {
	v := &Vocab{Model: "gpt2", Tokens: []string{"a"}, Types: []TokenType{Normal}}
	want := []KV{
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.tokens", []string{"a"}},
		{"tokenizer.ggml.token_type", []int32{1}},
	}
	if got := v.Pairs(); !reflect.DeepEqual(got, want) {
		t.Errorf("Pairs() = %v, want %v", got, want)
	}
}

func TestTemplateNamesAreReducedToLettersAndDigits(t *testing.T) {
	if got, want := templateName("tool-use v2.é"), "tool_use_v2__"; got != want {
		t.Errorf("templateName = %q, want %q", got, want)
	}
}
