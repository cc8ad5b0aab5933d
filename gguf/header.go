package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/smelt-project/smelt/tensor"
)

// A Header is everything in a GGUF file that is not tensor data.
type Header struct {
	Version    uint32
	Order      binary.ByteOrder // of all numbers in the file
	Alignment  uint32           // of DataOffset and of every tensor, in bytes
	DataOffset int64            // where tensor data starts, from the start of the file
	Meta       tensor.Meta
	Tensors    []Entry // in the order of the table
}

// An Entry is one row of the tensor table.
type Entry struct {
	tensor.Info
	Offset int64 // of the first element, from the start of the file
	Row    int64 // of the row itself, from the start of the file
}

// ReadHeader reads the header of the GGUF file r of size bytes; file names it
// in errors. Every row of the tensor table is sound by itself, but whether the
// file holds the data that the rows promise is for Read to say: ReadHeader
// works on a file whose data is cut off.
func ReadHeader(r io.ReaderAt, size int64, file string) (*Header, error) {
	c := newCursor(r, size, file)
	h := &Header{}
	c.op = "gguf: read header"
	c.preamble(h)
	rows := c.count("tensors", c.width+17) // name of a byte, rank, type, offset
	keys := c.count("keys", c.width+6)     // key of a byte, type, value of a byte
	h.Meta = c.meta(keys)
	if c.err != nil {
		return nil, c.err
	}
	var err error
	if h.Alignment, err = alignment(h.Meta); err != nil {
		return nil, &tensor.Error{Op: c.op, File: file, Err: err}
	}
	c.op = "gguf: read tensor table"
	h.Tensors = c.entries(rows)
	c.tensor = ""
	h.DataOffset = pad(c.at(), h.Alignment)
	c.locate(h)
	if c.err != nil {
		return nil, c.err
	}
	return h, nil
}

// preamble reads the magic and the version, which tells the byte order: a
// version number never fills its upper half (ggml/src/gguf.cpp).
func (c *cursor) preamble(h *Header) {
	if !c.need(8) {
		return
	}
	if magic := c.chars[:len(Magic)]; magic != Magic {
		c.fail(0, tensor.ErrCorrupt, "starts with %q, a GGUF file with %q", magic, Magic)
		return
	}
	c.pos = len(Magic)
	at := c.at()
	v := c.u32()
	h.Order = binary.LittleEndian
	if v&0xffff == 0 && v != 0 {
		v = bits.ReverseBytes32(v)
		c.swap, h.Order = true, binary.BigEndian
	}
	if c.err == nil && (v == 0 || v > version) {
		c.fail(at, tensor.ErrUnsupported, "version %d, smelt reads 1 to %d", v, version)
	}
	if v == 1 {
		c.width = 4
	}
	h.Version = v
}

// meta reads n keys and their values.
func (c *cursor) meta(n int) tensor.Meta {
	c.op = "gguf: read metadata"
	kvs := make([]tensor.KV, 0, min(n, 1024))
	seen := make(map[string]int64, min(n, 1024)) // key to where it stands
	for i := 0; i < n && c.err == nil; i++ {
		at := c.at()
		key := c.text("key", maxKey)
		if key == "" {
			c.fail(at, tensor.ErrCorrupt, "key %d of %d is empty", i, n)
		}
		if first, ok := seen[key]; ok {
			c.fail(at, tensor.ErrCorrupt, "key %q occurs twice, first at byte 0x%x", key, first)
		}
		seen[key] = at
		kvs = append(kvs, tensor.KV{Key: key, Value: c.value(key)})
	}
	if c.err != nil {
		return tensor.Meta{}
	}
	return tensor.NewMeta(kvs...)
}

// entries reads n rows of the tensor table; Offset still counts from the start
// of the data.
func (c *cursor) entries(n int) []Entry {
	rows := make([]Entry, 0, min(n, 1024))
	seen := make(map[string]int64, min(n, 1024)) // name to where its row stands
	for i := 0; i < n && c.err == nil; i++ {
		e := c.entry()
		if e.Name == "" {
			c.fail(e.Row, tensor.ErrCorrupt, "tensor %d of %d has no name", i, n)
		}
		if first, ok := seen[e.Name]; ok {
			c.fail(e.Row, tensor.ErrCorrupt, "name occurs twice, first at byte 0x%x", first)
		}
		seen[e.Name] = e.Row
		rows = append(rows, e)
	}
	return rows
}

// entry reads one row: name, rank, dimensions, type, offset.
func (c *cursor) entry() Entry {
	e := Entry{Row: c.at()}
	c.tensor = ""
	e.Name = c.text("tensor name", maxName)
	c.tensor = e.Name
	e.Shape = c.shape()
	at := c.at()
	e.DType = tensor.DType(c.u32())
	e.Offset = c.i64()
	if c.err != nil {
		return e
	}
	if err := checkType(e.DType); err != nil {
		c.wrap(at, err)
	} else if _, err := e.Size(); err != nil {
		c.wrap(e.Row, err)
	}
	return e
}

// shape reads a rank and as many dimensions, the fastest first.
func (c *cursor) shape() tensor.Shape {
	at := c.at()
	rank := c.u32()
	if rank > maxDims {
		c.fail(at, tensor.ErrUnsupported, "%d dimensions, ggml has at most %d", rank, maxDims)
		return nil
	}
	s := make(tensor.Shape, rank)
	for i := len(s) - 1; i >= 0; i-- {
		at := c.at()
		d := c.length()
		if d > math.MaxInt {
			c.fail(at, tensor.ErrCorrupt, "dimension of %d", d)
			return nil
		}
		s[i] = int(d)
	}
	return s
}

// locate turns the offsets of h's tensors into offsets in the file. The format
// wants multiples of the alignment; others betray a writer that padded to
// something else than what the file declares, and every tensor would be read
// from a wrong place.
func (c *cursor) locate(h *Header) {
	for i := range h.Tensors {
		e := &h.Tensors[i]
		c.tensor = e.Name
		if e.Offset < 0 || e.Offset > math.MaxInt64-h.DataOffset {
			c.fail(e.Row, tensor.ErrCorrupt, "offset %d in the data", uint64(e.Offset)) //nolint:gosec // as the file has it
			return
		}
		if e.Offset%int64(h.Alignment) != 0 {
			c.fail(e.Row, tensor.ErrCorrupt, "offset %d in the data is not a multiple of the alignment %d", e.Offset, h.Alignment)
			return
		}
		e.Offset += h.DataOffset
	}
}

// Format names the version and byte order in words, such as "GGUF v3" or
// "GGUF v3 big-endian".
func (h *Header) Format() string {
	if h.Order == binary.BigEndian {
		return fmt.Sprintf("GGUF v%d big-endian", h.Version)
	}
	return fmt.Sprintf("GGUF v%d", h.Version)
}
