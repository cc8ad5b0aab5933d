package pickle

import (
	"archive/tar"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// tar examines every file in a tar, and the pickles of the first PyTorch format
// between their storages.
func (s *scanner) tar(p piece) {
	in := io.NewSectionReader(p.r, 0, p.size)
	t := tar.NewReader(in)
	for n := 0; n < s.lim.Entries && s.ctx.Err() == nil; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.fail(p, 0, fmt.Errorf("tar: %w: %w", err, tensor.ErrCorrupt))
			return
		}
		off, err := in.Seek(0, io.SeekCurrent)
		if err != nil || h.Typeflag != tar.TypeReg {
			continue
		}
		m := piece{r: io.NewSectionReader(in, off, h.Size), size: h.Size, member: p.inside(h.Name), depth: p.depth + 1, named: checkpointName(h.Name) || h.Name == "pickle"}
		if h.Size > p.size-off {
			s.fail(m, 0, fmt.Errorf("%d bytes, the tar has %d more: %w", h.Size, p.size-off, tensor.ErrCorrupt))
			return
		}
		if between, ok := tarRecords[h.Name]; ok {
			s.records(m, between)
			continue
		}
		s.member(m)
	}
	s.fail(p, 0, cmp.Or(s.ctx.Err(), fmt.Errorf("more than %d members: %w", s.lim.Entries, tensor.ErrTooLarge)))
}

// tarRecords are the members of PyTorch's tar format that mix pickles with
// binary records, and how long the record behind a pickle is
// (torch/serialization.py, legacy_load).
var tarRecords = map[string]func(p piece, off int64, a *Audit) (int64, error){
	"storages": storageRecord,
	"tensors":  tensorRecord,
}

// records examines the pickles of m, the first of which is their number.
func (s *scanner) records(m piece, between func(piece, int64, *Audit) (int64, error)) {
	off, w := int64(0), view{p: m}
	for n := 0; off < m.size; n++ {
		a, err := s.audit(&w, off)
		if err != nil {
			s.fail(m, off, err)
			return
		}
		s.found(m, off, a)
		off += a.Size
		if a.Err != nil || s.ctx.Err() != nil {
			return
		}
		if n == 0 {
			continue
		}
		skip, err := between(m, off, a)
		if err != nil || skip > m.size-off {
			s.fail(m, off, cmp.Or(err, fmt.Errorf("record of %d bytes, %d remain: %w", skip, m.size-off, tensor.ErrCorrupt)))
			return
		}
		off += skip
	}
}

// storageRecord is a count of elements and the elements of the class that the
// pickle before it names. The list of views at the end has none.
func storageRecord(p piece, off int64, a *Audit) (int64, error) {
	if len(a.Globals) == 0 {
		return 0, nil
	}
	g := a.Globals[0]
	class, ok := builders[canonicalName(g.Module, g.Name)].value.(*storageClass)
	if !ok {
		return 0, fmt.Errorf("storage of class %s.%s: %w", g.Module, g.Name, tensor.ErrUnsupported)
	}
	b, err := p.bytes(off, 8)
	if err != nil || len(b) < 8 {
		return 8, err
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(p.size) { //nolint:gosec // a size
		return math.MaxInt64, nil
	}
	return 8 + int64(n)*class.elem.item, nil //nolint:gosec // n ≤ size, items have 16 bytes at most
}

// tensorRecord is the number of dimensions, sizes, strides and an offset.
func tensorRecord(p piece, off int64, _ *Audit) (int64, error) {
	b, err := p.bytes(off, 8)
	if err != nil || len(b) < 8 {
		return 8, err
	}
	return 8 + 16*int64(binary.LittleEndian.Uint32(b)) + 8, nil
}
