package tokenizer

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// smallBytes is a byte-level vocabulary of the bytes, "he", "hel", "lo" and two special tokens.
func smallBytes() *Vocab {
	v := &Vocab{Model: "gpt2", Pre: "gpt-2", Merges: []string{"h e", "l o", "he l"}}
	for _, r := range byteRune {
		v.Tokens = append(v.Tokens, string(r))
	}
	v.Tokens = append(v.Tokens, "he", "hel", "lo", "<|end_of_text|>", "<tool>")
	v.Types = slices.Repeat([]TokenType{Normal}, len(v.Tokens))
	v.Types[259], v.Types[260] = Control, UserDefined
	v.Special = map[Role]int{BOS: 259, EOS: 259}
	return v
}

// smallSP is a SentencePiece vocabulary: the bytes, letters, some words.
func smallSP() *Vocab {
	v := &Vocab{Model: "llama", Tokens: []string{"<unk>", "<s>", "</s>"}, Types: []TokenType{Unknown, Control, Control}, Scores: []float32{0, 0, 0}}
	for b := range 256 {
		v.Tokens, v.Types, v.Scores = append(v.Tokens, "<0x"+hexDigits[b>>4:b>>4+1]+hexDigits[b&15:b&15+1]+">"), append(v.Types, Byte), append(v.Scores, 0)
	}
	for i, text := range []string{"ab", "▁a", "abc", "▁", "a", "b", "c"} {
		v.Tokens, v.Types, v.Scores = append(v.Tokens, text), append(v.Types, Normal), append(v.Scores, -float32(i))
	}
	v.Tokens, v.Types, v.Scores = append(v.Tokens, "  two"), append(v.Types, UserDefined), append(v.Scores, 0)
	return v
}

const hexDigits = "0123456789ABCDEF"

func mustTokenizer(t testing.TB, v *Vocab) *Tokenizer {
	t.Helper()
	return tokenizerOf(t, v, nil)
}

// texts shows ids as the texts of their tokens.
func texts(tok *Tokenizer, ids []int32) []string {
	var list []string
	for _, id := range ids {
		list = append(list, tok.tokens[id])
	}
	return list
}

func TestEncode(t *testing.T) {
	bos, noBOS := smallBytes(), smallSP()
	bos.AddBOS, bos.AddEOS = yes, yes
	noBOS.AddBOS, noBOS.AddSpacePrefix = no, no
	for _, c := range []struct {
		name, text string
		v          *Vocab
		o          EncodeOptions
		want       []string
	}{
		{"merges in the order of the list", "hello", smallBytes(), EncodeOptions{}, []string{"hel", "lo"}},
		{"words apart", "he hello", smallBytes(), EncodeOptions{}, []string{"he", "Ġ", "hel", "lo"}},
		{"nothing", "", smallBytes(), EncodeOptions{BOS: true}, nil},
		{"control tokens are text", "lo<|end_of_text|>", smallBytes(), EncodeOptions{}, strings.Split("lo < | e n d _ o f _ t e x t | >", " ")},
		{"unless they are asked for", "lo<|end_of_text|>lo", smallBytes(), EncodeOptions{Special: true}, []string{"lo", "<|end_of_text|>", "lo"}},
		{"user-defined tokens always", "lo<tool>lo", smallBytes(), EncodeOptions{}, []string{"lo", "<tool>", "lo"}},
		{"around the text", "lo", bos, EncodeOptions{BOS: true}, []string{"<|end_of_text|>", "lo", "<|end_of_text|>"}},
		{"not around the text", "lo", bos, EncodeOptions{}, []string{"lo"}},
		{"bytes that are not UTF-8", "\xff\xc3", smallBytes(), EncodeOptions{}, []string{"ÿ", "Ã"}},

		{"a space before a text", "abc", smallSP(), EncodeOptions{BOS: true}, []string{"<s>", "▁", "abc"}},
		{"the highest score first", "aba", smallSP(), EncodeOptions{}, []string{"▁", "ab", "a"}},
		{"and after a control token", "a</s>a", smallSP(), EncodeOptions{Special: true}, []string{"▁a", "</s>", "▁a"}},
		{"but not if the metadata forbids it", "abc", noBOS, EncodeOptions{BOS: true}, []string{"abc"}},
		{"characters without a token are bytes", "é", noBOS, EncodeOptions{}, []string{"<0xC3>", "<0xA9>"}},
		{"a byte token is text", "<0x0A>", noBOS, EncodeOptions{}, []string{"<0x3C>", "<0x30>", "<0x78>", "<0x30>", "<0x41>", "<0x3E>"}},
		{"user-defined tokens have plain spaces", "a  two", noBOS, EncodeOptions{}, []string{"a", "  two"}},
	} {
		tok := mustTokenizer(t, c.v)
		if got := texts(tok, tok.Encode(c.text, c.o)); !slices.Equal(got, c.want) {
			t.Errorf("%s: Encode(%q) = %q, want %q", c.name, c.text, got, c.want)
		}
	}
}

func TestUnknownTextIsTheUnknownTokenOrNothing(t *testing.T) {
	v := smallSP()
	for id, typ := range v.Types {
		if typ == Byte {
			v.Types[id] = Unused
		}
	}
	tok := mustTokenizer(t, v)
	if got, want := texts(tok, tok.Encode("é", EncodeOptions{})), []string{"▁", "<unk>", "<unk>"}; !slices.Equal(got, want) {
		t.Errorf("with an unknown token: %q, want %q", got, want)
	}
	short := smallBytes()
	short.Tokens[0], short.Tokens['e'] = "[PAD0]", "[PAD1]" // NUL and e
	tok = mustTokenizer(t, short)
	if got, want := texts(tok, tok.Encode("e\x00el", EncodeOptions{})), []string{"l"}; !slices.Equal(got, want) {
		t.Errorf("without one: %q, want %q", got, want)
	}
}

func TestDecodingTakesTheAddedSpaceOff(t *testing.T) {
	tok := mustTokenizer(t, smallSP())
	for _, text := range []string{"abc", " abc", "  a  b", "", "é\x00"} {
		if got := tok.Decode(tok.Encode(text, EncodeOptions{BOS: true})); got != text {
			t.Errorf("Decode(Encode(%q)) = %q", text, got)
		}
	}
}

func TestTokensWithoutText(t *testing.T) {
	tok := mustTokenizer(t, smallBytes())
	for _, id := range []int32{-1, 259, 261, 1 << 30} {
		if p := tok.Piece(id); p != nil {
			t.Errorf("Piece(%d) = %q, want none", id, p)
		}
	}
	if got := tok.Decode([]int32{256, 259, -5, 258}); got != "helo" {
		t.Errorf("Decode = %q, want %q", got, "helo")
	}
}

func TestTokensThatEndAGeneration(t *testing.T) {
	v := smallBytes()
	v.Tokens = append(v.Tokens, "<|end|>", "<|call|>", "<|im_end|>", "other")
	v.Types = append(v.Types, Control, Normal, Normal, Normal)
	v.Special[EOT] = 264
	tok := mustTokenizer(t, v)
	for id, want := range map[int32]bool{-1: false, 0: false, 259: true, 261: false, 262: true, 263: true, 264: true, 1 << 30: false} {
		if got := tok.IsEnd(id); got != want {
			t.Errorf("IsEnd(%d) = %v, want %v", id, got, want)
		}
	}
	if got := tok.Encode("<|im_end|>", EncodeOptions{Special: true}); !slices.Equal(got, []int32{263}) {
		t.Errorf("a token that ends a generation is found as control tokens are: %v", got)
	}
}

func TestStreamsDoNotSplitCharacters(t *testing.T) {
	tok := mustTokenizer(t, smallBytes())
	for _, c := range []struct{ text, want string }{
		{"hello", "hello"},
		{"é日🙂", "é日🙂"},
		{"a\xffb", "a\ufffdb"},
		{"\xf0\x9f\x99", "\ufffd"},
		{"\xf0\x9f\x99x", "\ufffdx"},
		{"\xc3\xc3\xa9", "\ufffdé"},
	} {
		s := tok.Stream()
		var got strings.Builder
		for _, id := range tok.Encode(c.text, EncodeOptions{}) {
			part := s.Next(id)
			if !utf8.ValidString(part) {
				t.Errorf("%q: a part is %q", c.text, part)
			}
			got.WriteString(part)
		}
		got.WriteString(s.Flush())
		if got.String() != c.want {
			t.Errorf("%q streams as %q, want %q", c.text, got.String(), c.want)
		}
		if rest := s.Flush(); rest != "" {
			t.Errorf("%q: %q remains", c.text, rest)
		}
	}
}

func TestTheLongestTokenThatBeginsFirstIsTaken(t *testing.T) {
	tokens := []string{"", "<a>", "<a><b>", "b", "<a><", "日", "日本"}
	m := newMatcher(tokens, slices.Repeat([]TokenType{Control}, len(tokens)), Control)
	for _, c := range []struct {
		text   string
		lo, hi int
		id     int32
	}{
		{"", 0, 0, -1},
		{"xyz", 3, 3, -1},
		{"x<a><b>", 1, 7, 2},
		{"<a><c>", 0, 4, 4},
		{"<a>x", 0, 3, 1},
		{"<ab", 2, 3, 3},
		{"<a><b", 0, 4, 4},
		{"x日本語", 1, 7, 6},
		{"日", 0, 3, 5},
	} {
		if lo, hi, id := m.next(c.text); lo != c.lo || hi != c.hi || id != c.id {
			t.Errorf("next(%q) = %d, %d, %d, want %d, %d, %d", c.text, lo, hi, id, c.lo, c.hi, c.id)
		}
	}
}

func TestVocabulariesThatCannotBeRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Vocab)
		want   error
	}{
		{"another algorithm", func(v *Vocab) { v.Model = "t5" }, ErrUnsupported},
		{"another pre-tokenizer", func(v *Vocab) { v.Pre = "no-such" }, ErrUnsupported},
		{"no tokens", func(v *Vocab) { v.Tokens, v.Types = nil, nil }, ErrCorrupt},
		{"fewer types than tokens", func(v *Vocab) { v.Types = v.Types[1:] }, ErrCorrupt},
		{"more scores than tokens", func(v *Vocab) { v.Scores = make([]float32, len(v.Tokens)+1) }, ErrCorrupt},
		{"a text twice", func(v *Vocab) { v.Tokens[1] = v.Tokens[2] }, ErrCorrupt},
		{"a merge of one", func(v *Vocab) { v.Merges = []string{"ab"} }, ErrCorrupt},
		{"an empty merge", func(v *Vocab) { v.Merges = []string{""} }, ErrCorrupt},
		{"half a merge", func(v *Vocab) { v.Merges = []string{"a "} }, ErrCorrupt},
		{"too many merges", func(v *Vocab) { v.Merges = slices.Repeat([]string{"a b"}, maxMerges+1) }, ErrTooLarge},
		{"a long special token", func(v *Vocab) { v.Tokens[260] = strings.Repeat("x", maxTaken+1) }, ErrTooLarge},
		{"BOS without an id", func(v *Vocab) { v.AddBOS, v.Special = yes, nil }, ErrCorrupt},
		{"a special id outside", func(v *Vocab) { v.Special[PAD] = 261 }, ErrCorrupt},
	} {
		v := smallBytes()
		c.change(v)
		if _, err := v.Tokenizer(); !errors.Is(err, c.want) {
			t.Errorf("%s: Tokenizer() = %v, want %v", c.name, err, c.want)
		}
	}
}

func TestMetadataDecidesWhatIsAround(t *testing.T) {
	llama3 := smallBytes()
	llama3.Pre = "llama-bpe"
	silent := smallBytes()
	silent.Pre, silent.Special = "llama-bpe", nil
	off := smallSP()
	off.AddBOS, off.AddEOS = no, yes
	for _, c := range []struct {
		name string
		v    *Vocab
		want []int32
	}{
		{"byte-level: nothing", smallBytes(), nil},
		{"a pre-tokenizer that implies BOS", llama3, []int32{259}},
		{"but not without one", silent, nil},
		{"SentencePiece: BOS", smallSP(), []int32{1}},
		{"said otherwise", off, []int32{2}},
	} {
		if got := mustTokenizer(t, c.v).Encode("", EncodeOptions{BOS: true}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWholeWordsAreNotMerged(t *testing.T) {
	v := smallBytes()
	v.Pre = "tekken"
	v.Tokens, v.Types = append(v.Tokens, "olleh"), append(v.Types, Normal) // no merges make it
	tok := mustTokenizer(t, v)
	if got, want := texts(tok, tok.Encode("olleh", EncodeOptions{})), []string{"olleh"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
