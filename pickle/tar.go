package pickle

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A tarred is a checkpoint of PyTorch 0.1.9 and before: a tar of the members
// storages, tensors, pickle and sys_info (torch/serialization.py, legacy_load).
type tarred struct {
	r       *reader
	members map[string]tarMember
	objects map[string]any // storages and tensors by key
	blobs   []*blob
}

// A tarMember is where a member's bytes are in the file.
type tarMember struct{ off, size int64 }

func readTar(r *reader) (*checkpoint, error) {
	t := &tarred{r: r, members: map[string]tarMember{}, objects: map[string]any{}}
	if err := t.list(); err != nil {
		return nil, err
	}
	for _, step := range []func() error{t.system, t.storages, t.tensors} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	m := t.members["pickle"]
	root, a, err := r.pickleAt("pickle", r.src, m.off, m.off+m.size, t.object)
	if err != nil {
		return nil, err
	}
	if err := r.ends("pickle", m.off+a.Size, m.off+m.size); err != nil {
		return nil, err
	}
	return &checkpoint{format: "PyTorch tar", roots: []child{{v: root}}, blobs: t.blobs, facts: []tensor.KV{
		{Key: "container", Value: "tar"}, {Key: "protocol", Value: int64(a.Protocol)}}}, nil
}

func (t *tarred) fail(member string, off int64, err error) error {
	return &tensor.Error{Op: "pickle: read tar", File: t.r.file, Member: member, Offset: off, Err: err}
}

// list finds the members. A tar of other things has others.
func (t *tarred) list() error {
	in := io.NewSectionReader(t.r.src, 0, t.r.size)
	tr := tar.NewReader(in)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		off, seek := in.Seek(0, io.SeekCurrent)
		if err != nil || seek != nil {
			return t.fail("", off, fmt.Errorf("%w: %w", errors.Join(err, seek), tensor.ErrCorrupt))
		}
		if _, twice := t.members[h.Name]; twice || n > 1000 {
			return t.fail(escaped(h.Name), off, fmt.Errorf("member occurs twice, or there are more than 1000: %w", tensor.ErrCorrupt))
		}
		if h.Typeflag == tar.TypeReg && h.Size <= t.r.size-off {
			t.members[h.Name] = tarMember{off, h.Size}
		}
	}
	if err := t.padded(in); err != nil {
		return err
	}
	for _, want := range []string{"storages", "tensors", "pickle", "sys_info"} {
		if _, ok := t.members[want]; !ok {
			return t.fail("", 0, fmt.Errorf("a tar without the member %q is no PyTorch checkpoint; unpack it and read the file that is: %w", want, tensor.ErrUnsupported))
		}
	}
	return nil
}

// padded requires that nothing but zeros follows the end of the archive: tar
// fills its last record.
func (t *tarred) padded(in *io.SectionReader) error {
	off, err := in.Seek(0, io.SeekCurrent)
	if err != nil {
		return t.fail("", off, err)
	}
	b := make([]byte, min(t.r.size-off, maxTarPadding+1))
	if n, err := t.r.src.ReadAt(b, off); n < len(b) {
		return t.fail("", off, fmt.Errorf("got %d of %d bytes: %w: %w", n, len(b), err, tensor.ErrCorrupt))
	}
	if len(b) > maxTarPadding || len(bytes.Trim(b, "\x00")) > 0 {
		return t.fail("", off, fmt.Errorf("%d bytes follow the end: %w", t.r.size-off, tensor.ErrCorrupt))
	}
	return nil
}

// maxTarPadding is the largest record that tar programs fill up (GNU tar, -b).
const maxTarPadding = 1 << 20

func (t *tarred) system() error {
	m := t.members["sys_info"]
	v, a, err := t.r.pickleAt("sys_info", t.r.src, m.off, m.off+m.size, noStorages)
	if err == nil {
		err = t.r.ends("sys_info", m.off+a.Size, m.off+m.size)
	}
	if err != nil {
		return err
	}
	if little, ok := t.r.lookup(v, "little_endian"); ok && little != any(true) {
		return t.fail("sys_info", m.off, fmt.Errorf("little_endian is %.40s: %w", scalarText(little), tensor.ErrUnsupported))
	}
	return nil
}

// A cursor reads a member from its start to its end.
type cursor struct {
	t        *tarred
	member   string
	off, end int64
}

func (t *tarred) open(member string) *cursor {
	m := t.members[member]
	return &cursor{t: t, member: member, off: m.off, end: m.off + m.size}
}

func (c *cursor) pickle() (any, error) {
	v, a, err := c.t.r.pickleAt(c.member, c.t.r.src, c.off, c.end, c.t.object)
	if err != nil {
		return nil, err
	}
	c.off += a.Size
	return v, nil
}

// skip moves over n bytes, which must be there, and returns where they began.
func (c *cursor) skip(n int64) (int64, error) {
	if n < 0 || n > c.end-c.off {
		return 0, c.fail(fmt.Errorf("%d bytes are needed, the member has %d more: %w", n, c.end-c.off, tensor.ErrCorrupt))
	}
	off := c.off
	c.off += n
	return off, nil
}

func (c *cursor) bytes(n int64) ([]byte, error) {
	off, err := c.skip(n)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if got, err := c.t.r.src.ReadAt(b, off); got < len(b) {
		return nil, c.fail(fmt.Errorf("got %d of %d bytes: %w: %w", got, n, err, tensor.ErrCorrupt))
	}
	return b, nil
}

func (c *cursor) fail(err error) error { return c.t.fail(c.member, c.off, err) }

// count reads the pickled number of records, each of which takes a few bytes.
func (c *cursor) count() (int, error) {
	v, err := c.pickle()
	if err != nil {
		return 0, err
	}
	n, ok := v.(int)
	if !ok || n < 0 || int64(n) > c.end-c.off {
		return 0, c.fail(fmt.Errorf("count is a %s %.40s, the member has %d more bytes: %w", kindOf(v), scalarText(v), c.end-c.off, tensor.ErrCorrupt))
	}
	return n, nil
}

// record reads a pickled tuple of n parts.
func (c *cursor) record(n int) (*arguments, error) {
	v, err := c.pickle()
	if err != nil {
		return nil, err
	}
	parts, _ := items(v)
	if len(parts) != n {
		return nil, c.fail(fmt.Errorf("record is a %s of %d parts, want %d: %w", kindOf(v), len(parts), n, tensor.ErrCorrupt))
	}
	return &arguments{of: "record of " + c.member, vals: parts, s: c.t.r.session}, nil
}

// key reads argument i as the key of a storage or tensor.
func (a *arguments) key(i int) string {
	key, ok := storageKey(a.vals[i])
	if !ok {
		a.fail(i, "a key")
	}
	return key
}

// storages reads (key, location, class), a count and raw bytes for each, then a
// list of (key, key of the whole, offset, length) of those that are parts.
func (t *tarred) storages() error {
	c := t.open("storages")
	n, err := c.count()
	if err != nil {
		return err
	}
	for range n {
		if err := t.storage(c); err != nil {
			return err
		}
	}
	v, err := c.pickle()
	if err != nil {
		return err
	}
	views, ok := items(v)
	if !ok {
		return c.fail(fmt.Errorf("list of views is a %s: %w", kindOf(v), tensor.ErrCorrupt))
	}
	for _, view := range views {
		if err := t.view(c, view); err != nil {
			return err
		}
	}
	return t.r.ends(c.member, c.off, c.end)
}

func (t *tarred) storage(c *cursor) error {
	a, err := c.record(3)
	if err != nil {
		return err
	}
	key, class := a.key(0), argument[*storageClass](a, 2, "a storage class")
	if a.err != nil {
		return c.fail(a.err)
	}
	numel, err := t.r.int64At(c.member, t.r.src, c.off)
	if err != nil {
		return err
	}
	if numel > (c.end-c.off)/class.elem.item {
		return c.fail(fmt.Errorf("storage %s has %d elements of %d bytes, the member has %d more bytes: %w", key, numel, class.elem.item, c.end-c.off, tensor.ErrCorrupt))
	}
	if _, err := c.skip(8); err != nil {
		return err
	}
	size := numel * class.elem.item
	off, err := c.skip(size)
	if err != nil {
		return err
	}
	b := &blob{id: t.r.prefix + "storage " + key, file: t.r.file, member: c.member, r: io.NewSectionReader(t.r.src, off, size), size: size, offset: t.r.base + off}
	t.blobs = append(t.blobs, b)
	return t.define(c, key, &storage{blob: b, elem: class.elem, bytes: size})
}

// define gives a key its object; a key has one.
func (t *tarred) define(c *cursor, key string, v any) error {
	if _, twice := t.objects[key]; twice {
		return c.fail(fmt.Errorf("key %s is defined twice: %w", key, tensor.ErrCorrupt))
	}
	t.objects[key] = v
	return nil
}

func (t *tarred) view(c *cursor, v any) error {
	parts, _ := items(v)
	if len(parts) != 4 {
		return c.fail(fmt.Errorf("view is a %s of %d parts, want 4: %w", kindOf(v), len(parts), tensor.ErrCorrupt))
	}
	a := &arguments{of: "view of a storage", vals: parts, s: t.r.session}
	key, whole, offset, numel := a.key(0), a.key(1), int64(a.int(2)), int64(a.int(3))
	if a.err != nil {
		return c.fail(a.err)
	}
	s, ok := t.objects[whole].(*storage)
	if !ok {
		return c.fail(fmt.Errorf("view %s of storage %s, which is not there: %w", key, whole, tensor.ErrCorrupt))
	}
	held := s.bytes / s.elem.item
	if offset < 0 || numel < 0 || offset > held || numel > held-offset {
		return c.fail(fmt.Errorf("view %s takes elements %d to %d of storage %s of %d: %w", key, offset, offset+numel, whole, held, tensor.ErrCorrupt))
	}
	return t.define(c, key, &storage{blob: s.blob, elem: s.elem, start: s.start + offset*s.elem.item, bytes: numel * s.elem.item})
}

// tensors reads (key, storage key, class), then the int32 number of dimensions,
// four bytes of padding, sizes, strides and the offset as int64.
func (t *tarred) tensors() error {
	c := t.open("tensors")
	n, err := c.count()
	if err != nil {
		return err
	}
	for range n {
		if err := t.tensor(c); err != nil {
			return err
		}
	}
	return t.r.ends(c.member, c.off, c.end)
}

func (t *tarred) tensor(c *cursor) error {
	a, err := c.record(3)
	if err != nil {
		return err
	}
	key, of := a.key(0), a.key(1)
	if a.err != nil {
		return c.fail(a.err)
	}
	s, ok := t.objects[of].(*storage)
	if !ok {
		return c.fail(fmt.Errorf("tensor %s of storage %s, which is not there: %w", key, of, tensor.ErrCorrupt))
	}
	head, err := c.bytes(8)
	if err != nil {
		return err
	}
	dims := int32(binary.LittleEndian.Uint32(head)) //nolint:gosec // an int32 it is
	if dims < 0 || int(dims) > t.r.lim.Rank {
		return c.fail(fmt.Errorf("tensor %s has %d dimensions, at most %d are read: %w", key, dims, t.r.lim.Rank, tensor.ErrTooLarge))
	}
	b, err := c.bytes(8 * (2*int64(dims) + 1))
	if err != nil {
		return err
	}
	v := &array{storage: s, typ: s.elem, shape: make(tensor.Shape, dims), strides: make([]int64, dims)}
	for i := range v.shape {
		size, stride := word64(b, i), word64(b, i+int(dims))
		if size < 0 || size > math.MaxInt || stride < 0 {
			return c.fail(fmt.Errorf("tensor %s has size %d and stride %d: %w", key, size, stride, tensor.ErrCorrupt))
		}
		v.shape[i], v.strides[i] = int(size), stride
	}
	if v.offset = word64(b, 2*int(dims)); v.offset < 0 {
		return c.fail(fmt.Errorf("tensor %s has offset %d: %w", key, v.offset, tensor.ErrCorrupt))
	}
	if err := t.r.take(valueBytes); err != nil {
		return c.fail(err)
	}
	return t.define(c, key, v)
}

// word64 reads the int64 of index i.
func word64(b []byte, i int) int64 {
	return int64(binary.LittleEndian.Uint64(b[8*i:])) //nolint:gosec // two's complement
}

// object answers a persistent id of the pickle: a bare key.
func (t *tarred) object(id storageID) (any, error) {
	v, ok := t.objects[id.key]
	if !id.bare || !ok {
		return nil, fmt.Errorf("persistent id %.40q is not of a storage or tensor in the file: %w", id.key, tensor.ErrCorrupt)
	}
	return v, nil
}
