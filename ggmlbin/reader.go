package ggmlbin

import (
	"bytes"
	"fmt"
	"io"

	"github.com/smelt-project/smelt/tensor"
)

// Read returns the Whisper model in the file r of size bytes; file names it in
// errors and origins. Tensors keep their names and order, with MelFilters after
// them; biases of convolutions are [n, 1], as the file has them. Metadata is
// that of Header.Meta.
//
// Read fails unless the file holds every tensor that its header calls for, in
// its shape: with no table, a file cut between two tensors shows in no other
// way. A file without any tensor is one of whisper.cpp's test files, and gets
// a note, as do tensors that Whisper does not have.
func Read(r io.ReaderAt, size int64, file string) (*tensor.Model, error) {
	h, rows, err := parse(r, size, file)
	if err != nil {
		return nil, err
	}
	infos := make([]tensor.Info, len(rows))
	tensors := make([]*tensor.Tensor, len(rows), len(rows)+1)
	for i, row := range rows {
		infos[i] = row.Info
		if tensors[i], err = tensor.New(row.Info, io.NewSectionReader(r, row.offset, row.size), tensor.Origin{File: file, Offset: row.offset}); err != nil {
			return nil, err
		}
	}
	filters, err := h.filters(r, file)
	if err != nil {
		return nil, err
	}
	var notes []string
	if len(rows) == 0 {
		notes = append(notes, "The file holds no tensors; whisper.cpp loads it for tests only.")
	} else if err := checkSet(&h.Header, infos); err != nil {
		return nil, &tensor.Error{Op: "ggmlbin: read tensors", File: file, Err: err}
	}
	for _, name := range unknown(&h.Header, infos) {
		notes = append(notes, fmt.Sprintf("Tensor %q is not one of Whisper's; whisper.cpp refuses the file.", name))
	}
	m, err := tensor.NewModel("whisper.cpp ggml", h.Meta(), append(tensors, filters))
	if err != nil {
		return nil, err
	}
	m.Notes = notes
	return m, nil
}

// ReadHeader reads what stands before the tensors.
func ReadHeader(r io.ReaderAt, size int64, file string) (*Header, error) {
	c := &cursor{r: r, size: size, file: file, window: headWindow}
	h := c.header()
	if c.err != nil {
		return nil, c.err
	}
	return &h.Header, nil
}

// A placedHeader knows where its filters stand in the file.
type placedHeader struct {
	Header
	filtersAt int64
}

// filters returns the filterbank as a tensor over the file.
func (h *placedHeader) filters(r io.ReaderAt, file string) (*tensor.Tensor, error) {
	info := tensor.Info{Name: MelFilters, DType: tensor.F32, Shape: tensor.Shape{int(h.Mels), h.FFT}}
	return tensor.New(info, io.NewSectionReader(r, h.filtersAt, int64(len(h.Filters))*4),
		tensor.Origin{File: file, Offset: h.filtersAt, Note: "from the header"})
}

// A row is a tensor's own header.
type row struct {
	tensor.Info
	offset, size int64 // of the data, in the file
}

// parse reads the header and the headers of all tensors.
func parse(r io.ReaderAt, size int64, file string) (*placedHeader, []row, error) {
	c := &cursor{r: r, size: size, file: file, window: headWindow}
	h := c.header()
	c.op, c.window = "ggmlbin: read tensor", rowWindow
	var rows []row
	seen := map[string]int64{} // name to where its header stands
	for c.err == nil && c.left() > 0 {
		at := c.at()
		t := c.row()
		if first, ok := seen[t.Name]; ok && c.err == nil {
			c.fail(at, tensor.ErrCorrupt, "name occurs twice, first at byte 0x%x", first)
		}
		seen[t.Name] = at
		rows = append(rows, t)
	}
	return h, rows, c.err
}

// header reads everything before the tensors.
func (c *cursor) header() *placedHeader {
	h := &placedHeader{}
	c.op = "ggmlbin: read header"
	c.magic()
	for _, p := range params {
		*p.at(&h.Header) = c.i32()
	}
	c.filters(h)
	c.tokens(&h.Header)
	if c.err != nil {
		return h
	}
	if err := h.check(); err != nil {
		c.wrap(int64(len(Magic)), err)
	}
	return h
}

func (c *cursor) magic() {
	magic := c.take(4)
	if magic == nil || string(magic) == Magic {
		return
	}
	if name, ok := foreign[string(magic)]; ok {
		c.fail(0, tensor.ErrUnsupported, "%s, not one of whisper.cpp; convert the original model again", name)
		return
	}
	c.fail(0, tensor.ErrCorrupt, "starts with %q, a whisper.cpp file with %q", magic, Magic)
}

// filters reads the mel filterbank. The magic is common to all early ggml
// programs; that the filters follow the numbers, with as many rows as the
// numbers say, is what tells a Whisper model from the others.
func (c *cursor) filters(h *placedHeader) {
	at := c.at()
	rows, fft := c.i32(), c.i32()
	if c.err != nil {
		return
	}
	if h.checkParams() != nil || rows != h.Mels || fft <= 0 {
		c.fail(at, tensor.ErrUnsupported, "a ggml file, but not of a Whisper model: n_mels is %d, filters are %d by %d; early llama.cpp, GPT-2 and voice activity models are not read", h.Mels, rows, fft)
		return
	}
	h.FFT, h.filtersAt = int(fft), c.at()
	if n := int64(rows) * int64(fft); n > c.left()/4 {
		c.fail(at, tensor.ErrCorrupt, "filters of %d by %d numbers, file has %d bytes left", rows, fft, c.left())
		return
	}
	if b := c.take(int64(rows) * int64(fft) * 4); b != nil {
		h.Filters = floats(b)
	}
}

// tokens reads the vocabulary.
func (c *cursor) tokens(h *Header) {
	n := c.count("tokens", 4)
	h.Tokens = make([][]byte, 0, min(n, 1<<16))
	for len(h.Tokens) < n && c.err == nil {
		h.Tokens = append(h.Tokens, bytes.Clone(c.take(int64(c.u32()))))
	}
}

// row reads a tensor's header and passes over its data.
func (c *cursor) row() row {
	c.tensor = ""
	at := c.at()
	rank, length, dtype := c.i32(), c.i32(), c.i32()
	if c.err != nil {
		return row{}
	}
	if rank < 0 || rank > maxDims || length <= 0 || length > maxName {
		c.fail(at, tensor.ErrCorrupt, "no tensor here: %d dimensions and a name of %d bytes, want at most %d and 1 to %d", rank, length, maxDims, maxName)
		return row{}
	}
	t := row{Info: tensor.Info{DType: tensor.DType(dtype), Shape: make(tensor.Shape, rank)}} //nolint:gosec // checked below
	for i := rank - 1; i >= 0; i-- {
		t.Shape[i] = int(c.i32())
	}
	t.Name = string(c.take(int64(length)))
	c.tensor = t.Name
	t.offset = c.at()
	if c.err != nil {
		return t
	}
	if !t.DType.IsGGML() {
		c.fail(at, tensor.ErrUnsupported, "type id %d is not one of ggml's", dtype)
		return t
	}
	size, err := t.Size()
	if err != nil {
		c.wrap(at, err)
		return t
	}
	if size > c.left() {
		c.fail(at, tensor.ErrCorrupt, "%v %v takes %d bytes, file has %d left; it is incomplete, fetch it again", t.DType, t.Shape, size, c.left())
		return t
	}
	t.size = size
	c.skip(size)
	return t
}
