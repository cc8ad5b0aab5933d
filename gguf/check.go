package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/smelt-project/smelt/tensor"
)

// Check parses the file r of size bytes and compares its header with meta and
// infos, which Place laid it out from: version, byte order, every key with its
// type and value, every tensor with its type, shape and place, and the size of
// the whole. Offsets are held against the rule of llama.cpp's reader. The error
// joins every difference, got and want. Tensor data is not read.
func Check(r io.ReaderAt, size int64, meta tensor.Meta, infos []tensor.Info) error {
	h, err := ReadHeader(r, size, "")
	if err != nil {
		return err
	}
	var diffs []error
	if h.Version != version || h.Order != binary.LittleEndian {
		diffs = append(diffs, fmt.Errorf("%s, want GGUF v%d", h.Format(), version))
	}
	diffs = append(diffs, diffMeta(h.Meta.All(), stored(meta))...)
	diffs = append(diffs, h.diffTensors(infos)...)
	diffs = append(diffs, h.diffPlaces(size)...)
	if err := errors.Join(diffs...); err != nil {
		return &tensor.Error{Op: "gguf: check what was written", Err: fmt.Errorf("%w: %w", tensor.ErrCorrupt, err)}
	}
	return nil
}

// diffMeta compares keys and values in order. Values are compared as they are
// stored, so that a NaN equals itself.
func diffMeta(got, want []tensor.KV) []error {
	if len(got) != len(want) {
		return []error{fmt.Errorf("%d keys, want %d", len(got), len(want))}
	}
	var diffs []error
	for i, g := range got {
		w := want[i]
		if g.Key != w.Key {
			diffs = append(diffs, fmt.Errorf("key %d is %q, want %q", i, g.Key, w.Key))
			continue
		}
		a, err := putValue(nil, g.Value)
		if err != nil {
			diffs = append(diffs, fmt.Errorf("key %q: %w", g.Key, err))
			continue
		}
		b, err := putValue(nil, w.Value)
		if err != nil || !bytes.Equal(a, b) {
			diffs = append(diffs, fmt.Errorf("key %q: %T of %d bytes differs from the %T of %d bytes that it should be", g.Key, g.Value, len(a), w.Value, len(b)))
		}
	}
	return diffs
}

func (h *Header) diffTensors(infos []tensor.Info) []error {
	if len(h.Tensors) != len(infos) {
		return []error{fmt.Errorf("%d tensors, want %d", len(h.Tensors), len(infos))}
	}
	var diffs []error
	for i, e := range h.Tensors {
		w := infos[i]
		if e.Name != w.Name || e.DType != w.DType || !e.Shape.Equal(storedShape(w.Shape)) {
			diffs = append(diffs, fmt.Errorf("tensor %d is %q %v %v, want %q %v %v", i, e.Name, e.DType, e.Shape, w.Name, w.DType, storedShape(w.Shape)))
		}
	}
	return diffs
}

// diffPlaces holds offsets against ggml/src/gguf.cpp: each tensor starts where
// the padding of the one before ends, and the padding of the last ends the file.
func (h *Header) diffPlaces(size int64) []error {
	if len(h.Tensors) == 0 {
		return nil
	}
	next := h.DataOffset
	var diffs []error
	for _, e := range h.Tensors {
		n, err := e.Size()
		if err != nil {
			return append(diffs, err)
		}
		if e.Offset != next {
			diffs = append(diffs, fmt.Errorf("tensor %q starts at byte %d, want %d", e.Name, e.Offset, next))
		}
		next = pad(next+n, h.Alignment)
	}
	if size != next {
		diffs = append(diffs, fmt.Errorf("file is %d bytes long, want %d", size, next))
	}
	return diffs
}
