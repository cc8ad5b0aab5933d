// Package safetensors reads .safetensors files: a length, a JSON header that
// names every tensor, and the tensors' bytes without gaps.
// (https://github.com/huggingface/safetensors, README.md, "Format")
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/smelt-project/smelt/tensor"
)

// maxHeader is the format's own limit on the length of the JSON header.
const maxHeader = 100_000_000

// dtypes maps the format's names; F4 and the six-bit types are not supported.
var dtypes = map[string]tensor.DType{
	"F64": tensor.F64, "F32": tensor.F32, "F16": tensor.F16, "BF16": tensor.BF16,
	"I64": tensor.I64, "I32": tensor.I32, "I16": tensor.I16, "I8": tensor.I8,
	"U64": tensor.U64, "U32": tensor.U32, "U16": tensor.U16, "U8": tensor.U8, "BOOL": tensor.Bool,
	"F8_E4M3": tensor.F8E4M3FN, "F8_E5M2": tensor.F8E5M2, "F8_E8M0": tensor.F8E8M0FNU, "C64": tensor.C64,
	"F8_E4M3FNUZ": tensor.F8E4M3FNUZ, "F8_E5M2FNUZ": tensor.F8E5M2FNUZ,
}

// Match reports whether head, the start of a file of some length, looks like a
// .safetensors file.
func Match(head []byte) bool {
	if len(head) < 10 {
		return false
	}
	n := binary.LittleEndian.Uint64(head)
	return n >= 2 && n <= maxHeader && head[8] == '{' && (head[9] == '"' || head[9] == '}' || head[9] == ' ')
}

// An entry is one line of the header.
type entry struct {
	DType   string     `json:"dtype"`
	Shape   []int      `json:"shape"`
	Offsets *[2]uint64 `json:"data_offsets"`
}

// Read returns the model in the file r of size bytes; file names it in errors.
// Tensors keep the order of their bytes; the strings of __metadata__ are the
// model's metadata. The data must cover the file without gaps or overlaps.
func Read(r io.ReaderAt, size int64, file string) (*tensor.Model, error) {
	fail := func(name string, off int64, err error) (*tensor.Model, error) {
		return nil, &tensor.Error{Op: "safetensors: read header", File: file, Tensor: name, Offset: off, Err: err}
	}
	var length [8]byte
	if _, err := r.ReadAt(length[:], 0); err != nil {
		return fail("", 0, fmt.Errorf("%d bytes are too few for a header: %w", size, tensor.ErrCorrupt))
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader || int64(n) > size-8 {
		return fail("", 0, fmt.Errorf("header of %d bytes, the file has %d left: %w", n, size-8, tensor.ErrCorrupt))
	}
	header := make([]byte, n)
	if _, err := r.ReadAt(header, 8); err != nil && !errors.Is(err, io.EOF) {
		return fail("", 8, err)
	}
	named, meta, err := parse(header)
	if err != nil {
		return fail("", 8, err)
	}
	start := 8 + int64(n)
	slices.SortStableFunc(named, func(a, b namedEntry) int { return cmp.Compare(a.Offsets[0], b.Offsets[0]) })
	end := uint64(0)
	var tensors []*tensor.Tensor
	for _, e := range named {
		d, ok := dtypes[e.DType]
		if !ok {
			return fail(e.name, start, fmt.Errorf("type %q: %w", e.DType, tensor.ErrUnsupported))
		}
		info := tensor.Info{Name: e.name, DType: d, Shape: e.Shape}
		want, err := info.Size()
		if err != nil {
			return fail(e.name, start, err)
		}
		lo, hi := e.Offsets[0], e.Offsets[1]
		if lo != end || hi < lo || hi-lo != uint64(want) || hi > uint64(size-start) { //nolint:gosec // neither is negative
			return fail(e.name, start, fmt.Errorf("bytes %d to %d: want %d bytes from %d, the file has %d: %w", lo, hi, want, end, size-start, tensor.ErrCorrupt))
		}
		end = hi
		at := start + int64(lo) //nolint:gosec // within the file
		t, err := tensor.New(info, io.NewSectionReader(r, at, want), tensor.Origin{File: file, Offset: at})
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, t)
	}
	if end != uint64(size-start) { //nolint:gosec // not negative
		return fail("", start, fmt.Errorf("tensors take %d bytes, the file has %d: %w", end, size-start, tensor.ErrCorrupt))
	}
	return tensor.NewModel("safetensors", meta, tensors)
}

type namedEntry struct {
	name string
	entry
}

// parse reads the header in order, which a map would lose, and refuses names
// that occur twice, which encoding/json would hide.
func parse(header []byte) (entries []namedEntry, meta tensor.Meta, err error) {
	if !utf8.Valid(header) {
		return nil, meta, fmt.Errorf("the header is not UTF-8: %w", tensor.ErrCorrupt)
	}
	dec := json.NewDecoder(bytes.NewReader(header))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, meta, fmt.Errorf("the header is not a JSON object: %w", tensor.ErrCorrupt)
	}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return nil, meta, fmt.Errorf("the header breaks off at byte %d: %w", dec.InputOffset(), tensor.ErrCorrupt)
		}
		if name == "__metadata__" {
			if meta, err = parseMeta(dec); err != nil {
				return nil, meta, err
			}
			continue
		}
		e := namedEntry{name: name}
		if err := dec.Decode(&e.entry); err != nil || e.Offsets == nil {
			return nil, meta, fmt.Errorf("entry %q has no dtype, shape and data_offsets: %w", name, errors.Join(tensor.ErrCorrupt, err))
		}
		entries = append(entries, e)
	}
	if _, err := dec.Token(); err != nil {
		return nil, meta, fmt.Errorf("the header has no end: %w", tensor.ErrCorrupt)
	}
	if rest := bytes.TrimSpace(header[dec.InputOffset():]); len(rest) > 0 {
		return nil, meta, fmt.Errorf("%d bytes follow the header's object: %w", len(rest), tensor.ErrCorrupt)
	}
	return entries, meta, nil
}

func parseMeta(dec *json.Decoder) (tensor.Meta, error) {
	var m map[string]string
	if err := dec.Decode(&m); err != nil {
		return tensor.Meta{}, fmt.Errorf("__metadata__ is not a map of strings: %w: %w", tensor.ErrCorrupt, err)
	}
	var kvs []tensor.KV
	for k, v := range m {
		kvs = append(kvs, tensor.KV{Key: k, Value: v})
	}
	slices.SortFunc(kvs, func(a, b tensor.KV) int { return cmp.Compare(a.Key, b.Key) })
	return tensor.NewMeta(kvs...), nil
}
