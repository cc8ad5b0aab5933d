// Package tokenizer reads what a checkpoint's tokenizer files say and states it
// the way GGUF files do; and it turns text into token ids and back, as that
// statement means.
//
// Three kinds of source give a [Vocab]: SentencePiece models (tokenizer.model),
// Hugging Face tokenizer.json files with a byte-pair model, and the two
// vocabularies that OpenAI's Whisper models share, which are part of this
// package. [Vocab.Pairs] lists the tokenizer.* metadata of a GGUF file, [FromMeta]
// reads it back, [Vocab.Tokenizer] is what encodes and decodes.
//
// The package is a leaf: it knows neither tensors nor model files.
package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Vocab is everything a GGUF file says about a tokenizer. Tokens, Scores and
// Types are indexed by token id; Scores may be nil, else all three have the same
// length.
type Vocab struct {
	// Model is the algorithm, as tokenizer.ggml.model names it: "llama" for
	// SentencePiece byte-pair, "t5" for SentencePiece unigram, "gpt2" for
	// byte-level byte-pair, "bert" for WordPiece.
	Model string
	// Pre names the way text is cut before byte-pair merging
	// (tokenizer.ggml.pre); "default" where the model has no such step.
	Pre string

	// Tokens holds the text of every token. In a "gpt2" vocabulary normal tokens
	// are spelled in the byte alphabet of [EncodeBytes], added ones in plain
	// UTF-8; in "llama" and "t5" a space is "▁" and a single byte is "<0x0A>"; in
	// "bert" "▁" begins a word.
	Tokens []string
	Scores []float32
	Types  []TokenType
	// Merges lists the pairs of a byte-pair vocabulary, best first, as "left right".
	Merges []string

	// Special gives the ids of tokens with a role; a role that is not a key is unset.
	Special map[Role]int

	// What is added around a text and how spaces are treated; nil says nothing.
	AddBOS, AddEOS, AddSEP                 *bool
	AddSpacePrefix, RemoveExtraWhitespaces *bool
	// How a "bert" vocabulary wants words: in lower case if Lowercase is nil or set;
	// without accents if StripAccents is set, or if it is nil and they are in lower case.
	Lowercase, StripAccents *bool
	// PrecompiledCharsmap is SentencePiece's compiled normalization table.
	PrecompiledCharsmap []byte

	// ChatTemplate is the default template, a Jinja program; ChatTemplates are
	// the others, by name.
	ChatTemplate  string
	ChatTemplates map[string]string
}

// A TokenType says what a token is for. The numbers are those of
// sentencepiece_model.proto and of tokenizer.ggml.token_type.
type TokenType int32

// The token types.
const (
	Normal      TokenType = 1
	Unknown     TokenType = 2 // stands for text the vocabulary cannot spell
	Control     TokenType = 3 // has no text of its own
	UserDefined TokenType = 4 // found in text before anything is split
	Unused      TokenType = 5 // fills an id that the model has but the vocabulary does not
	Byte        TokenType = 6 // one byte, spelled "<0x0A>"
)

// A Role is the purpose of a special token.
type Role string

// The roles that GGUF metadata knows.
const (
	BOS    Role = "bos"
	EOS    Role = "eos"
	UNK    Role = "unk"
	SEP    Role = "sep"
	PAD    Role = "pad"
	CLS    Role = "cls"
	MASK   Role = "mask"
	EOT    Role = "eot" // end of a turn
	EOM    Role = "eom" // end of a message that expects a tool's answer
	FIMPre Role = "fim_pre"
	FIMSuf Role = "fim_suf"
	FIMMid Role = "fim_mid"
)

// maxTokens bounds the ids of a vocabulary; the largest published one has 901,629 (XLM-V).
const maxTokens = 1 << 20

// maxHoles bounds the ids that no token claims, in excess of the number of tokens.
const maxHoles = 1 << 16

// Resize makes the vocabulary n tokens long, the number of rows of the model's
// embedding, by appending tokens "[PAD<id>]" of type [Unused]. It fails with
// [ErrTooLarge] if there are more than n tokens already or n is out of bounds,
// and with [ErrCorrupt] if a token is called like that.
func (v *Vocab) Resize(n int) error {
	have := len(v.Tokens)
	if n < have {
		return fmt.Errorf("%w: the tokenizer has %d tokens, the model's vocabulary %d: they do not belong together", ErrTooLarge, have, n)
	}
	if n > have+have+maxHoles || n > maxTokens {
		return fmt.Errorf("%w: the tokenizer has %d tokens, the model's vocabulary %d", ErrTooLarge, have, n)
	}
	if n == have {
		return nil
	}
	grown := *v
	grown.Tokens, grown.Types = slices.Clone(v.Tokens), slices.Clone(v.Types)
	grown.Scores = slices.Clone(v.Scores)
	for range n - have {
		grown.pad()
	}
	if err := grown.check(); err != nil {
		return err
	}
	*v = grown
	return nil
}

// padScore is lower than every score of a real token (llama.cpp conversion/base.py,
// _create_vocab_sentencepiece).
const padScore = -10000

func padName(id int) string { return "[PAD" + strconv.Itoa(id) + "]" }

// pad appends a padding token.
func (v *Vocab) pad() {
	v.Tokens = append(v.Tokens, padName(len(v.Tokens)))
	v.Types = append(v.Types, Unused)
	if v.Scores != nil {
		v.Scores = append(v.Scores, padScore)
	}
}

// check fails if two tokens have the same text, which no runtime loads, or a
// special id has no token.
func (v *Vocab) check() error {
	order := make([]int, len(v.Tokens))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(strings.Compare(v.Tokens[a], v.Tokens[b]), cmp.Compare(a, b))
	})
	for i := 1; i < len(order); i++ {
		if a, b := order[i-1], order[i]; v.Tokens[a] == v.Tokens[b] {
			return fmt.Errorf("%w: token %s has two ids, %d and %d", ErrCorrupt, quote(v.Tokens[a]), a, b)
		}
	}
	for _, r := range roles {
		if id, ok := v.Special[r.role]; ok && (id < 0 || id >= len(v.Tokens)) {
			return fmt.Errorf("%w: the %s token has id %d, the vocabulary has %d tokens", ErrCorrupt, r.role, id, len(v.Tokens))
		}
	}
	return nil
}

// setSpecial records id for role unless the role has one already.
func (v *Vocab) setSpecial(role Role, id int) {
	if _, ok := v.Special[role]; ok {
		return
	}
	if v.Special == nil {
		v.Special = map[Role]int{}
	}
	v.Special[role] = id
}
