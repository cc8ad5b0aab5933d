package tensor

import (
	"fmt"
	"io"
)

// A Model is an ordered set of tensors and the metadata that goes with them.
type Model struct {
	// Format names what the model was read from, such as "PyTorch zip" or "GGUF v3".
	Format string
	Meta   Meta
	// Notes tell a person what was met and left out: sparse tensors, unknown
	// classes, a checksum that is missing. Each is one sentence.
	Notes []string

	tensors []*Tensor
	index   map[string]int
}

// NewModel returns a model of tensors in the given order. It fails if a name is
// empty or occurs twice.
func NewModel(format string, meta Meta, tensors []*Tensor) (*Model, error) {
	m := &Model{Format: format, Meta: meta, tensors: tensors, index: make(map[string]int, len(tensors))}
	for i, t := range tensors {
		if t.Name == "" {
			return nil, &Error{Op: "model", File: t.Origin.File, Err: fmt.Errorf("tensor %d has no name: %w", i, ErrCorrupt)}
		}
		if _, ok := m.index[t.Name]; ok {
			return nil, &Error{Op: "model", File: t.Origin.File, Tensor: t.Name, Err: fmt.Errorf("name occurs twice: %w", ErrCorrupt)}
		}
		m.index[t.Name] = i
	}
	return m, nil
}

// Tensors returns the tensors in order. The caller must not change the slice.
func (m *Model) Tensors() []*Tensor { return m.tensors }

// Tensor returns the tensor called name, nil if there is none.
func (m *Model) Tensor(name string) *Tensor {
	if i, ok := m.index[name]; ok {
		return m.tensors[i]
	}
	return nil
}

// Elems returns the number of elements of all tensors together.
func (m *Model) Elems() int64 {
	var n int64
	for _, t := range m.tensors {
		e, _ := t.Shape.Elems() // New has checked it
		n += e
	}
	return n
}

// Files opens the files of a folder, so that a format can find the parts of a
// model that stand beside the one it was given.
type Files interface {
	// Open returns the contents of the file with a slash-separated relative
	// name. The contents stay readable until the whole folder is closed.
	Open(name string) (io.ReaderAt, int64, error)
	// Names lists the files directly in the folder, sorted.
	Names() ([]string, error)
}

// A Placement fixes where everything goes in an output file before a byte of
// it is written.
type Placement struct {
	Pieces  []Piece // all that is not tensor data, in order of offset
	Offsets []int64 // where tensor i starts, from the start of the file
	Size    int64   // of the whole file; bytes that nothing covers are zero
}

// A Piece is a run of bytes at a place in a file.
type Piece struct {
	Off   int64
	Bytes []byte
}
