package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/smelt-project/smelt/tensor"
)

// Signatures and fixed sizes of the zip format (APPNOTE.TXT, 4.3).
const (
	sigLocal     = 0x04034b50
	sigCentral   = 0x02014b50
	sigEnd       = 0x06054b50
	sigEnd64     = 0x06064b50
	sigLocator64 = 0x07064b50
	sigData      = 0x08074b50

	localSize     = 30
	centralSize   = 46
	endSize       = 22
	end64Size     = 56
	locator64Size = 20
)

const (
	flagEncrypted  = 1<<0 | 1<<6 | 1<<13
	flagPatched    = 1 << 5
	flagDescriptor = 1 << 3
)

// maxMemberName is longer than any path that PyTorch writes.
const maxMemberName = 4 << 10

// A directory says where the central directory lies.
type directory struct {
	off, size int64
	entries   int64
}

// tailBytes is how far from the end of a file the end record can start: its
// fixed part and the longest comment.
const tailBytes = endSize + math.MaxUint16

// findDirectory finds the one end record and follows it to the central directory.
func (a *archive) findDirectory() (directory, error) {
	tail, err := a.tail()
	if err != nil {
		return directory{}, err
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 {
		return directory{}, a.fail("", a.size, tensor.ErrCorrupt, "no end of central directory in the last %d bytes: the file is cut off or is no zip archive", len(tail))
	}
	off := a.size - int64(len(tail)) + int64(at)
	if !endsFile(tail, at) {
		return directory{}, a.fail("", off, tensor.ErrCorrupt, "the end record and its comment do not end where the file does, at byte 0x%x", a.size)
	}
	for other := at; other > 0; {
		other = bytes.LastIndex(tail[:other], []byte("PK\x05\x06"))
		if other >= 0 && endsFile(tail, other) {
			return directory{}, a.fail("", off, tensor.ErrCorrupt, "two end records fit the end of the file: readers would disagree on what is inside")
		}
	}
	return a.readEnd(tail[at:], off)
}

func (a *archive) tail() ([]byte, error) {
	tail := make([]byte, min(a.size, tailBytes))
	if err := a.readAt(tail, a.size-int64(len(tail)), "end of the archive"); err != nil {
		return nil, err
	}
	return tail, nil
}

// endsFile reports whether an end record at i would reach the end of tail.
func endsFile(tail []byte, i int) bool {
	return len(tail)-i >= endSize && i+endSize+int(binary.LittleEndian.Uint16(tail[i+20:])) == len(tail)
}

// readEnd reads the end record at off and, if it is there, the zip64 one.
func (a *archive) readEnd(rec []byte, off int64) (directory, error) {
	le := binary.LittleEndian
	d := directory{entries: int64(le.Uint16(rec[10:])), size: int64(le.Uint32(rec[12:])), off: int64(le.Uint32(rec[16:]))}
	if le.Uint16(rec[4:]) != 0 || le.Uint16(rec[6:]) != 0 || le.Uint16(rec[8:]) != le.Uint16(rec[10:]) {
		return d, a.fail("", off, tensor.ErrUnsupported, "the archive is split over several disks")
	}
	end := off
	wide, found, err := a.readEnd64(off)
	if err != nil {
		return d, err
	}
	if found {
		if err := a.agree(d, wide, off); err != nil {
			return d, err
		}
		d, end = wide.directory, wide.at
	}
	if d.off < 0 || d.size < 0 || d.off > end || d.size != end-d.off {
		return d, a.fail("", off, tensor.ErrCorrupt, "central directory of %d bytes at 0x%x, the end record is at 0x%x: bytes were put before, between or behind, or are missing", d.size, d.off, end)
	}
	if d.entries > int64(a.lim.Entries) {
		return d, a.fail("", off, tensor.ErrTooLarge, "%d members, the limit is %d", d.entries, a.lim.Entries)
	}
	if d.entries > d.size/centralSize {
		return d, a.fail("", off, tensor.ErrCorrupt, "%d members do not fit a central directory of %d bytes", d.entries, d.size)
	}
	return d, nil
}

// An end64 is a zip64 end record and where it lies.
type end64 struct {
	directory
	at int64
}

// readEnd64 reads the zip64 locator before the end record at off and the record
// that it points to, which has to lie directly before it.
func (a *archive) readEnd64(off int64) (e end64, found bool, err error) {
	if off < locator64Size+end64Size {
		return e, false, nil
	}
	le := binary.LittleEndian
	var loc [locator64Size]byte
	if err := a.readAt(loc[:], off-locator64Size, "zip64 locator"); err != nil {
		return e, false, err
	}
	if le.Uint32(loc[:]) != sigLocator64 {
		return e, false, nil
	}
	e.at = off - locator64Size - end64Size
	if at := le.Uint64(loc[8:]); at != uint64(e.at) || le.Uint32(loc[4:]) != 0 || le.Uint32(loc[16:]) != 1 { //nolint:gosec // e.at ≥ 0
		return e, false, a.fail("", off-locator64Size, tensor.ErrCorrupt, "zip64 locator points to 0x%x, the record belongs at 0x%x", at, e.at)
	}
	var rec [end64Size]byte
	if err := a.readAt(rec[:], e.at, "zip64 end record"); err != nil {
		return e, false, err
	}
	if le.Uint32(rec[:]) != sigEnd64 || le.Uint64(rec[4:]) != end64Size-12 || le.Uint32(rec[16:]) != 0 || le.Uint32(rec[20:]) != 0 || le.Uint64(rec[24:]) != le.Uint64(rec[32:]) {
		return e, false, a.fail("", e.at, tensor.ErrCorrupt, "malformed zip64 end record")
	}
	e.entries, e.size, e.off = int64(le.Uint64(rec[32:])), int64(le.Uint64(rec[40:])), int64(le.Uint64(rec[48:])) //nolint:gosec // negative values are refused below
	if e.entries < 0 || e.size < 0 || e.off < 0 {
		return e, false, a.fail("", e.at, tensor.ErrCorrupt, "zip64 end record with a size past 2^63")
	}
	return e, true, nil
}

// agree refuses an end record that says something else than the zip64 one.
func (a *archive) agree(d directory, wide end64, off int64) error {
	for _, f := range []struct {
		what        string
		short, full int64
		absent      int64
	}{
		{"members", d.entries, wide.entries, math.MaxUint16},
		{"bytes of directory", d.size, wide.size, math.MaxUint32},
		{"as offset of the directory", d.off, wide.off, math.MaxUint32},
	} {
		if f.short != f.absent && f.short != f.full {
			return a.fail("", off, tensor.ErrCorrupt, "the end record says %d %s, the zip64 record %d", f.short, f.what, f.full)
		}
	}
	return nil
}

// readDirectory reads the central directory.
func (a *archive) readDirectory(d directory) error {
	dir := make([]byte, d.size)
	if err := a.readAt(dir, d.off, "central directory"); err != nil {
		return err
	}
	members := make([]member, d.entries)
	a.list = make([]*member, d.entries)
	pos := 0
	for i := range members {
		n, err := a.readCentral(&members[i], dir[pos:], d.off+int64(pos))
		if err != nil {
			return err
		}
		a.list[i] = &members[i]
		pos += n
	}
	if pos != len(dir) {
		return a.fail("", d.off+int64(pos), tensor.ErrCorrupt, "%d bytes of central directory behind its %d members", len(dir)-pos, d.entries)
	}
	return nil
}

// readCentral reads one record and returns its length.
func (a *archive) readCentral(m *member, b []byte, off int64) (int, error) {
	le := binary.LittleEndian
	if len(b) < centralSize || le.Uint32(b) != sigCentral {
		return 0, a.fail("", off, tensor.ErrCorrupt, "no central directory record")
	}
	n, x, c := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
	total := centralSize + n + x + c
	if total > len(b) {
		return 0, a.fail("", off, tensor.ErrCorrupt, "record of %d bytes, %d bytes of directory remain", total, len(b))
	}
	m.Name = string(b[centralSize : centralSize+n])
	m.flags, m.Method, m.CRC32 = le.Uint16(b[8:]), le.Uint16(b[10:]), le.Uint32(b[16:])
	m.Compressed, m.Size, m.header = int64(le.Uint32(b[20:])), int64(le.Uint32(b[24:])), int64(le.Uint32(b[42:]))
	if err := checkName(m.Name); err != nil {
		return 0, a.fail("", off, err, "member name %.80q", m.Name)
	}
	if err := m.widen(b[centralSize+n:centralSize+n+x], le.Uint16(b[34:])); err != nil {
		return 0, a.fail(m.Name, off, err, "zip64 sizes")
	}
	return total, a.checkMember(m, off)
}

// widen replaces the sizes that do not fit 32 bits by those of the zip64 extra
// field, which has only these, in this order (APPNOTE.TXT, 4.5.3).
func (m *member) widen(extra []byte, disk uint16) error {
	wide, err := extraField(extra, 1)
	if err != nil {
		return err
	}
	for _, p := range []*int64{&m.Size, &m.Compressed, &m.header} {
		if *p != math.MaxUint32 {
			continue
		}
		if len(wide) < 8 {
			return fmt.Errorf("are missing: %w", tensor.ErrCorrupt)
		}
		*p = int64(binary.LittleEndian.Uint64(wide)) //nolint:gosec // checkMember refuses negative values
		wide = wide[8:]
	}
	if disk != 0 {
		return fmt.Errorf("name disk %d: %w", disk, tensor.ErrUnsupported)
	}
	return nil
}

// extraField returns the extra field with an id, nil if there is none. Two of
// one id are refused.
func extraField(extra []byte, id uint16) (data []byte, err error) {
	le := binary.LittleEndian
	for len(extra) >= 4 {
		n := int(le.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return nil, fmt.Errorf("extra field of %d bytes, %d remain: %w", n, len(extra)-4, tensor.ErrCorrupt)
		}
		if le.Uint16(extra) == id {
			if data != nil {
				return nil, fmt.Errorf("extra field %d occurs twice: %w", id, tensor.ErrCorrupt)
			}
			data = extra[4 : 4+n : 4+n]
		}
		extra = extra[4+n:]
	}
	return data, nil
}

// checkName refuses what could be another file, or another name, on some system.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("is empty: %w", tensor.ErrCorrupt)
	case len(name) > maxMemberName:
		return fmt.Errorf("has %d bytes, the limit is %d: %w", len(name), maxMemberName, tensor.ErrTooLarge)
	case name[0] == '/', strings.Contains(name, `\`), len(name) > 1 && name[1] == ':':
		return fmt.Errorf("is a path outside the archive: %w", tensor.ErrCorrupt)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("has control characters or is not UTF-8: %w", tensor.ErrCorrupt)
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("has the folder %q: %w", part, tensor.ErrCorrupt)
		}
	}
	return nil
}

// checkMember checks one record against itself and the size of the file.
func (a *archive) checkMember(m *member, off int64) error {
	switch {
	case m.flags&(flagEncrypted|flagPatched) != 0:
		return a.fail(m.Name, off, tensor.ErrUnsupported, "is marked as encrypted or patched (flags 0x%04x)", m.flags)
	case m.Method != methodStored && m.Method != methodDeflated:
		return a.fail(m.Name, off, tensor.ErrUnsupported, "compression method %d, only stored and deflated members are read", m.Method)
	case m.Size < 0 || m.Compressed < 0 || m.header < 0 || m.header > a.size-localSize || m.Compressed > a.size-localSize-m.header:
		return a.fail(m.Name, off, tensor.ErrCorrupt, "%d bytes at 0x%x, the file has 0x%x", m.Compressed, m.header, a.size)
	case m.Method == methodStored && m.Size != m.Compressed:
		return a.fail(m.Name, off, tensor.ErrCorrupt, "is stored, and yet its %d bytes take %d", m.Size, m.Compressed)
	case m.isDir() && m.Size != 0:
		return a.fail(m.Name, off, tensor.ErrCorrupt, "is a folder of %d bytes", m.Size)
	}
	return nil
}
