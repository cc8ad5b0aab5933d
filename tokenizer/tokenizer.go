package tokenizer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Tokenizer turns text into token ids and back, as llama.cpp does with the same
// metadata (src/llama-vocab.cpp). It is safe for concurrent use.
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

// An encoder appends the ids of a text without special tokens.
type encoder interface {
	encode(ids []int32, text string) []int32
}

// An algorithm is what tokenizer.ggml.model names.
type algorithm struct {
	build func(v *Vocab, types []TokenType) (encoder, error)
	// spell gives the bytes of a normal token.
	spell func(token string) []byte
	// What metadata leaves out: whether a space is put before a text, the tokens
	// around it and whether they are added, the ids of roles.
	addSpace          bool
	first, last       Role
	addFirst, addLast bool
	special           map[Role]int
}

var algorithms = map[string]algorithm{
	"llama": {
		build: newScoreBPE, spell: spellSpaces, addSpace: true, first: BOS, last: EOS, addFirst: true,
		special: map[Role]int{BOS: 1, EOS: 2, UNK: 0},
	},
	"gpt2": {build: newByteBPE, spell: spellBytes, first: BOS, last: EOS},
	"bert": {
		build: newWordPiece, spell: spellSpaces, first: CLS, last: SEP, addFirst: true, addLast: true,
		special: map[Role]int{CLS: 101, SEP: 102, UNK: 100, PAD: 0, MASK: 103},
	},
}

func spellSpaces(token string) []byte { return []byte(unescapeSpaces(token)) }

// spellBytes: a token that is not written in the byte alphabet is text.
func spellBytes(token string) []byte {
	if raw, ok := DecodeBytes(token); ok {
		return raw
	}
	return []byte(token)
}

// endTokens are the tokens that end a generation whatever the metadata says of
// them, unless a vocabulary also has a token that gives them another meaning
// (llama.cpp src/llama-vocab.cpp, special_eog_ids).
var endTokens = []struct{ text, unless string }{
	{text: "<|eot_id|>"}, {text: "<|im_end|>"}, {text: "<|return|>"}, {text: "<|call|>"}, {text: "<|calls|>"},
	{text: "<|flush|>"}, {text: "<end_of_turn>"}, {text: "<|endoftext|>"}, {text: "<|eom_id|>"}, {text: "<EOT>"},
	{text: "_<EOT>"}, {text: "[EOT]"}, {text: "[EOS]"}, {text: "<|end_of_text|>"}, {text: "<end_of_utterance>"},
	{text: "<eos>"}, {text: "<turn|>"}, {text: "<|tool_response>"}, {text: "<｜end▁of▁sentence｜>"}, {text: "[e~["},
	{text: "<|end|>", unless: "<|call|>"},
	{text: "</s>", unless: "<|tool_response>"},
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
	// Runtimes heed the prefix of no other vocabulary. A "bert" one marks the first word as any.
	t.addSpace = a.addSpace && (v.AddSpacePrefix == nil || *v.AddSpacePrefix)
	t.dropSpace = t.addSpace || v.Model == "bert"
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
	addFirst := t.addFirst
	if pre := named(v.Pre); v.Model == "gpt2" && pre != nil {
		addFirst = pre.addBOS && v.token(BOS) >= 0
	}
	for _, side := range []struct {
		role      Role
		said      *bool
		otherwise bool
		ids       *[]int32
	}{
		{t.first, v.AddBOS, addFirst, &t.before},
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
