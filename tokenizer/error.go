package tokenizer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What can be wrong with tokenizer files. Errors of this package wrap one of
// these, or the error of the file system.
var (
	// ErrCorrupt: the file contradicts its format or itself.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnsupported: the file is well-formed but no runtime's metadata can express it.
	ErrUnsupported = errors.New("unsupported")
	// ErrTooLarge: a size is beyond the bounds of this package.
	ErrTooLarge = errors.New("too large")
	// ErrNotFound: there is no tokenizer where one was looked for.
	ErrNotFound = errors.New("no tokenizer found")
)

// An Error locates a failure in a tokenizer file.
type Error struct {
	Op     string // what was attempted, "tokenizer: read SentencePiece"
	File   string // as far as known
	Offset int64  // in bytes from the start of the file; -1 if no single place is at fault
	Err    error
}

// Error states operation, place and cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.File != "" {
		b.WriteString(" " + e.File)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " at byte %#x", e.Offset)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// inFile names the file that err is about, if err does not.
func inFile(name string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.File == "" {
		named := *e
		named.File = name
		return &named
	}
	return err
}

// quote shows a text from a file in a message, shortened to 64 bytes.
func quote(s string) string {
	const limit = 64
	if len(s) > limit {
		return strconv.QuoteToASCII(s[:limit]) + "…"
	}
	return strconv.Quote(s)
}
