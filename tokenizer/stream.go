package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// A Stream turns ids into text as they come. What it returns is valid UTF-8: bytes
// of a character whose rest has not come yet are kept back, bytes that cannot
// become one are U+FFFD.
type Stream struct {
	tokenizer *Tokenizer
	pending   []byte // the beginning of a character
}

// Stream returns a stream of text that continues another; a space at its beginning
// is part of it.
func (t *Tokenizer) Stream() *Stream { return &Stream{tokenizer: t} }

// Next returns the text that id completes.
func (s *Stream) Next(id int32) string {
	s.pending = append(s.pending, s.tokenizer.Piece(id)...)
	whole := wholeCharacters(s.pending)
	text := strings.ToValidUTF8(string(s.pending[:whole]), "\ufffd")
	s.pending = append(s.pending[:0], s.pending[whole:]...)
	return text
}

// Flush returns U+FFFD if the stream ended inside a character, else nothing.
func (s *Stream) Flush() string {
	text := strings.ToValidUTF8(string(s.pending), "\ufffd")
	s.pending = s.pending[:0]
	return text
}

// wholeCharacters returns the length of b without the beginning of a character at
// its end.
func wholeCharacters(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if at := len(b) - n; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				return at
			}
			break
		}
	}
	return len(b)
}
