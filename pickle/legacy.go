package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"

	"github.com/smelt-project/smelt/tensor"
)

// legacyMagic begins a file of PyTorch 0.1.10 to 1.5, and of later ones that
// were asked for it (torch/serialization.py, MAGIC_NUMBER and _legacy_load):
// pickles of this number, of 1001, of a dict about the system, of the object
// and of the storage keys, then each storage as an int64 count and raw bytes.
var legacyMagic, _ = new(big.Int).SetString("1950a86a20f9469cfc6c", 16)

const legacyProtocol = 1001

func isLegacyMagic(v any) bool {
	n, ok := v.(*big.Int)
	return ok && n.Cmp(legacyMagic) == 0
}

// A legacy is a file in that container.
type legacy struct {
	r        *reader
	off      int64 // of the next pickle
	big      bool
	protocol int
	blobs    map[string]*blob
	elem     map[string]*scalarType // of the first id that names a key
	numel    map[string]int64
}

func readLegacy(r *reader) (*checkpoint, error) {
	l := &legacy{r: r, blobs: map[string]*blob{}, elem: map[string]*scalarType{}, numel: map[string]int64{}}
	if err := l.header(); err != nil {
		return nil, err
	}
	root, err := l.next(l.storage)
	if err != nil {
		return nil, err
	}
	keys, err := l.next(noStorages)
	if err != nil {
		return nil, err
	}
	blobs, err := l.place(keys)
	if err != nil {
		return nil, err
	}
	order := "little"
	if l.big {
		order = "big"
	}
	return &checkpoint{format: "PyTorch legacy", roots: []child{{v: root}}, blobs: blobs, facts: []tensor.KV{
		{Key: "container", Value: "legacy"}, {Key: "protocol", Value: int64(l.protocol)}, {Key: "byteorder", Value: order}}}, nil
}

// header reads the three pickles before the object.
func (l *legacy) header() error {
	magic, err := l.next(noStorages)
	if err != nil {
		return err
	}
	if !isLegacyMagic(magic) {
		return l.fail(0, fmt.Errorf("magic number is a %s %.40s: %w", kindOf(magic), scalarText(magic), tensor.ErrCorrupt))
	}
	at := l.off
	version, err := l.next(noStorages)
	if err != nil {
		return err
	}
	if version != any(legacyProtocol) {
		return l.fail(at, fmt.Errorf("protocol version is a %s %.40s, want %d: %w", kindOf(version), scalarText(version), legacyProtocol, tensor.ErrUnsupported))
	}
	at = l.off
	system, err := l.next(noStorages)
	if err != nil {
		return err
	}
	little, ok := l.r.lookup(system, "little_endian")
	if !ok {
		return nil
	}
	isLittle, ok := little.(bool)
	if !ok {
		return l.fail(at, fmt.Errorf("little_endian is a %s: %w", kindOf(little), tensor.ErrCorrupt))
	}
	l.big = !isLittle
	return nil
}

func (l *legacy) fail(off int64, err error) error {
	return &tensor.Error{Op: "pickle: read legacy file", File: l.r.file, Offset: off, Err: err}
}

// next runs the pickle at off and moves off past it.
func (l *legacy) next(storage func(storageID) (any, error)) (any, error) {
	v, a, err := l.r.pickleAt("", l.r.src, l.off, l.r.size, storage)
	if err != nil {
		return nil, err
	}
	l.off += a.Size
	l.protocol = a.Protocol
	return v, nil
}

// pickleAt runs the pickle that starts at off and ends somewhere before end. It
// reads no more than a few times the pickle's own length.
func (r *reader) pickleAt(member string, src io.ReaderAt, off, end int64, storage func(storageID) (any, error)) (any, *Audit, error) {
	for window := int64(firstWindow); ; window *= 16 {
		window = min(window, end-off, r.lim.Pickle)
		b := make([]byte, max(window, 0))
		if n, err := src.ReadAt(b, off); n < len(b) {
			return nil, nil, &tensor.Error{Op: "pickle: read", File: r.file, Member: member, Offset: off + int64(n), Err: fmt.Errorf("got %d of %d bytes: %w: %w", n, len(b), err, tensor.ErrCorrupt)}
		}
		a := audit(b, r.lim)
		if a.Err != nil && errors.Is(a.Err, io.ErrUnexpectedEOF) && window < end-off && window < r.lim.Pickle {
			continue
		}
		v, err := r.run(member, off, b, a, storage)
		return v, a, err
	}
}

// storage makes the storage of a persistent id; where its bytes are is known
// when all of them have been seen.
func (l *legacy) storage(id storageID) (any, error) {
	if id.bare {
		return nil, fmt.Errorf("persistent id %.40q is text: %w", id.key, tensor.ErrUnsupported)
	}
	b, again := l.blobs[id.key]
	if !again {
		b = &blob{id: l.r.prefix + "storage " + id.key, file: l.r.file, offset: -1, size: id.numel * id.elem.item, big: l.big}
		l.blobs[id.key], l.elem[id.key], l.numel[id.key] = b, id.elem, id.numel
	}
	if l.numel[id.key] != id.numel || l.elem[id.key].item != id.elem.item {
		return nil, fmt.Errorf("storage %.40q is %d elements of %d bytes and also %d of %d: %w",
			id.key, l.numel[id.key], l.elem[id.key].item, id.numel, id.elem.item, tensor.ErrCorrupt)
	}
	return id.over(b)
}

// place finds the bytes of the storages, which follow the list of their keys in
// its order.
func (l *legacy) place(list any) ([]*blob, error) {
	keys, ok := items(list)
	if !ok {
		return nil, l.fail(l.off, fmt.Errorf("list of storage keys is a %s: %w", kindOf(list), tensor.ErrCorrupt))
	}
	var blobs []*blob
	done := map[string]bool{}
	for _, k := range keys {
		key, ok := storageKey(k)
		b, known := l.blobs[key]
		if !ok || !known || done[key] {
			return nil, l.fail(l.off, fmt.Errorf("storage key %.40s is not one that the object uses once: %w", scalarText(k), tensor.ErrCorrupt))
		}
		done[key] = true
		if err := l.placeOne(b, key); err != nil {
			return nil, err
		}
		blobs = append(blobs, b)
	}
	if len(done) != len(l.blobs) {
		return nil, l.fail(l.off, fmt.Errorf("object uses %d storages, the list of keys has %d: %w", len(l.blobs), len(done), tensor.ErrCorrupt))
	}
	return blobs, l.r.ends("", l.off, l.r.size)
}

func (l *legacy) placeOne(b *blob, key string) error {
	numel, err := l.r.int64At("", l.r.src, l.off)
	if err != nil {
		return err
	}
	if numel != l.numel[key] {
		return l.fail(l.off, fmt.Errorf("storage %s has %d elements in the file and %d in the pickle: %w", key, numel, l.numel[key], tensor.ErrCorrupt))
	}
	l.off += 8
	if b.size > l.r.size-l.off {
		return l.fail(l.off, fmt.Errorf("storage %s takes %d bytes, the file has %d more: %w", key, b.size, l.r.size-l.off, tensor.ErrCorrupt))
	}
	b.r, b.offset = io.NewSectionReader(l.r.src, l.off, b.size), l.r.base+l.off
	l.off += b.size
	return nil
}

// int64At reads a little-endian integer.
func (r *reader) int64At(member string, src io.ReaderAt, off int64) (int64, error) {
	var b [8]byte
	if n, err := src.ReadAt(b[:], off); n < len(b) {
		return 0, &tensor.Error{Op: "pickle: read", File: r.file, Member: member, Offset: off + int64(n), Err: fmt.Errorf("got %d of 8 bytes: %w: %w", n, err, tensor.ErrCorrupt)}
	}
	u := binary.LittleEndian.Uint64(b[:])
	if u > math.MaxInt64 {
		return 0, &tensor.Error{Op: "pickle: read", File: r.file, Member: member, Offset: off, Err: fmt.Errorf("count %d: %w", int64(u), tensor.ErrCorrupt)} //nolint:gosec // shown as it was meant
	}
	return int64(u), nil
}
