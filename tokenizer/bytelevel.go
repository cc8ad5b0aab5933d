package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// byteRune maps a byte to the character that spells it in a byte-level
// vocabulary: itself where it is printable Latin-1, else the next free code
// point from U+0100 (openai/gpt-2 src/encoder.py, bytes_to_unicode).
var byteRune = func() (table [256]rune) {
	next := 'Ā'
	for b := rune(0); b < 256; b++ {
		if b >= '!' && b <= '~' || b >= '¡' && b <= '¬' || b >= '®' && b <= 'ÿ' {
			table[b] = b
			continue
		}
		table[b] = next
		next++
	}
	return table
}()

var runeByte = func() map[rune]byte {
	m := make(map[rune]byte, 256)
	var b byte
	for _, r := range byteRune {
		m[r] = b
		b++
	}
	return m
}()

// EncodeBytes spells raw bytes in the alphabet of byte-level vocabularies:
// " the" becomes "Ġthe".
func EncodeBytes(raw []byte) string {
	var b strings.Builder
	b.Grow(len(raw))
	for _, c := range raw {
		b.WriteRune(byteRune[c])
	}
	return b.String()
}

// DecodeBytes is the inverse of [EncodeBytes]; ok is false if s has a character
// outside the alphabet.
func DecodeBytes(s string) (raw []byte, ok bool) {
	raw = make([]byte, 0, utf8.RuneCountInString(s))
	for _, r := range s {
		c, ok := runeByte[r]
		if !ok {
			return nil, false
		}
		raw = append(raw, c)
	}
	return raw, true
}
