package gguf

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/smelt-project/smelt/tensor"
)

// Read returns the model in the GGUF file r of size bytes; file names it in
// errors and origins. Tensors keep the order of the table, and their Data are
// io.SectionReaders of r, except in big-endian files, where elements are
// swapped as they are read. Read fails unless the file holds every byte of
// every tensor and no two tensors share one. Gaps between tensors are allowed,
// although llama.cpp refuses them.
//
// A file that is one shard of several gives the tensors of that shard; see
// ReadSet.
func Read(r io.ReaderAt, size int64, file string) (*tensor.Model, error) {
	h, err := ReadHeader(r, size, file)
	if err != nil {
		return nil, err
	}
	tensors, err := h.open(r, size, file)
	if err != nil {
		return nil, err
	}
	return tensor.NewModel(h.Format(), h.Meta, tensors)
}

// open returns the tensors of h over the file's bytes.
func (h *Header) open(r io.ReaderAt, size int64, file string) ([]*tensor.Tensor, error) {
	if err := h.checkRanges(size, file); err != nil {
		return nil, err
	}
	tensors := make([]*tensor.Tensor, len(h.Tensors))
	for i, e := range h.Tensors {
		n, err := e.Size()
		if err != nil {
			return nil, err
		}
		data, origin, err := h.data(io.NewSectionReader(r, e.Offset, n), e, file)
		if err != nil {
			return nil, err
		}
		if tensors[i], err = tensor.New(e.Info, data, origin); err != nil {
			return nil, err
		}
	}
	return tensors, nil
}

// data returns the elements of e in little-endian order, given its bytes in the file.
func (h *Header) data(section *io.SectionReader, e Entry, file string) (io.ReaderAt, tensor.Origin, error) {
	origin := tensor.Origin{File: file, Offset: e.Offset}
	if h.Order == le {
		return section, origin, nil
	}
	data, err := toLittle(section, e.DType)
	if err != nil {
		return nil, origin, &tensor.Error{Op: "gguf: read big-endian tensor", File: file, Tensor: e.Name, Offset: e.Offset, Err: err}
	}
	if data != io.ReaderAt(section) {
		origin.Offset, origin.Note = -1, "big-endian in the file"
	}
	return data, origin, nil
}

// checkRanges proves that all data lies inside a file of size bytes and that
// no byte belongs to two tensors.
func (h *Header) checkRanges(size int64, file string) error {
	sorted := slices.Clone(h.Tensors)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return cmp.Compare(a.Offset, b.Offset) })
	end, last := h.DataOffset, ""
	for _, e := range sorted {
		n, err := e.Size()
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		fail := func(class error, format string, args ...any) error {
			return &tensor.Error{Op: "gguf: find tensor", File: file, Tensor: e.Name, Offset: e.Row,
				Err: fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), class)}
		}
		if e.Offset < end {
			return fail(tensor.ErrCorrupt, "data starts at byte %d, inside tensor %q, which ends at %d", e.Offset, last, end)
		}
		if e.Offset > size || n > size-e.Offset {
			return fail(tensor.ErrCorrupt, "%d bytes of data from byte %d, file ends at %d; it is incomplete, fetch it again", n, e.Offset, size)
		}
		end, last = e.Offset+n, e.Name
	}
	return nil
}
