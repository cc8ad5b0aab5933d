package tensor

import (
	"errors"
	"fmt"
	"strings"
)

// Classes of failure; test with errors.Is.
var (
	// ErrCorrupt: the input contradicts itself or its format.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnsupported: the input is valid but uses something smelt does not handle.
	ErrUnsupported = errors.New("not supported")
	// ErrTooLarge: a size in the input exceeds a limit that protects memory.
	ErrTooLarge = errors.New("too large")
	// ErrNotFound: a file, member, tensor or key that is needed is not there.
	ErrNotFound = errors.New("not found")
)

// An Error locates a failure: what was attempted, in which file and member of
// it, on which tensor, at which byte.
type Error struct {
	Op     string // "gguf: read tensor info"
	File   string // path as the user gave it
	Member string // name inside a container, such as a zip member
	Tensor string
	Offset int64 // in Member if that is set, else in File; 0 and below: unknown
	Err    error
}

// Error formats the parts that are known:
//
//	gguf: read tensor info m.gguf: tensor "output.weight" at byte 0x1f20: corrupt
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.File != "" {
		b.WriteString(" " + e.File)
	}
	var at []string
	if e.Member != "" {
		at = append(at, fmt.Sprintf("member %q", e.Member))
	}
	if e.Tensor != "" {
		at = append(at, fmt.Sprintf("tensor %q", e.Tensor))
	}
	if e.Offset > 0 {
		at = append(at, fmt.Sprintf("at byte 0x%x", e.Offset))
	}
	if len(at) > 0 {
		b.WriteString(": " + strings.Join(at, " "))
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
