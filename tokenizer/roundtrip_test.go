package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// fixtures are vocabularies that can spell every text and give it back. (One with
// user-defined tokens and a space before the text has it after each of them too.)
func fixtures(t testing.TB) map[string]*Tokenizer {
	t.Helper()
	list := map[string]*Tokenizer{"bytes": mustTokenizer(t, smallBytes()), "SentencePiece": mustTokenizer(t, smallSP())}
	for _, name := range []string{"hf_digits.json", "stories260K.json"} {
		v, err := HuggingFace(readTestdata(t, name))
		list[name] = tokenizerOf(t, v, err)
	}
	for _, name := range []string{"sp_bpe.model", "stories260K.model"} {
		v, err := SentencePiece(readTestdata(t, name))
		list[name] = tokenizerOf(t, v, err)
	}
	return list
}

func TestDecodingGivesTheCorpusBack(t *testing.T) {
	list := fixtures(t)
	list["whisper"] = whisperOf(t, 51865).Tokenizer
	for name, tok := range list {
		for _, text := range Corpus() {
			if got := tok.Decode(tok.Encode(text, EncodeOptions{})); got != marked(tok, text) {
				t.Errorf("%s: Decode(Encode(%q)) = %q", name, text, got)
			}
		}
	}
}

// marked is text as a vocabulary has it that writes spaces as "▁": the sign is a space too.
func marked(tok *Tokenizer, text string) string {
	if _, ok := tok.encoder.(*scoreBPE); ok {
		return unescapeSpaces(text)
	}
	return text
}

func FuzzRoundTrip(f *testing.F) {
	list := fixtures(f)
	for _, text := range Corpus() {
		f.Add(text)
	}
	f.Add("\xff\xfe\x80 broken \xe2\x82 \xf0\x9f")
	f.Fuzz(func(t *testing.T, text string) {
		for name, tok := range list {
			ids := tok.Encode(text, EncodeOptions{})
			if got := tok.Decode(ids); got != marked(tok, text) {
				t.Fatalf("%s: Decode(Encode(%q)) = %q", name, text, got)
			}
			var whole []byte
			var streamed strings.Builder
			s := tok.Stream()
			for _, id := range ids {
				whole = append(whole, tok.Piece(id)...)
				streamed.WriteString(s.Next(id))
			}
			streamed.WriteString(s.Flush())
			if got := streamed.String(); !utf8.ValidString(got) || utf8.Valid(whole) && got != string(whole) {
				t.Fatalf("%s: %q streams as %q", name, text, got)
			}
		}
	})
}

func TestLongTextsOfOneLetter(t *testing.T) {
	text := strings.Repeat("a", 1<<18)
	list := fixtures(t)
	list["whisper"] = whisperOf(t, 51865).Tokenizer
	for name, tok := range list {
		if got := tok.Decode(tok.Encode(text, EncodeOptions{})); got != text {
			t.Errorf("%s: %d letters become %d", name, len(text), len(got))
		}
	}
}

// The encoding of a text does not depend on who else uses the tokenizer.
func TestTokenizersAreSharedSafely(t *testing.T) {
	tok := whisperOf(t, 51865).Tokenizer
	text := strings.Join(Corpus(), "\n")
	want := tok.Encode(text, EncodeOptions{})
	done := make(chan bool)
	for range 4 {
		go func() { done <- slices.Equal(tok.Encode(text, EncodeOptions{}), want) }()
	}
	for range 4 {
		if !<-done {
			t.Error("an encoding beside others is different")
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, text := range []struct{ name, text string }{
		{"corpus", strings.Repeat(strings.Join(Corpus(), "\n"), 20)},
		{"English", strings.Repeat(Corpus()[0]+"\n", 2000)},
		{"letter", strings.Repeat("a", 1<<20)},
	} {
		whisper := whisperOf(b, 51865).Tokenizer
		stories := fixtures(b)["stories260K.model"]
		for _, tok := range []struct {
			name string
			*Tokenizer
		}{{"whisper", whisper}, {"stories260K", stories}} {
			b.Run(tok.name+"/"+text.name, func(b *testing.B) {
				b.SetBytes(int64(len(text.text)))
				b.ReportAllocs()
				for b.Loop() {
					tok.Encode(text.text, EncodeOptions{})
				}
			})
		}
	}
}
