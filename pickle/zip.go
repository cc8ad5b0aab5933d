package pickle

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/smelt-project/smelt/tensor"
)

// A member is one entry of a zip archive, as the central directory and its
// local header agree on it.
type member struct {
	Name       string
	Offset     int64 // of the data, in the file
	Size       int64 // of the data when it is not compressed
	Compressed int64 // of the data in the file
	CRC32      uint32
	Method     uint16 // stored or deflated
	flags      uint16
	header     int64 // where the local header starts
	end        int64 // of the data and of the descriptor behind it, as far as is known
}

// The compression methods that PyTorch's reader knows (APPNOTE.TXT, 4.4.5).
const (
	methodStored   = 0
	methodDeflated = 8
)

// isDir reports whether m stands for a folder.
func (m *member) isDir() bool { return strings.HasSuffix(m.Name, "/") }

// errCRC is the class of members whose bytes do not match their checksum.
var errCRC = fmt.Errorf("wrong checksum: %w", tensor.ErrCorrupt)

// An archive is the directory of a zip file in which every reader sees the same
// members: no two of a name, none that overlap, and no local header that
// contradicts the directory. Safe for concurrent use.
type archive struct {
	r    io.ReaderAt
	size int64
	file string
	lim  Limits
	base string // folder of the first entry

	list  []*member
	names map[string]*member // without the root
	gaps  int64              // bytes that belong to no member

	mu       sync.Mutex
	inflated int64
	spools   map[*member]*spool
}

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

// openZip reads the directory of the zip archive that is the whole of r, and
// requires that all entries lie in the folder of the first one, as PyTorch does.
func openZip(r io.ReaderAt, size int64, file string, lim Limits) (*archive, error) {
	a, err := openAnyZip(r, size, file, lim)
	if err != nil {
		return nil, err
	}
	if err := a.underRoot(); err != nil {
		return nil, err
	}
	return a, nil
}

// openAnyZip reads the directory of a zip archive of any layout. Members are
// then found by their full names.
func openAnyZip(r io.ReaderAt, size int64, file string, lim Limits) (*archive, error) {
	a := &archive{r: r, size: size, file: file, lim: lim.withDefaults(), spools: map[*member]*spool{}}
	dir, err := a.findDirectory()
	if err != nil {
		return nil, err
	}
	if err := a.readDirectory(dir); err != nil {
		return nil, err
	}
	if err := a.checkLocals(dir); err != nil {
		return nil, err
	}
	return a, a.index("")
}

// fail locates an error in the archive, in a member if that is known.
func (a *archive) fail(member string, off int64, class error, format string, args ...any) error {
	return &tensor.Error{Op: "read zip", File: a.file, Member: member, Offset: off, Err: fmt.Errorf(format+": %w", append(args, class)...)}
}

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

// index makes members findable, and refuses two of one name.
func (a *archive) index(root string) error {
	a.base = root
	a.names = make(map[string]*member, len(a.list))
	for _, m := range a.list {
		name := strings.TrimPrefix(m.Name, root+"/")
		if _, twice := a.names[name]; twice {
			return a.fail(m.Name, m.header, tensor.ErrCorrupt, "occurs twice")
		}
		a.names[name] = m
	}
	return nil
}

// underRoot requires that every entry lies in the folder of the first one.
func (a *archive) underRoot() error {
	if len(a.list) == 0 {
		return a.fail("", 0, tensor.ErrNotFound, "the archive has no members")
	}
	root, _, ok := strings.Cut(a.list[0].Name, "/")
	if !ok {
		return a.fail(a.list[0].Name, a.list[0].header, tensor.ErrUnsupported, "lies in no folder; PyTorch puts all members into one")
	}
	for _, m := range a.list {
		if !strings.HasPrefix(m.Name, root+"/") {
			return a.fail(m.Name, m.header, tensor.ErrCorrupt, "lies outside the folder %q of the first member", root)
		}
	}
	return a.index(root)
}

// root returns the folder that holds all members, "" if the archive was opened
// without one.
func (a *archive) root() string { return a.base }

// member returns a member by its name below the root.
func (a *archive) member(name string) (*member, bool) {
	m, ok := a.names[name]
	return m, ok
}

// members returns all members in the order of the central directory.
func (a *archive) members() []*member { return a.list }

func (a *archive) readAt(b []byte, off int64, what string) error {
	n, err := a.r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &tensor.Error{Op: "read zip", File: a.file, Offset: off, Err: fmt.Errorf("%s: got %d of %d bytes: %w", what, n, len(b), err)}
}

// readAll reads a member of at most limit bytes into memory. If the checksum is
// wrong it returns the bytes together with an error of class errCRC. A checksum
// of zero means that there is none: PyTorch can leave it out.
func (a *archive) readAll(m *member, limit int64) ([]byte, error) {
	if m.Size > limit {
		return nil, a.fail(m.Name, m.Offset, tensor.ErrTooLarge, "%d bytes, the limit is %d", m.Size, limit)
	}
	if err := a.charge(m); err != nil {
		return nil, err
	}
	b := make([]byte, m.Size)
	if err := a.fill(m, b); err != nil {
		return nil, err
	}
	if sum := crc32.ChecksumIEEE(b); m.CRC32 != 0 && sum != m.CRC32 {
		return b, a.fail(m.Name, m.Offset, errCRC, "bytes have checksum %08x, the directory says %08x", sum, m.CRC32)
	}
	return b, nil
}

// fill reads all of m into b.
func (a *archive) fill(m *member, b []byte) error {
	if m.Method == methodStored {
		return a.readAt(b, m.Offset, "member "+m.Name)
	}
	z := flate.NewReader(io.NewSectionReader(a.r, m.Offset, m.Compressed))
	if n, err := io.ReadFull(z, b); err != nil {
		return a.inflateError(m, int64(n), err)
	}
	return a.exhausted(m, z)
}

func (a *archive) inflateError(m *member, got int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return a.fail(m.Name, m.Offset, tensor.ErrCorrupt, "inflates to %d bytes, the directory says %d", got, m.Size)
	}
	return a.fail(m.Name, m.Offset, tensor.ErrCorrupt, "does not inflate: %w", err)
}

// exhausted checks that a deflated member ends where the directory says.
func (a *archive) exhausted(m *member, z io.Reader) error {
	var more [1]byte
	switch _, err := io.ReadFull(z, more[:]); {
	case err == nil:
		return a.fail(m.Name, m.Offset, tensor.ErrCorrupt, "inflates to more than the %d bytes that the directory says", m.Size)
	case err != io.EOF:
		return a.inflateError(m, m.Size, err)
	}
	return nil
}

// freeRatio is how much a member may inflate to whatever its ratio.
const freeRatio = 1 << 20

// charge checks the limits of inflating m before anything is inflated.
func (a *archive) charge(m *member) error {
	if m.Method == methodStored {
		return nil
	}
	if m.Size > freeRatio && m.Size/max(m.Compressed, 1) > a.lim.Ratio {
		return a.fail(m.Name, m.Offset, tensor.ErrTooLarge, "%d bytes inflate to %d, the limit is a ratio of %d", m.Compressed, m.Size, a.lim.Ratio)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.Size > a.lim.Inflated-a.inflated {
		return a.fail(m.Name, m.Offset, tensor.ErrTooLarge, "the members read so far inflate to %d bytes and this one to %d, the limit is %d", a.inflated, m.Size, a.lim.Inflated)
	}
	a.inflated += m.Size
	return nil
}

// section returns the bytes of m. Those of a stored member are a section of the
// file; a deflated one is inflated, into a temporary file that has no name, when
// it is first read.
func (a *archive) section(m *member) (io.ReaderAt, error) {
	if m.Method == methodStored {
		return io.NewSectionReader(a.r, m.Offset, m.Size), nil
	}
	a.mu.Lock()
	s, ok := a.spools[m]
	a.mu.Unlock()
	if ok {
		return s, nil
	}
	if err := a.charge(m); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.spools[m]; ok {
		return s, nil
	}
	s = &spool{a: a, m: m}
	a.spools[m] = s
	return s, nil
}

// drop forgets an inflated member, so that its temporary file can go.
func (a *archive) drop(m *member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.spools[m]; ok {
		delete(a.spools, m)
		s.close()
	}
}
