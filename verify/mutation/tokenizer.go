package mutation

import (
	"slices"
)

// Keys of vocabularies.
const (
	tokensKey = "tokenizer.ggml.tokens"
	scoresKey = "tokenizer.ggml.scores"
	typesKey  = "tokenizer.ggml.token_type"
	mergesKey = "tokenizer.ggml.merges"
	modelKey  = "tokenizer.ggml.model"
	preKey    = "tokenizer.ggml.pre"
	bosKey    = "tokenizer.ggml.bos_token_id"
	eosKey    = "tokenizer.ggml.eos_token_id"
	addBOSKey = "tokenizer.ggml.add_bos_token"
)

// tokenizerFaults change the vocabulary.
var tokenizerFaults = []Mutation{
	{Tokenizer, "two tokens in each other's place", texts(tokensKey, "swapped", func(l []string) []string {
		l[300], l[301] = l[301], l[300]
		return l
	})},
	{Tokenizer, "a token with another text", texts(tokensKey, "entry 310", func(l []string) []string {
		l[310] += "x"
		return l
	})},
	{Tokenizer, "a token too few", texts(tokensKey, "missing", func(l []string) []string { return l[:len(l)-1] })},
	{Tokenizer, "a token too many", texts(tokensKey, "too many", func(l []string) []string { return append(l, "one more") })},
	{Tokenizer, "merges in the wrong order", texts(mergesKey, "entries differ", func(l []string) []string {
		slices.Reverse(l)
		return l
	})},
	{Tokenizer, "a merge too few", texts(mergesKey, "missing", func(l []string) []string { return l[1:] })},
	{Tokenizer, "two merges in each other's place", texts(mergesKey, "swapped", func(l []string) []string {
		l[0], l[1] = l[1], l[0]
		return l
	})},
	{Tokenizer, "scores of zero", func(e *edit) expectation {
		v, _ := e.meta.Get(scoresKey)
		scores, ok := v.([]float32)
		if !ok {
			return none
		}
		e.set(scoresKey, make([]float32, len(scores)))
		return expect(scoresKey, "entries differ")
	}},
	{Tokenizer, "every token ordinary", func(e *edit) expectation {
		v, _ := e.meta.Get(typesKey)
		types, ok := v.([]int32)
		if !ok {
			return none
		}
		plain := make([]int32, len(types))
		for i := range plain {
			plain[i] = 1
		}
		e.set(typesKey, plain)
		return expect(typesKey, "differ")
	}},
	{Tokenizer, "another kind of vocabulary", changedText(modelKey, map[string]string{"llama": "gpt2", "gpt2": "llama"})},
	{Tokenizer, "another pre-tokenizer", changedText(preKey, map[string]string{"smollm": "llama-bpe", "default": "llama-bpe", "gpt-2": "llama-bpe"})},
	{Tokenizer, "another first token", nextID(bosKey)},
	{Tokenizer, "another last token", nextID(eosKey)},
	{Tokenizer, "a first token where there is none, or none where there is", func(e *edit) expectation {
		v, _ := e.meta.Get(addBOSKey)
		adds, ok := v.(bool)
		if !ok {
			return none
		}
		e.set(addBOSKey, !adds)
		return expect(addBOSKey, addBOSKey)
	}},
}

// texts changes a list of strings.
func texts(key, cause string, change func([]string) []string) func(*edit) expectation {
	return func(e *edit) expectation {
		v, _ := e.meta.Get(key)
		list, ok := v.([]string)
		if !ok {
			return none
		}
		e.set(key, change(slices.Clone(list)))
		return expect(key, cause)
	}
}

// changedText changes a string to what to has for it.
func changedText(key string, to map[string]string) func(*edit) expectation {
	return func(e *edit) expectation {
		other, ok := to[e.meta.Text(key)]
		if !ok {
			return none
		}
		e.set(key, other)
		return expect(key, other)
	}
}

// nextID makes an id the one after it.
func nextID(key string) func(*edit) expectation {
	return func(e *edit) expectation {
		if _, ok := e.meta.Get(key); !ok {
			return none
		}
		e.set(key, uint32(e.count(key)+1)) //nolint:gosec // an id of a small vocabulary
		return expect(key, key)
	}
}
