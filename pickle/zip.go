package pickle

import (
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"

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
