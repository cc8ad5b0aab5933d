package tokenizer

import (
	"bytes"
	"testing"
)

func TestByteAlphabetIsThatOfGPT2(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"space before a word", " the", "Ġthe"},
		{"line end", "\n", "Ċ"},
		{"bytes of a character", "é", "Ã©"},
		{"no-break space and soft hyphen", "\xa0\xad", "łŃ"},
		{"nothing", "", ""},
	} {
		if got := EncodeBytes([]byte(c.raw)); got != c.want {
			t.Errorf("%s: EncodeBytes(%q) = %q, want %q", c.name, c.raw, got, c.want)
		}
	}
}

func TestByteAlphabetIsInvertible(t *testing.T) {
	raw := make([]byte, 256)
	for i := range raw {
		raw[i] = byte(i)
	}
	back, ok := DecodeBytes(EncodeBytes(raw))
	if !ok || !bytes.Equal(back, raw) {
		t.Errorf("DecodeBytes(EncodeBytes(all bytes)) = %v, %v", back, ok)
	}
	if got, ok := DecodeBytes("a b"); ok {
		t.Errorf("DecodeBytes(%q) = %q, want no result: a plain space is outside the alphabet", "a b", got)
	}
}
