package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

func bertVocab() *Vocab {
	v := &Vocab{Model: "bert", Special: map[Role]int{CLS: 0, SEP: 1, UNK: 2}}
	v.Tokens = []string{"[CLS]", "[SEP]", "[UNK]", "▁un", "able", "▁able", "▁cafe", "▁café", "▁Able", "▁!", "▁中", "s"}
	v.Types = slices.Repeat([]TokenType{Normal}, len(v.Tokens))
	v.Types[0], v.Types[1], v.Types[2] = Control, Control, Unknown
	return v
}

func TestWordPiece(t *testing.T) {
	cased, accented := bertVocab(), bertVocab()
	cased.Lowercase = no
	accented.StripAccents = no
	for _, c := range []struct {
		name, text string
		v          *Vocab
		want       string
	}{
		{"the longest token first", "unables", bertVocab(), "▁un able s"},
		{"a word that cannot be spelled is unknown", "unx able", bertVocab(), "[UNK] ▁able"},
		{"punctuation is a word", "able!able", bertVocab(), "▁able ▁! ▁able"},
		{"so is a Chinese character", "able中able", bertVocab(), "▁able ▁中 ▁able"},
		{"in lower case without accents", "CAFÉ Able", bertVocab(), "▁cafe ▁able"},
		{"as they are", "café Able", cased, "▁café ▁Able"},
		{"with accents", "Café", accented, "▁café"},
		{"control characters are nothing", "un\u0085\x00\u200dable", bertVocab(), "▁un able"},
		{"line ends are spaces", "un\r\nable", bertVocab(), "▁un ▁able"},
		{"a long word is unknown", "un" + strings.Repeat("able", 25), bertVocab(), "[UNK]"},
	} {
		tok := mustTokenizer(t, c.v)
		if got := strings.Join(texts(tok, tok.Encode(c.text, EncodeOptions{})), " "); got != c.want {
			t.Errorf("%s: Encode(%q) = %s, want %s", c.name, c.text, got, c.want)
		}
	}
	tok := mustTokenizer(t, bertVocab())
	ids := tok.Encode("Unable !", EncodeOptions{BOS: true})
	if got := strings.Join(texts(tok, ids), " "); got != "[CLS] ▁un able ▁! [SEP]" {
		t.Errorf("around the text: %s", got)
	}
	if got := tok.Decode(ids); got != "unable !" {
		t.Errorf("Decode = %q", got)
	}
}
