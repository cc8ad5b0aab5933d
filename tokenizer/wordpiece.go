package tokenizer

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxWordPiece is the number of characters above which BERT takes a word for
// unknown (google-research/bert tokenization.py, WordpieceTokenizer).
const maxWordPiece = 100

// A wordPiece encodes as BERT does: words are in lower case without accents, and
// each is spelled by the longest tokens from its beginning; a word that cannot be
// spelled is one unknown token (google-research/bert tokenization.py,
// BasicTokenizer and WordpieceTokenizer). As GGUF files have it, a token that
// begins a word is marked "▁" and one inside a word is not marked.
type wordPiece struct {
	ids     map[string]int32
	unk     int32
	longest int // the bytes of the longest token

	lowercase, stripAccents bool
}

func newWordPiece(v *Vocab, types []TokenType) (encoder, error) {
	e := &wordPiece{ids: make(map[string]int32, len(v.Tokens)), unk: v.token(UNK)}
	e.lowercase = v.Lowercase == nil || *v.Lowercase
	e.stripAccents = e.lowercase
	if v.StripAccents != nil {
		e.stripAccents = *v.StripAccents
	}
	for id, text := range v.Tokens {
		if types[id] != Control && types[id] != Unknown {
			e.ids[text] = int32(id)
			e.longest = max(e.longest, len(text))
		}
	}
	return e, nil
}

func (e *wordPiece) encode(ids []int32, text string) []int32 {
	for _, word := range e.words(text) {
		known := len(ids)
		var ok bool
		if ids, ok = e.word(ids, "▁"+word); !ok {
			ids = appendKnown(ids[:known], -1, e.unk)
		}
	}
	return ids
}

func (e *wordPiece) word(ids []int32, word string) (_ []int32, ok bool) {
	if len([]rune(word)) > maxWordPiece+1 {
		return ids, false
	}
	for word != "" {
		id, n := e.longestPrefix(word)
		if n == 0 {
			return ids, false
		}
		ids, word = append(ids, id), word[n:]
	}
	return ids, true
}

func (e *wordPiece) longestPrefix(word string) (id int32, n int) {
	for n = min(len(word), e.longest); n > 0; n-- {
		if id, ok := e.ids[word[:n]]; ok {
			return id, n
		}
	}
	return 0, 0
}

// words divides text at spaces, and makes words of single punctuation marks and
// Chinese characters. Control characters are left out, also those that are spaces.
func (e *wordPiece) words(text string) []string {
	if e.stripAccents {
		text = norm.NFD.String(text)
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case r == unicode.ReplacementChar || unicode.Is(unicode.C, r) || e.stripAccents && unicode.Is(unicode.Mn, r):
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case isBERTPunctuation(r) || unicode.Is(chinese, r):
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		case e.lowercase:
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return strings.Fields(b.String())
}

// isBERTPunctuation counts all of ASCII that is neither letter, digit, space nor control.
func isBERTPunctuation(r rune) bool {
	return unicode.IsPunct(r) || r < unicode.MaxASCII && unicode.IsSymbol(r)
}

// chinese are the blocks whose characters BERT separates (huggingface/tokenizers
// normalizers/bert.rs, is_chinese_char).
var chinese = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x3400, Hi: 0x4dbf, Stride: 1}, {Lo: 0x4e00, Hi: 0x9fff, Stride: 1}, {Lo: 0xf900, Hi: 0xfaff, Stride: 1}},
	R32: []unicode.Range32{
		{Lo: 0x20000, Hi: 0x2a6df, Stride: 1}, {Lo: 0x2a700, Hi: 0x2b73f, Stride: 1}, {Lo: 0x2b740, Hi: 0x2b81f, Stride: 1},
		{Lo: 0x2b920, Hi: 0x2ceaf, Stride: 1}, {Lo: 0x2f800, Hi: 0x2fa1f, Stride: 1},
	},
}
