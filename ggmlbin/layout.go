package ggmlbin

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// Place lays out a file of h and the tensors of infos, in their order: where
// each tensor's elements go, and the bytes of everything else. Shapes are those
// of StoredShape. The error joins one *tensor.Error for each tensor that the
// format cannot hold; a set that is not h's, complete and in its shapes, is
// refused too, since Read would not take it back. Whether whisper.cpp takes the
// types is for Loadable to say.
func Place(h *Header, infos []tensor.Info) (*tensor.Placement, error) {
	if err := checkWritable(h, infos); err != nil {
		return nil, err
	}
	head := h.bytes()
	p := &tensor.Placement{Pieces: []tensor.Piece{{Bytes: head}}, Offsets: make([]int64, len(infos)), Size: int64(len(head))}
	for i, info := range infos {
		n, err := info.Size()
		if err != nil {
			return nil, err
		}
		b := rowBytes(info)
		if n > math.MaxInt64-p.Size-int64(len(b)) {
			return nil, &tensor.Error{Op: "ggmlbin: lay out tensors", Tensor: info.Name, Err: fmt.Errorf("file of more than %d bytes: %w", int64(math.MaxInt64), tensor.ErrTooLarge)}
		}
		p.Pieces = append(p.Pieces, tensor.Piece{Off: p.Size, Bytes: b})
		p.Offsets[i] = p.Size + int64(len(b))
		p.Size = p.Offsets[i] + n
	}
	return p, nil
}

func checkWritable(h *Header, infos []tensor.Info) error {
	if err := h.check(); err != nil {
		return &tensor.Error{Op: "ggmlbin: lay out header", Err: err}
	}
	var errs []error
	seen := make(map[string]bool, len(infos))
	for _, info := range infos {
		err := checkInfo(info)
		if err == nil && seen[info.Name] {
			err = fmt.Errorf("name occurs twice: %w", tensor.ErrCorrupt)
		}
		if err != nil {
			errs = append(errs, &tensor.Error{Op: "ggmlbin: lay out tensors", Tensor: info.Name, Err: err})
		}
		seen[info.Name] = true
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if err := checkSet(h, infos); err != nil {
		return &tensor.Error{Op: "ggmlbin: lay out tensors", Err: err}
	}
	return nil
}

func checkInfo(info tensor.Info) error {
	if info.Name == "" || len(info.Name) > maxName {
		return fmt.Errorf("name of %d bytes, the format allows 1 to %d: %w", len(info.Name), maxName, tensor.ErrUnsupported)
	}
	if info.Name == MelFilters {
		return fmt.Errorf("the filterbank belongs into the header: %w", tensor.ErrUnsupported)
	}
	if len(info.Shape) > maxDims {
		return fmt.Errorf("shape %v has %d dimensions, ggml has at most %d: %w", info.Shape, len(info.Shape), maxDims, tensor.ErrUnsupported)
	}
	if !info.DType.IsGGML() {
		return fmt.Errorf("type %v does not exist in ggml: %w", info.DType, tensor.ErrUnsupported)
	}
	if n, err := info.Shape.Elems(); err == nil && n > math.MaxInt32 {
		return fmt.Errorf("shape %v has more elements than whisper.cpp can count: %w", info.Shape, tensor.ErrTooLarge)
	}
	_, err := info.Size()
	return err
}

// rowBytes returns what stands before the elements: rank, length of the name,
// type, dimensions from the fastest, name.
func rowBytes(info tensor.Info) []byte {
	b := putInt(nil, int32(len(info.Shape)))   //nolint:gosec // at most maxDims
	b = putInt(b, int32(len(info.Name)))       //nolint:gosec // at most maxName
	b = le.AppendUint32(b, uint32(info.DType)) // checkInfo has checked it
	for i := len(info.Shape) - 1; i >= 0; i-- {
		b = putInt(b, int32(info.Shape[i])) //nolint:gosec // the product fits
	}
	return append(b, info.Name...)
}

// Check parses the file r of size bytes and compares it with h and infos, which
// Place laid it out from: every number, filter and token of the header, every
// tensor with its type, shape and place. The error joins every difference.
// Tensor data is not read.
func Check(r io.ReaderAt, size int64, h *Header, infos []tensor.Info) error {
	got, rows, err := parse(r, size, "")
	if err != nil {
		return err
	}
	diffs := got.diff(h)
	diffs = append(diffs, diffRows(rows, infos)...)
	if err := errors.Join(diffs...); err != nil {
		return &tensor.Error{Op: "ggmlbin: check what was written", Err: fmt.Errorf("%w: %w", tensor.ErrCorrupt, err)}
	}
	return nil
}

func diffRows(rows []row, infos []tensor.Info) []error {
	if len(rows) != len(infos) {
		return []error{fmt.Errorf("%d tensors, want %d", len(rows), len(infos))}
	}
	var diffs []error
	for i, g := range rows {
		if w := infos[i]; g.Name != w.Name || g.DType != w.DType || !g.Shape.Equal(w.Shape) {
			diffs = append(diffs, fmt.Errorf("tensor %d is %q %v %v, want %q %v %v", i, g.Name, g.DType, g.Shape, w.Name, w.DType, w.Shape))
		}
	}
	return diffs
}
