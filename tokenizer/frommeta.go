package tokenizer

import (
	"fmt"
	"math"
	"slices"
)

// FromMeta reads the tokenizer.* metadata of a GGUF file back, the inverse of
// [Vocab.Pairs]. get returns the value of a key, in the Go type that is its stored
// type; every integer type will do. It fails with [ErrNotFound] if there is no
// tokenizer, and with [ErrCorrupt] or [ErrTooLarge] naming the key that is wrong.
// A special id outside the vocabulary is left out, as runtimes do. The slices of
// the result are those of the metadata.
func FromMeta(get func(key string) (any, bool)) (*Vocab, error) {
	r := metaReader{get: get}
	if name, ok := get(metaPrefix + "model"); !ok || name == "none" {
		return nil, &Error{Op: "tokenizer: read metadata", Offset: -1, Err: fmt.Errorf("%w: there is no tokenizer.ggml.model, or it says none", ErrNotFound)}
	}
	v := &Vocab{
		Model: r.text("model"), Pre: r.text("pre"),
		Tokens: read[[]string](&r, "tokens"), Scores: r.scores(), Types: r.types(), Merges: read[[]string](&r, "merges"),
		AddBOS: r.flag("add_bos_token"), AddEOS: r.flag("add_eos_token"), AddSEP: r.flag("add_sep_token"),
		AddSpacePrefix: r.flag("add_space_prefix"), RemoveExtraWhitespaces: r.flag("remove_extra_whitespaces"),
		Lowercase: r.flag("normalizer.lowercase"), StripAccents: r.flag("normalizer.strip_accents"),
		PrecompiledCharsmap: read[[]byte](&r, "precompiled_charsmap"),
	}
	if v.Types == nil {
		v.Types = slices.Repeat([]TokenType{Normal}, len(v.Tokens))
	}
	for _, role := range roles {
		if id, ok := r.id(role.key); ok && id < len(v.Tokens) {
			v.setSpecial(role.role, id)
		}
	}
	r.templates(v)
	if r.err == nil {
		r.err = v.consistent()
	}
	if r.err != nil {
		return nil, &Error{Op: "tokenizer: read metadata", Offset: -1, Err: r.err}
	}
	return v, nil
}

// A metaReader keeps the first error.
type metaReader struct {
	get func(key string) (any, bool)
	err error
}

const metaPrefix = "tokenizer.ggml."

func (r *metaReader) has(key string) bool {
	_, ok := r.get(metaPrefix + key)
	return ok
}

func (r *metaReader) bad(key string, value any, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s is a %T, want %s", ErrCorrupt, key, value, want)
	}
}

// read returns the value of a key; zero if it is missing or not a T.
func read[T any](r *metaReader, key string) T {
	return readKey[T](r, metaPrefix+key)
}

func readKey[T any](r *metaReader, key string) T {
	value, ok := r.get(key)
	v, is := value.(T)
	if ok && !is {
		r.bad(key, value, fmt.Sprintf("%T", v))
	}
	return v
}

func (r *metaReader) text(key string) string { return read[string](r, key) }

func (r *metaReader) flag(key string) *bool {
	if !r.has(key) {
		return nil
	}
	return ptr(read[bool](r, key))
}

func (r *metaReader) scores() []float32 {
	value, ok := r.get(metaPrefix + "scores")
	if ints, is := value.([]int32); is {
		scores := make([]float32, len(ints))
		for i, n := range ints {
			scores[i] = float32(n)
		}
		return scores
	}
	scores, is := value.([]float32)
	if ok && !is {
		r.bad(metaPrefix+"scores", value, "[]float32")
	}
	for id, s := range scores {
		if math.IsNaN(float64(s)) && r.err == nil {
			r.err = fmt.Errorf("%w: %sscores: that of token %d is not a number", ErrCorrupt, metaPrefix, id)
		}
	}
	return scores
}

func (r *metaReader) types() []TokenType {
	var types []TokenType
	for id, n := range read[[]int32](r, "token_type") {
		if (n < 0 || n > int32(Byte)) && r.err == nil {
			r.err = fmt.Errorf("%w: %stoken_type: that of token %d is %d, want 1 to 6", ErrCorrupt, metaPrefix, id, n)
		}
		types = append(types, TokenType(n))
	}
	return types
}

// id reads a token id of any integer type. -1, in any width, means none.
func (r *metaReader) id(key string) (id int, ok bool) {
	value, ok := r.get(metaPrefix + key)
	if !ok {
		return 0, false
	}
	n, ok := integer(value)
	if !ok {
		r.bad(metaPrefix+key, value, "an integer")
	}
	if n >= maxTokens {
		return 0, false
	}
	return int(n), ok
}

// integer converts a scalar; negative numbers become large.
func integer(value any) (n uint64, ok bool) {
	switch v := value.(type) {
	case uint8:
		return uint64(v), true
	case int8:
		return uint64(v), true //nolint:gosec // large is meant
	case uint16:
		return uint64(v), true
	case int16:
		return uint64(v), true //nolint:gosec // large is meant
	case uint32:
		return uint64(v), true
	case int32:
		return uint64(v), true //nolint:gosec // large is meant
	case uint64:
		return v, true
	case int64:
		return uint64(v), true //nolint:gosec // large is meant
	}
	return 0, false
}

func (r *metaReader) templates(v *Vocab) {
	const key = "tokenizer.chat_template"
	v.ChatTemplate = readKey[string](r, key)
	names := readKey[[]string](r, key+"s")
	if len(names) > maxTemplates {
		r.err = fmt.Errorf("%w: %d chat templates, the limit is %d", ErrTooLarge, len(names), maxTemplates)
		return
	}
	for _, name := range names {
		if v.ChatTemplates == nil {
			v.ChatTemplates = map[string]string{}
		}
		v.ChatTemplates[name] = readKey[string](r, key+"."+name)
	}
}
