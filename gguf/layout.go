package gguf

import (
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/smelt-project/smelt/tensor"
)

// Place lays out a GGUF version 3, little-endian, of meta and the tensors of
// infos: where every tensor goes, and the bytes of everything else. Tensors
// follow each other in the order of infos, each padded with zeros to the
// alignment, the last one too: llama.cpp's reader accepts nothing else
// (ggml/src/gguf.cpp). The alignment is general.alignment if meta has it, a
// uint32 and a power of two, otherwise 32.
//
// Ranks are kept as they are, as llama.cpp's Python writer does and its C
// writer does not; a scalar is written as one dimension of 1. Empty strings
// and empty arrays are left out, as that Python writer leaves them out
// (gguf-py/gguf/gguf_writer.py, add_string and add_array).
//
// The error joins one *tensor.Error for each tensor that GGUF cannot hold:
// names over 63 bytes or used twice, more than four dimensions, types that
// ggml does not have, rows that are not whole blocks.
func Place(meta tensor.Meta, infos []tensor.Info) (*tensor.Placement, error) {
	align, err := alignment(meta)
	if err != nil {
		return nil, &tensor.Error{Op: "gguf: lay out metadata", Err: err}
	}
	if err := checkInfos(infos); err != nil {
		return nil, err
	}
	offsets, end, err := place(infos, align)
	if err != nil {
		return nil, err
	}
	head, err := header(meta, infos, offsets)
	if err != nil {
		return nil, err
	}
	p := &tensor.Placement{Pieces: []tensor.Piece{{Bytes: head}}, Size: int64(len(head))}
	if len(infos) == 0 {
		return p, nil
	}
	start := pad(p.Size, align)
	if end > math.MaxInt64-start {
		return nil, &tensor.Error{Op: "gguf: lay out tensors", Err: fmt.Errorf("file of more than %d bytes: %w", int64(math.MaxInt64), tensor.ErrTooLarge)}
	}
	for i := range offsets {
		offsets[i] += start
	}
	p.Offsets, p.Size = offsets, start+end
	return p, nil
}

// place returns where each tensor starts and where the last one's padding
// ends, from the start of the data.
func place(infos []tensor.Info, align uint32) (offsets []int64, end int64, err error) {
	offsets = make([]int64, len(infos))
	for i, info := range infos {
		n, err := info.Size()
		if err == nil && n > math.MaxInt64-end-int64(align) {
			err = fmt.Errorf("data of more than %d bytes: %w", int64(math.MaxInt64), tensor.ErrTooLarge)
		}
		if err != nil {
			return nil, 0, &tensor.Error{Op: "gguf: lay out tensors", Tensor: info.Name, Err: err}
		}
		offsets[i] = end
		end = pad(end+n, align)
	}
	return offsets, end, nil
}

// checkInfos joins the reasons for which GGUF cannot hold infos.
func checkInfos(infos []tensor.Info) error {
	var errs []error
	seen := make(map[string]bool, len(infos))
	for _, info := range infos {
		err := checkInfo(info)
		if err == nil && seen[info.Name] {
			err = fmt.Errorf("name occurs twice: %w", tensor.ErrCorrupt)
		}
		if err != nil {
			errs = append(errs, &tensor.Error{Op: "gguf: lay out tensors", Tensor: info.Name, Err: err})
		}
		seen[info.Name] = true
	}
	return errors.Join(errs...)
}

func checkInfo(info tensor.Info) error {
	if info.Name == "" {
		return fmt.Errorf("tensor without a name: %w", tensor.ErrCorrupt)
	}
	if len(info.Name) > maxName {
		return fmt.Errorf("name is %d bytes long, llama.cpp reads at most %d; choose a shorter one: %w", len(info.Name), maxName, tensor.ErrUnsupported)
	}
	if len(info.Shape) > maxDims {
		return fmt.Errorf("shape %v has %d dimensions, ggml has at most %d: %w", info.Shape, len(info.Shape), maxDims, tensor.ErrUnsupported)
	}
	if err := checkType(info.DType); err != nil {
		return err
	}
	_, err := info.Size()
	return err
}

// header returns the bytes before the data; offsets count from the start of it.
func header(meta tensor.Meta, infos []tensor.Info, offsets []int64) ([]byte, error) {
	kvs := stored(meta)
	b := []byte(Magic)
	b = le.AppendUint32(b, version)
	b = le.AppendUint64(b, uint64(len(infos)))
	b = le.AppendUint64(b, uint64(len(kvs)))
	for _, kv := range kvs {
		var err error
		if len(kv.Key) == 0 || len(kv.Key) > maxKey {
			err = fmt.Errorf("key of %d bytes, the format allows 1 to %d: %w", len(kv.Key), maxKey, tensor.ErrUnsupported)
		} else if b, err = putValue(putString(b, kv.Key), kv.Value); err != nil {
			err = fmt.Errorf("key %q: %w", kv.Key, err)
		}
		if err != nil {
			return nil, &tensor.Error{Op: "gguf: lay out metadata", Err: err}
		}
	}
	for i, info := range infos {
		b = putRow(b, info, offsets[i])
	}
	return b, nil
}

func putRow(b []byte, info tensor.Info, offset int64) []byte {
	shape := storedShape(info.Shape)
	b = putString(b, info.Name)
	b = le.AppendUint32(b, uint32(len(shape))) //nolint:gosec // at most maxDims
	for i := len(shape) - 1; i >= 0; i-- {
		b = le.AppendUint64(b, uint64(shape[i])) //nolint:gosec // checkInfo has refused negative ones
	}
	b = le.AppendUint32(b, uint32(info.DType))
	return le.AppendUint64(b, uint64(offset)) //nolint:gosec // offsets are not negative
}

// stored returns the entries of meta that Place writes.
func stored(meta tensor.Meta) []tensor.KV {
	kvs := make([]tensor.KV, 0, meta.Len())
	for _, kv := range meta.All() {
		if v := reflect.ValueOf(kv.Value); (v.Kind() == reflect.Slice || v.Kind() == reflect.String) && v.Len() == 0 {
			continue
		}
		kvs = append(kvs, kv)
	}
	return kvs
}

// storedShape returns the shape that Place writes for s.
func storedShape(s tensor.Shape) tensor.Shape {
	if len(s) == 0 {
		return tensor.Shape{1}
	}
	return s
}
