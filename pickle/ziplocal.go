package pickle

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/smelt-project/smelt/tensor"
)

// checkLocals compares every local header with the directory, in the order of
// the file, and refuses members that overlap each other or the directory.
func (a *archive) checkLocals(d directory) error {
	order := slices.Clone(a.list)
	slices.SortFunc(order, func(x, y *member) int { return cmp.Compare(x.header, y.header) })
	w := window{a: a}
	at := int64(0)
	for i, m := range order {
		if m.header < at {
			return a.fail(m.Name, m.header, tensor.ErrCorrupt, "overlaps the member before it, which ends at 0x%x", at)
		}
		if i == 0 && m.header != 0 {
			return a.fail(m.Name, m.header, tensor.ErrCorrupt, "%d bytes before the first member", m.header)
		}
		a.gaps += m.header - at
		if err := w.local(m); err != nil {
			return err
		}
		at = m.end
	}
	if at > d.off {
		last := order[len(order)-1]
		return a.fail(last.Name, last.Offset, tensor.ErrCorrupt, "ends at 0x%x, inside the central directory at 0x%x", at, d.off)
	}
	a.gaps += d.off - at
	return nil
}

// A window reads local headers, several at once where they are close together.
type window struct {
	a   *archive
	buf []byte
	off int64 // of buf in the file
}

// windowBytes holds the headers of some hundred small members; headers alone
// are read in headerBytes.
const (
	windowBytes = 64 << 10
	headerBytes = 512
)

// at returns n bytes of the file at off.
func (w *window) at(off int64, n int) ([]byte, error) {
	if i := off - w.off; i >= 0 && i+int64(n) <= int64(len(w.buf)) {
		return w.buf[i : i+int64(n)], nil
	}
	want := headerBytes
	if near := w.off + int64(len(w.buf)) + 4<<10; off < near {
		want = windowBytes
	}
	want = max(want, n)
	if int64(want) > w.a.size-off {
		want = int(w.a.size - off)
	}
	if want < n {
		return nil, w.a.fail("", off, tensor.ErrCorrupt, "local header of %d bytes, %d remain", n, want)
	}
	w.buf, w.off = slices.Grow(w.buf[:0], want)[:want], off
	if err := w.a.readAt(w.buf, off, "local header"); err != nil {
		return nil, err
	}
	return w.buf[:n], nil
}

// local reads the local header of m and completes m.
func (w *window) local(m *member) error {
	le := binary.LittleEndian
	b, err := w.at(m.header, localSize)
	if err != nil {
		return err
	}
	if le.Uint32(b) != sigLocal {
		return w.a.fail(m.Name, m.header, tensor.ErrCorrupt, "no local header")
	}
	n, x := int(le.Uint16(b[26:])), int(le.Uint16(b[28:]))
	if b, err = w.at(m.header, localSize+n+x); err != nil {
		return err
	}
	if name := string(b[localSize : localSize+n]); name != m.Name {
		return w.a.fail(m.Name, m.header, tensor.ErrCorrupt, "its local header is called %.80q", name)
	}
	m.Offset = m.header + int64(localSize+n+x)
	if m.Compressed > w.a.size-m.Offset {
		return w.a.fail(m.Name, m.Offset, tensor.ErrCorrupt, "%d bytes at 0x%x, the file has 0x%x", m.Compressed, m.Offset, w.a.size)
	}
	if err := w.a.sameFields(m, b, b[localSize+n:]); err != nil {
		return err
	}
	return w.descriptor(m)
}

// sameFields compares what a local header says beside the name. With bit 3 of
// the flags its sizes and checksum may be zero: they follow the data.
func (a *archive) sameFields(m *member, b, extra []byte) error {
	le := binary.LittleEndian
	local := member{flags: le.Uint16(b[6:]), Method: le.Uint16(b[8:]), CRC32: le.Uint32(b[14:]), Compressed: int64(le.Uint32(b[18:])), Size: int64(le.Uint32(b[22:]))}
	if err := local.widen(extra, 0); err != nil {
		return a.fail(m.Name, m.header, err, "zip64 sizes of the local header")
	}
	later := m.flags&flagDescriptor != 0
	for _, f := range []struct {
		what         string
		local, entry int64
		later        bool
	}{
		{"flags", int64(local.flags), int64(m.flags), false},
		{"compression method", int64(local.Method), int64(m.Method), false},
		{"checksum", int64(local.CRC32), int64(m.CRC32), later},
		{"compressed size", local.Compressed, m.Compressed, later},
		{"size", local.Size, m.Size, later},
	} {
		if f.local != f.entry && !(f.later && f.local == 0) {
			return a.fail(m.Name, m.header, tensor.ErrCorrupt, "%s is 0x%x in the local header and 0x%x in the central directory", f.what, f.local, f.entry)
		}
	}
	return nil
}

// descriptor finds the end of m: behind the data, and behind the descriptor that
// repeats sizes and checksum, with or without a signature and in 32 or 64 bits
// (APPNOTE.TXT, 4.3.9).
func (w *window) descriptor(m *member) error {
	m.end = m.Offset + m.Compressed
	if m.flags&flagDescriptor == 0 {
		return nil
	}
	b := make([]byte, min(24, w.a.size-m.end))
	if err := w.a.readAt(b, m.end, "data descriptor"); err != nil {
		return err
	}
	le := binary.LittleEndian
	signed := len(b) >= 4 && le.Uint32(b) == sigData
	if signed {
		b = b[4:]
	}
	wide := len(b) >= 20 && le.Uint64(b[4:]) == uint64(m.Compressed) && le.Uint64(b[12:]) == uint64(m.Size) //nolint:gosec // not negative
	short := len(b) >= 12 && int64(le.Uint32(b[4:])) == m.Compressed && int64(le.Uint32(b[8:])) == m.Size
	if (!wide && !short) || le.Uint32(b) != m.CRC32 {
		return w.a.fail(m.Name, m.end, tensor.ErrCorrupt, "the descriptor behind its data does not repeat the directory's size %d and checksum %08x", m.Size, m.CRC32)
	}
	m.end += 12
	if wide {
		m.end += 8
	}
	if signed {
		m.end += 4
	}
	return nil
}
