package tokenizer

import (
	"maps"
	"slices"
	"strings"
)

// A KV is one metadata pair. Value is a uint32, bool, string, []string,
// []float32, []int32 or []byte; a []byte is meant as an array of 8-bit unsigned
// integers.
type KV struct {
	Key   string
	Value any
}

// roles lists the special tokens in the order in which their keys are written.
// The spelling of SEP's key is the one that runtimes look for (llama.cpp
// gguf-py/gguf/constants.py).
var roles = []struct {
	role Role
	key  string
}{
	{BOS, "bos_token_id"},
	{EOS, "eos_token_id"},
	{UNK, "unknown_token_id"},
	{SEP, "seperator_token_id"}, //nolint:misspell // theirs
	{PAD, "padding_token_id"},
	{CLS, "cls_token_id"},
	{MASK, "mask_token_id"},
	{EOT, "eot_token_id"},
	{EOM, "eom_token_id"},
	{FIMPre, "fim_pre_token_id"},
	{FIMSuf, "fim_suf_token_id"},
	{FIMMid, "fim_mid_token_id"},
}

// Pairs lists the tokenizer.* metadata of a GGUF file in the order in which
// llama.cpp's converter writes it: tokens, merges, special ids, what is added,
// chat templates. What the vocabulary does not say is left out. The slices are
// the vocabulary's own, except for the types.
func (v *Vocab) Pairs() []KV {
	var kvs []KV
	add := func(key string, value any) { kvs = append(kvs, KV{key, value}) }
	add("tokenizer.ggml.model", v.Model)
	if v.Pre != "" {
		add("tokenizer.ggml.pre", v.Pre)
	}
	add("tokenizer.ggml.tokens", v.Tokens)
	if v.Scores != nil {
		add("tokenizer.ggml.scores", v.Scores)
	}
	add("tokenizer.ggml.token_type", int32s(v.Types))
	if v.AddSpacePrefix != nil {
		add("tokenizer.ggml.add_space_prefix", *v.AddSpacePrefix)
	}
	if v.RemoveExtraWhitespaces != nil {
		add("tokenizer.ggml.remove_extra_whitespaces", *v.RemoveExtraWhitespaces)
	}
	if v.Lowercase != nil {
		add("tokenizer.ggml.normalizer.lowercase", *v.Lowercase)
	}
	if v.StripAccents != nil {
		add("tokenizer.ggml.normalizer.strip_accents", *v.StripAccents)
	}
	if len(v.PrecompiledCharsmap) > 0 {
		add("tokenizer.ggml.precompiled_charsmap", v.PrecompiledCharsmap)
	}
	if len(v.Merges) > 0 {
		add("tokenizer.ggml.merges", v.Merges)
	}
	kvs = append(kvs, v.specialPairs()...)
	return append(kvs, v.templatePairs()...)
}

func (v *Vocab) specialPairs() []KV {
	var kvs []KV
	for _, r := range roles {
		if id, ok := v.Special[r.role]; ok {
			kvs = append(kvs, KV{"tokenizer.ggml." + r.key, uint32(id)}) //nolint:gosec // an index of Tokens
		}
	}
	for _, f := range []struct {
		key   string
		value *bool
	}{
		{"add_bos_token", v.AddBOS},
		{"add_eos_token", v.AddEOS},
		{"add_sep_token", v.AddSEP},
	} {
		if f.value != nil {
			kvs = append(kvs, KV{"tokenizer.ggml." + f.key, *f.value})
		}
	}
	return kvs
}

func (v *Vocab) templatePairs() []KV {
	var kvs []KV
	names := slices.Sorted(maps.Keys(v.ChatTemplates))
	for _, name := range names {
		kvs = append(kvs, KV{"tokenizer.chat_template." + name, v.ChatTemplates[name]})
	}
	if len(names) > 0 {
		kvs = append(kvs, KV{"tokenizer.chat_templates", names})
	}
	if v.ChatTemplate != "" {
		kvs = append(kvs, KV{"tokenizer.chat_template", v.ChatTemplate})
	}
	return kvs
}

// templateName replaces what a metadata key cannot carry (llama.cpp
// gguf-py/gguf/gguf_writer.py, add_chat_template).
func templateName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}

func int32s(types []TokenType) []int32 {
	out := make([]int32, len(types))
	for i, t := range types {
		out[i] = int32(t)
	}
	return out
}
