package gguf

import (
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// fixture returns a file of testdata.
func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func readBytes(b []byte) (*tensor.Model, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "m.gguf")
}

// memFiles is a folder in memory.
type memFiles map[string][]byte

func (m memFiles) Open(name string) (io.ReaderAt, int64, error) {
	b, ok := m[name]
	if !ok {
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return bytes.NewReader(b), int64(len(b)), nil
}

func (m memFiles) Names() ([]string, error) {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// write makes the file that p describes, with data as the tensors' bytes.
func write(p *tensor.Placement, data [][]byte) []byte {
	b := make([]byte, p.Size)
	for _, piece := range p.Pieces {
		copy(b[piece.Off:], piece.Bytes)
	}
	for i, d := range data {
		copy(b[p.Offsets[i]:], d)
	}
	return b
}

// rewrite lays m out anew and writes it.
func rewrite(tb testing.TB, m *tensor.Model) []byte {
	tb.Helper()
	var infos []tensor.Info
	var data [][]byte
	for _, t := range m.Tensors() {
		b, err := t.ReadAll()
		if err != nil {
			tb.Fatal(err)
		}
		infos, data = append(infos, t.Info), append(data, b)
	}
	p, err := Place(m.Meta, infos)
	if err != nil {
		tb.Fatal(err)
	}
	b := write(p, data)
	if err := Check(bytes.NewReader(b), int64(len(b)), m.Meta, infos); err != nil {
		tb.Fatalf("Check of what Place laid out: %v", err)
	}
	return b
}

// A builder puts a file together number by number, right or wrong.
type builder struct {
	b     []byte
	order binary.AppendByteOrder
}

func build() *builder { return &builder{order: binary.LittleEndian} }

func (w *builder) raw(s string) *builder { w.b = append(w.b, s...); return w }
func (w *builder) u32(v uint32) *builder { w.b = w.order.AppendUint32(w.b, v); return w }
func (w *builder) u64(v uint64) *builder { w.b = w.order.AppendUint64(w.b, v); return w }
func (w *builder) text(s string) *builder {
	return w.u64(uint64(len(s))).raw(s)
}

// head starts a version 3 file.
func (w *builder) head(tensors, keys uint64) *builder {
	return w.raw(Magic).u32(3).u64(tensors).u64(keys)
}

// row adds a row of the tensor table; dims are as stored, fastest first.
func (w *builder) row(name string, typ uint32, offset uint64, dims ...uint64) *builder {
	w.text(name).u32(uint32(len(dims)))
	for _, d := range dims {
		w.u64(d)
	}
	return w.u32(typ).u64(offset)
}

// data pads to 32 and adds n bytes.
func (w *builder) data(n int) *builder {
	return w.raw(string(make([]byte, -len(w.b)&31+n)))
}
