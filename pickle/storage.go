package pickle

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// A blob is the bytes behind one storage key of a container.
type blob struct {
	id     string // unique in the file; becomes Origin.Storage
	file   string
	member string // of the container
	r      io.ReaderAt
	size   int64
	offset int64 // in the file, -1 if the bytes are not one range of it
	big    bool  // elements are big-endian
	used   int64 // bytes that a tensor refers to; for the note on saved bases
}

// A storage is a run of elements in a blob: what a persistent id stands for.
// Two storages of different types may share a blob.
type storage struct {
	blob  *blob
	elem  *scalarType
	start int64 // bytes into the blob
	bytes int64
}

// A storageID is a persistent id as torch.save writes it
// (torch/serialization.py, persistent_id).
type storageID struct {
	elem     *scalarType
	key      string
	location string
	numel    int64
	view     *storageView
	class    any // of ('module', class, file, source), the whole-module form
	bare     bool
}

// A storageView is the view_metadata of the legacy container: the storage is a
// range of another, in elements.
type storageView struct {
	key           string
	offset, numel int64
}

// parsePersistentID reads ('storage', class, key, location, numel[, view]),
// ('module', class, file, source), and the bare keys of the tar container.
func parsePersistentID(v any) (storageID, error) {
	if key, ok := storageKey(v); ok {
		return storageID{key: key, bare: true}, nil
	}
	t, ok := items(v)
	if !ok || len(t) == 0 {
		return storageID{}, fmt.Errorf("persistent id is a %s: %w", kindOf(v), tensor.ErrUnsupported)
	}
	kind, _ := t[0].(string)
	switch {
	case kind == "module" && len(t) == 4:
		return storageID{class: t[1]}, nil
	case kind == "storage" && (len(t) == 5 || len(t) == 6):
		return parseStorageID(t)
	}
	return storageID{}, fmt.Errorf("persistent id %.40q of %d parts: %w", kind, len(t), tensor.ErrUnsupported)
}

func parseStorageID(t []any) (storageID, error) {
	class, ok := t[1].(*storageClass)
	if !ok {
		return storageID{}, fmt.Errorf("storage of %s: %w", kindOf(t[1]), tensor.ErrUnsupported)
	}
	key, ok := storageKey(t[2])
	if !ok {
		return storageID{}, fmt.Errorf("storage key is a %s: %w", kindOf(t[2]), tensor.ErrCorrupt)
	}
	location, _ := t[3].(string)
	numel, ok := t[4].(int)
	if !ok || numel < 0 || int64(numel) > math.MaxInt64/class.elem.item {
		return storageID{}, fmt.Errorf("storage %s has %v elements of %d bytes: %w", key, scalarText(t[4]), class.elem.item, tensor.ErrCorrupt)
	}
	id := storageID{elem: class.elem, key: key, location: location, numel: int64(numel)}
	if len(t) == 6 && t[5] != nil {
		return id.withView(t[5])
	}
	return id, nil
}

func (id storageID) withView(v any) (storageID, error) {
	t, _ := items(v)
	if len(t) != 3 {
		return id, fmt.Errorf("view of storage %s is a %s of %d parts: %w", id.key, kindOf(v), len(t), tensor.ErrCorrupt)
	}
	key, ok := storageKey(t[0])
	offset, ok2 := t[1].(int)
	numel, ok3 := t[2].(int)
	if !ok || !ok2 || !ok3 || offset < 0 || numel < 0 || int64(offset) > id.numel || int64(numel) > id.numel-int64(offset) {
		return id, fmt.Errorf("view of storage %s takes elements %v and %v more of %d: %w", id.key, scalarText(t[1]), scalarText(t[2]), id.numel, tensor.ErrCorrupt)
	}
	id.view = &storageView{key: key, offset: int64(offset), numel: int64(numel)}
	return id, nil
}

// storageKey returns a key as text: PyTorch writes decimal strings, version 0.1 integers.
func storageKey(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int:
		return strconv.Itoa(v), true
	}
	return "", false
}

// over returns the storage that id describes in b, whose length must be exactly
// what id says.
func (id storageID) over(b *blob) (*storage, error) {
	if want := id.numel * id.elem.item; want != b.size {
		return nil, fmt.Errorf("storage %s holds %d bytes, the pickle says %d elements of %d bytes, %d: %w",
			id.key, b.size, id.numel, id.elem.item, want, tensor.ErrCorrupt)
	}
	return id.part(b), nil
}

func (id storageID) part(b *blob) *storage {
	s := &storage{blob: b, elem: id.elem, bytes: id.numel * id.elem.item}
	if id.view != nil {
		s.start, s.bytes = id.view.offset*id.elem.item, id.view.numel*id.elem.item
	}
	return s
}

// bare returns a storage that was saved without a tensor as a vector.
func (s *storage) bare() *array {
	typ := s.elem
	if typ == untyped {
		typ = scalarTypeOf(tensor.U8)
	}
	return &array{storage: s, typ: typ, shape: tensor.Shape{int(s.bytes / typ.item)}, strides: []int64{1}, notes: []string{"bare storage"}}
}

// inMemory returns a storage over bytes that came with the pickle itself.
func (r *reader) inMemory(kind string, elem *scalarType, b []byte) *storage {
	r.memory++
	blob := &blob{id: fmt.Sprintf("%s%s#%d", r.prefix, kind, r.memory), file: r.file, r: bytes.NewReader(b), size: int64(len(b)), offset: -1}
	return &storage{blob: blob, elem: elem, bytes: int64(len(b))}
}

// An array is a tensor as the pickle describes it. Nothing is checked against
// the storage before the array gets a name.
type array struct {
	blank     *session // of a tensor that was made empty, for a BUILD to fill
	storage   *storage
	typ       *scalarType
	shape     tensor.Shape
	strides   []int64 // in elements
	offset    int64   // in elements, from the start of storage
	conj, neg bool

	noData string // why there are no elements: "meta device"
	notes  []string
	quant  *quantization
	parts  []part  // of a sparse or nested tensor, which has no storage itself
	chunks []chunk // of a distributed tensor, which has none either
	states []any   // Python attributes
}

// A part is one of the dense tensors that a composite one is made of.
type part struct {
	name string // "indices"
	*array
}

// A quantization is what turns the integers of a quantized tensor into numbers.
type quantization struct{ scales, zeros *array }

// PySetState is the BUILD of a tensor: attributes, or for tensors of PyTorch 0.1
// to 0.3 everything (torch/_tensor.py, Tensor.__setstate__).
func (a *array) PySetState(state any) error {
	t, ok := state.(*types.Tuple)
	if !ok {
		a.states = append(a.states, state)
		return nil
	}
	switch t.Len() {
	case 2: // (__dict__, slots)
		a.states = append(a.states, *t...)
	case 3: // (requires_grad, backward_hooks or volatile, hooks)
	case 4: // (storage, offset, size, stride)
		if a.blank == nil {
			return fmt.Errorf("BUILD gives a tensor another storage: %w", tensor.ErrUnsupported)
		}
		b := &arguments{of: "torch.Tensor.__setstate__", vals: *t, s: a.blank}
		built := b.view(0)
		if b.err != nil {
			return b.err
		}
		*a = *built
	case 5: // (tensor, …): a Variable of PyTorch 0.1
		inner, ok := t.Get(0).(*array)
		if !ok {
			return fmt.Errorf("state of a Variable holds a %s: %w", kindOf(t.Get(0)), tensor.ErrCorrupt)
		}
		*a = *inner
	default:
		return fmt.Errorf("state of a tensor has %d parts: %w", t.Len(), tensor.ErrUnsupported)
	}
	return nil
}

// tensor makes the named tensor of a: every element is proven to lie inside the
// storage. Not a byte of it is read.
func (r *reader) tensor(name string, a *array, notes ...string) (*tensor.Tensor, error) {
	fail := func(err error) (*tensor.Tensor, error) {
		return nil, &tensor.Error{Op: "pickle: tensor", File: r.file, Tensor: name, Err: err}
	}
	if a.chunks != nil {
		return r.joined(name, a, notes...)
	}
	if a.storage == nil {
		return fail(fmt.Errorf("it was made without a storage: %w", tensor.ErrCorrupt))
	}
	s, b := a.storage, a.storage.blob
	origin := tensor.Origin{File: b.file, Member: b.member, Offset: -1, Storage: b.id}
	if len(a.shape) > r.lim.Rank {
		return fail(fmt.Errorf("%d dimensions, at most %d are read: %w", len(a.shape), r.lim.Rank, tensor.ErrTooLarge))
	}
	data, changed, err := a.elements(b)
	if err != nil {
		return fail(err)
	}
	if !changed && b.offset >= 0 {
		origin.Offset = b.offset + s.start
	}
	if s.start > 0 || s.bytes < b.size {
		data = io.NewSectionReader(data, s.start, s.bytes)
	}
	info := tensor.Info{Name: name, DType: a.typ.dtype, Shape: a.shape}
	if err := r.affordable(info, b.size); err != nil {
		return fail(err)
	}
	notes = append(append(notes, a.notes...), a.describe(info)...)
	origin.Note = strings.Join(notes, "; ")
	t, err := tensor.Strided(data, s.bytes, info, a.strides, a.offset, origin)
	if err != nil {
		return nil, err
	}
	t.Data = direct(t.Data)
	b.used = min(b.size, b.used+t.Size())
	return t, nil
}

// elements returns the blob's bytes as little-endian elements with the lazy
// negation and conjugation carried out.
func (a *array) elements(b *blob) (data io.ReaderAt, changed bool, err error) {
	data = b.r
	layout, _ := a.typ.dtype.Layout()
	if b.big && layout.Word > 1 {
		if b.size%int64(layout.Word) != 0 {
			return nil, false, fmt.Errorf("big-endian storage of %d bytes is not made of words of %d: %w", b.size, layout.Word, tensor.ErrCorrupt)
		}
		data, changed = tensor.Swapped(data, layout.Word), true
	}
	for _, bit := range []struct {
		name string
		set  bool
		mask []byte
	}{{"conjugate", a.conj, a.typ.conj}, {"negative", a.neg, a.typ.sign}} {
		if !bit.set {
			continue
		}
		if bit.mask == nil {
			return nil, false, fmt.Errorf("%s bit on elements of type %s: %w", bit.name, a.typ.name, tensor.ErrUnsupported)
		}
		if a.storage.start%int64(len(bit.mask)) != 0 {
			return nil, false, fmt.Errorf("%s bit on a storage that starts inside an element: %w", bit.name, tensor.ErrUnsupported)
		}
		data, changed = tensor.Flipped(data, bit.mask), true
	}
	return data, changed, nil
}

// affordable refuses a view whose elements are far more than the bytes behind
// them: a stride of 0 can claim any size.
func (r *reader) affordable(info tensor.Info, held int64) error {
	size, err := info.Size()
	if err != nil || r.opt.AllowExpand {
		return err
	}
	if size <= r.lim.Expand || size/4 <= held {
		return nil
	}
	return fmt.Errorf("shape %v takes %d bytes, its storage holds %d; AllowExpand reads it all the same: %w", info.Shape, size, held, tensor.ErrTooLarge)
}

// describe says in words how a differs from a plain contiguous tensor.
func (a *array) describe(info tensor.Info) []string {
	var notes []string
	if size, err := info.Size(); err == nil && size < a.storage.blob.size {
		notes = append(notes, fmt.Sprintf("uses %d bytes of a storage of %d", size, a.storage.blob.size))
	}
	if !contiguous(a.shape, a.strides) {
		notes = append(notes, "strided view")
	}
	if a.conj {
		notes = append(notes, "conjugated")
	}
	if a.neg {
		notes = append(notes, "negated")
	}
	if a.storage.blob.big {
		notes = append(notes, "byte order swapped")
	}
	return notes
}

// contiguous reports whether elements of the shape lie row by row without gaps.
func contiguous(shape tensor.Shape, strides []int64) bool {
	want := int64(1)
	for i := min(len(shape), len(strides)) - 1; i >= 0; i-- {
		if shape[i] == 0 {
			return true
		}
		if shape[i] != 1 && strides[i] != want {
			return false
		}
		want *= int64(shape[i])
	}
	return true
}

// rowMajor returns the strides of a contiguous tensor.
func rowMajor(shape tensor.Shape) []int64 {
	strides := make([]int64, len(shape))
	n := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= int64(max(shape[i], 1))
	}
	return strides
}

// direct unwraps sections of sections, so that who copies a tensor finds the
// file and the offset in one step.
func direct(data io.ReaderAt) io.ReaderAt {
	for {
		outer, ok := data.(*io.SectionReader)
		if !ok {
			return data
		}
		r, off, n := outer.Outer()
		inner, ok := r.(*io.SectionReader)
		if !ok {
			return data
		}
		r, base, size := inner.Outer()
		if off+n > size {
			return data
		}
		data = io.NewSectionReader(r, base+off, n)
	}
}
