// Package tensor is the representation that every model format is read into
// and written from: named arrays whose bytes stay in their file until they are
// asked for, and the metadata that goes with them.
//
// Everything here is immutable and safe for concurrent use. A rearrangement
// (Rows, Concat, PermuteRows, Strided …) is a new Tensor that maps ranges onto
// its source; nothing is copied until it is read.
package tensor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// An Info describes a tensor without its data.
type Info struct {
	Name  string
	DType DType
	Shape Shape
}

// Size returns the number of bytes of the tensor's elements.
func (i Info) Size() (int64, error) { return i.DType.Bytes(i.Shape) }

// An Origin says where a tensor's bytes come from.
type Origin struct {
	File    string // path as the user gave it
	Member  string // inside a container
	Offset  int64  // of the first element, in File; -1 if the bytes are not one range of File
	Storage string // tensors of one file with equal Storage share bytes; "" if unknown
	Note    string // what a reader should know: "transposed view", "tied to x", "scales of x"
}

// A Tensor is one named array whose bytes are read only when asked for.
type Tensor struct {
	Info
	// Data holds the elements, little-endian, row by row without gaps, exactly
	// Size bytes. Concurrent ReadAt calls are safe.
	Data   io.ReaderAt
	Origin Origin
}

// New returns a tensor over data after checking that info's size exists.
func New(info Info, data io.ReaderAt, origin Origin) (*Tensor, error) {
	if _, err := info.Size(); err != nil {
		return nil, &Error{Op: "tensor", File: origin.File, Member: origin.Member, Tensor: info.Name, Err: err}
	}
	return &Tensor{Info: info, Data: data, Origin: origin}, nil
}

// Size returns the number of bytes of the elements. New has checked that it exists.
func (t *Tensor) Size() int64 {
	n, err := t.Info.Size()
	if err != nil {
		panic("tensor: " + t.Name + " was not made by New: " + err.Error())
	}
	return n
}

// Renamed returns t under another name.
func (t *Tensor) Renamed(name string) *Tensor {
	c := *t
	c.Name = name
	return &c
}

// ReadAll reads all bytes of t.
func (t *Tensor) ReadAll() ([]byte, error) {
	b := make([]byte, t.Size())
	if err := t.ReadFull(b, 0); err != nil {
		return nil, err
	}
	return b, nil
}

// ReadFull fills b from byte off of t's elements.
func (t *Tensor) ReadFull(b []byte, off int64) error {
	if len(b) == 0 {
		return nil
	}
	n, err := t.Data.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("got %d of %d bytes: %w", n, len(b), io.ErrUnexpectedEOF)
	}
	return &Error{Op: "read", File: t.Origin.File, Member: t.Origin.Member, Tensor: t.Name, Offset: off + int64(n), Err: err}
}

// chunkBytes is how much Digest and Equal read at a time: large enough that a
// strided view gathers in long runs, small enough to stay in cache.
const chunkBytes = 1 << 20

// chunks calls fn with consecutive ranges of [0, size).
func chunks(ctx context.Context, size int64, fn func(off int64, n int) error) error {
	for off := int64(0); off < size; off += chunkBytes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(off, int(min(chunkBytes, size-off))); err != nil {
			return err
		}
	}
	return nil
}

// Digest returns the SHA-256 of t's elements, row-major, little-endian, without
// padding; of the packed blocks for quantized types.
func (t *Tensor) Digest(ctx context.Context) ([sha256.Size]byte, error) {
	h := sha256.New()
	buf := make([]byte, min(chunkBytes, t.Size()))
	err := chunks(ctx, t.Size(), func(off int64, n int) error {
		if err := t.ReadFull(buf[:n], off); err != nil {
			return err
		}
		h.Write(buf[:n])
		return nil
	})
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum, err
}

// errDiffer ends a comparison early; it does not leave the package.
var errDiffer = errors.New("differ")

// Equal reports whether a and b have the same type, shape and bytes. It stops
// reading at the first difference.
func Equal(ctx context.Context, a, b *Tensor) (bool, error) {
	if a.DType != b.DType || !a.Shape.Equal(b.Shape) {
		return false, nil
	}
	if a.Origin.Storage != "" && a.Origin == b.Origin && a.Origin.Offset >= 0 {
		return true, nil
	}
	size, equal := a.Size(), true
	x, y := make([]byte, min(chunkBytes, size)), make([]byte, min(chunkBytes, size))
	err := chunks(ctx, size, func(off int64, n int) error {
		if err := a.ReadFull(x[:n], off); err != nil {
			return err
		}
		if err := b.ReadFull(y[:n], off); err != nil {
			return err
		}
		if !bytes.Equal(x[:n], y[:n]) {
			equal = false
			return errDiffer
		}
		return nil
	})
	if !equal {
		return false, nil
	}
	return err == nil, err
}
