package tokenizer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Tokenizer turns text into token ids and back, as llama.cpp does with the same
// metadata (src/llama-vocab.cpp); where llama.cpp and the original libraries
// differ in how they cut words, find tokens in text that overlap, or keep control
// tokens from being spelled by text, it does as the originals. It is safe for
// concurrent use.
type Tokenizer struct {
	tokens []string
	types  []TokenType
	algorithm
	encoder encoder

	taken, takenWithControl *matcher
	addSpace, dropSpace     bool    // before a text, when it is encoded and decoded
	before, after           []int32 // what belongs around a text
	ends                    map[int32]bool
}

// Tokenizer returns the tokenizer that v describes. It fails with [ErrUnsupported]
// for an algorithm or a pre-tokenizer that this package does not have, and with
// [ErrCorrupt] or [ErrTooLarge] for a vocabulary that contradicts itself. v must
// not be changed afterwards.
func (v *Vocab) Tokenizer() (*Tokenizer, error) {
	a, ok := algorithms[v.Model]
	if !ok {
		return nil, fmt.Errorf("%w: a tokenizer of the kind %s; those that can be run are %s", ErrUnsupported,
			quote(v.Model), strings.Join(slices.Sorted(maps.Keys(algorithms)), ", "))
	}
	if err := v.consistent(); err != nil {
		return nil, err
	}
	full := *v
	full.Special = maps.Clone(v.Special)
	for role, id := range a.special {
		if id < len(v.Tokens) {
			full.setSpecial(role, id)
		}
	}
	t := &Tokenizer{tokens: v.Tokens, types: slices.Clone(v.Types), algorithm: a}
	t.setEnds(&full)
	if err := t.setAround(&full); err != nil {
		return nil, err
	}
	t.addSpace = a.addsSpace && (v.AddSpacePrefix == nil || *v.AddSpacePrefix)
	t.dropSpace = t.addSpace || a.marksWords
	t.taken = newMatcher(t.tokens, t.types, UserDefined)
	t.takenWithControl = newMatcher(t.tokens, t.types, UserDefined, Control, Unknown)
	var err error
	t.encoder, err = a.build(&full, t.types)
	return t, err
}

// maxTaken bounds the bytes of a token that is looked for in text; published ones
// have up to 128.
const maxTaken = 1024

// maxRun is the number of bytes that are encoded at once: three times as many have
// to fit into 32 bits. Longer texts are cut.
const maxRun = 1 << 29

// consistent checks what the encoders rely on.
func (v *Vocab) consistent() error {
	n := len(v.Tokens)
	switch {
	case n == 0:
		return fmt.Errorf("%w: the vocabulary is empty", ErrCorrupt)
	case n > maxTokens:
		return fmt.Errorf("%w: %d tokens, the limit is %d", ErrTooLarge, n, maxTokens)
	case len(v.Types) != n:
		return fmt.Errorf("%w: %d tokens and %d types", ErrCorrupt, n, len(v.Types))
	case v.Scores != nil && len(v.Scores) != n:
		return fmt.Errorf("%w: %d tokens and %d scores", ErrCorrupt, n, len(v.Scores))
	}
	for id, text := range v.Tokens {
		if len(text) > maxTaken && v.Types[id] != Normal {
			return fmt.Errorf("%w: token %d, %s, has %d bytes, the limit is %d", ErrTooLarge, id, quote(text), len(text), maxTaken)
		}
	}
	return v.check()
}

// setEnds finds the tokens that end a generation and makes control tokens of those
// known by their text.
func (t *Tokenizer) setEnds(v *Vocab) {
	ids := make(map[string]int, len(endTokens))
	for _, e := range endTokens {
		ids[e.text] = -1
	}
	for id, text := range v.Tokens {
		if _, ok := ids[text]; ok {
			ids[text] = id
		}
	}
	t.ends = map[int32]bool{}
	for _, e := range endTokens {
		id := ids[e.text]
		if id < 0 || e.unless != "" && ids[e.unless] >= 0 {
			continue
		}
		t.ends[int32(id)] = true //nolint:gosec // below maxTokens
		t.types[id] = Control
	}
	for _, role := range []Role{EOS, EOT, EOM} {
		if id := v.token(role); id >= 0 {
			t.ends[id] = true
		}
	}
}

// setAround finds the tokens that belong around a text.
func (t *Tokenizer) setAround(v *Vocab) error {
	for _, side := range []struct {
		role      Role
		said      *bool
		otherwise bool
		ids       *[]int32
	}{
		{t.first, v.AddBOS, t.addFirst(v), &t.before},
		{t.last, v.AddEOS, t.addLast, &t.after},
	} {
		add := side.otherwise
		if side.said != nil {
			add = *side.said
		}
		if !add {
			continue
		}
		id := v.token(side.role)
		if id < 0 {
			return fmt.Errorf("%w: the %s token belongs to every text but has no id", ErrCorrupt, side.role)
		}
		*side.ids = []int32{id}
	}
	return nil
}

// token returns the id of a role, -1 if it has none.
func (v *Vocab) token(role Role) int32 {
	if id, ok := v.Special[role]; ok {
		return int32(id) //nolint:gosec // below maxTokens
	}
	return -1
}

// EncodeOptions say what is added to and looked for in a text.
type EncodeOptions struct {
	// BOS adds the tokens that the vocabulary puts around a text: BOS, and EOS, or
	// CLS and SEP, where it does.
	BOS bool
	// Special recognizes control tokens by their names. Without it "</s>" is text,
	// as it has to be in text that somebody else wrote.
	Special bool
}

// Encode returns the ids of text. Bytes that are not UTF-8 are encoded as they
// are. What a vocabulary without byte tokens cannot spell becomes its unknown
// token, or nothing if it has none. Time is O(n log n), memory O(n).
func (t *Tokenizer) Encode(text string, o EncodeOptions) []int32 {
	m := t.taken
	if o.Special {
		m = t.takenWithControl
	}
	var ids []int32
	if o.BOS {
		ids = append(ids, t.before...)
	}
	for text != "" {
		lo, hi, id := m.next(text)
		if lo > maxRun {
			lo, hi, id = maxRun, maxRun, -1
		}
		if lo > 0 {
			ids = t.encoder.encode(ids, t.begin(text[:lo]))
		}
		if id >= 0 {
			ids = append(ids, id)
		}
		text = text[hi:]
	}
	if o.BOS {
		ids = append(ids, t.after...)
	}
	return ids
}

// begin puts a space before a text, and before what follows a token taken out of it.
func (t *Tokenizer) begin(text string) string {
	if t.addSpace {
		return " " + text
	}
	return text
}

// Decode returns the text of ids. Control tokens, unknown tokens and ids outside
// the vocabulary have none. The space that Encode adds to the beginning is taken
// off again. The text may not be UTF-8 if the tokens are not that of a whole text.
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.Write(t.Piece(id))
	}
	if t.dropSpace {
		return strings.TrimPrefix(b.String(), " ")
	}
	return b.String()
}

// Piece returns the bytes that a token stands for, a part of a character perhaps;
// none for control tokens, unknown and unused tokens and ids outside the vocabulary.
func (t *Tokenizer) Piece(id int32) []byte {
	if id < 0 || int(id) >= len(t.tokens) {
		return nil
	}
	text := t.tokens[id]
	switch t.types[id] {
	case Control, Unknown, Unused:
		return nil
	case UserDefined:
		return []byte(text)
	case Byte:
		if b, ok := byteOfToken(text); ok {
			return []byte{b}
		}
	}
	return t.spell(text)
}

// IsEnd reports whether a token ends a generation.
func (t *Tokenizer) IsEnd(id int32) bool { return t.ends[id] }

// Len returns the number of tokens.
func (t *Tokenizer) Len() int { return len(t.tokens) }
