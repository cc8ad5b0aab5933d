package ollama

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Classes of failure; test with errors.Is. A file that may not be read is
// [io/fs.ErrPermission].
var (
	// ErrName: the text is not a model name.
	ErrName = errors.New("not a model name")
	// ErrNoStore: the directory is not one in which Ollama keeps models.
	ErrNoStore = errors.New("not an Ollama models directory")
	// ErrNotFound: the store holds no model of that name.
	ErrNotFound = errors.New("no such model")
	// ErrMalformed: a manifest or a JSON layer is not what its format asks for.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge: a manifest or text layer exceeds the limit that protects memory.
	ErrTooLarge = errors.New("too large")
	// ErrMissing: the manifest names a blob that is not there.
	ErrMissing = errors.New("blob is missing")
	// ErrPartial: the blob is not there, but a download of it was begun.
	ErrPartial = errors.New("blob is not completely downloaded")
	// ErrTruncated: the blob holds fewer bytes than the manifest says.
	ErrTruncated = errors.New("blob is truncated")
	// ErrOversize: the blob holds more bytes than the manifest says.
	ErrOversize = errors.New("blob is too long")
	// ErrDigest: the blob's content does not have the digest in its name.
	ErrDigest = errors.New("digest differs")
	// ErrIrregular: a directory, pipe or device is where a file should be.
	ErrIrregular = errors.New("not a regular file")
	// ErrChanged: the store changed while it was read.
	ErrChanged = errors.New("changed while it was read")
	// ErrExists: a model of that name is there and may not be replaced.
	ErrExists = errors.New("a model of that name exists")
	// ErrUncertain: what may be removed is not known, as a manifest cannot be read.
	ErrUncertain = errors.New("what its manifests refer to is not known")
	// ErrUnsupported: the model is kept in a way that has no single weights file.
	ErrUnsupported = errors.New("not supported")
)

// An Error locates a failure: what was attempted, for which model, on which of
// its blobs, in which file, and what the user can do. Empty parts are unknown.
type Error struct {
	Op     string // "ollama: read blob"
	Model  string // short form: "llama3:latest"
	Role   Role   // "template"
	Digest string // "sha256:…", as the manifest has it
	Path   string // of the file concerned
	Err    error
	Fix    string // "run …", without a final period
}

// Error formats the parts that are known:
//
//	ollama: read blob: llama3:latest: template sha256:3c…: /m/blobs/sha256-3c…: blob is truncated: …; pull the model again
func (e *Error) Error() string {
	parts := []string{e.Op}
	if e.Model != "" {
		parts = append(parts, e.Model)
	}
	if what := strings.TrimSpace(string(e.Role) + " " + e.Digest); what != "" {
		parts = append(parts, what)
	}
	if e.Path != "" {
		parts = append(parts, visible(e.Path))
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	s := strings.Join(parts, ": ")
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// visible returns a path as it is, or quoted if it has characters that could
// make a terminal show something else.
func visible(path string) string {
	for _, r := range path {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			return strconv.Quote(path)
		}
	}
	return path
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}
