package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// zip examines every member of an archive. One that breaks the rules is
// reported, and its members are looked at all the same, as the most lenient
// reader would see them.
func (s *scanner) zip(p piece) {
	base, err := s.archiveStart(p)
	if err != nil {
		s.fail(p, 0, err)
		return
	}
	if base > 0 {
		s.before(p, base)
		p.r, p.size = io.NewSectionReader(p.r, base, p.size-base), p.size-base
	}
	a, err := openAnyZip(p.r, p.size, s.rep.Path, s.lim)
	if err != nil {
		s.fail(p, base, err)
		s.lenient(p)
		return
	}
	if _, err := openRoot(a); err != nil {
		s.fail(p, base, err)
	}
	for _, m := range a.members() {
		if s.ctx.Err() != nil {
			s.fail(p, 0, s.ctx.Err())
			return
		}
		if m.isDir() {
			continue
		}
		s.zipMember(p, a, m)
	}
	if a.gaps > 0 {
		s.rep.note("%s%d bytes of the archive belong to no member", p.prefix(), a.gaps)
	}
}

// openRoot applies PyTorch's rule of one folder to archives that are PyTorch's.
func openRoot(a *archive) (bool, error) {
	for _, m := range a.members() {
		if path.Base(m.Name) == "data.pkl" {
			c := archive{r: a.r, size: a.size, file: a.file, lim: a.lim, list: a.list}
			return true, c.underRoot()
		}
	}
	return false, nil
}

// archiveStart returns where the archive that ends p starts: 0, or what its end
// record says if something was put before it.
func (s *scanner) archiveStart(p piece) (int64, error) {
	tail, err := p.bytes(max(0, p.size-tailBytes), tailBytes)
	if err != nil {
		return 0, err
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || !endsFile(tail, at) {
		return 0, nil
	}
	le := binary.LittleEndian
	size, off := int64(le.Uint32(tail[at+12:])), int64(le.Uint32(tail[at+16:]))
	if off == 0xffffffff || size == 0xffffffff {
		return 0, nil // zip64: openAnyZip compares
	}
	end := p.size - int64(len(tail)-at)
	if at >= locator64Size && le.Uint32(tail[at-locator64Size:]) == sigLocator64 {
		end -= locator64Size + end64Size
	}
	return max(0, end-size-off), nil
}

// before examines what lies before the archive that readers find at the end of
// p: more archives, as distributed checkpoints have them, or something else.
func (s *scanner) before(p piece, base int64) {
	front := p
	front.r, front.size = io.NewSectionReader(p.r, 0, base), base
	if !strings.HasSuffix(s.rep.Path, ".distcp") {
		s.fail(p, base, fmt.Errorf("%d bytes lie before the archive that readers find: %w", base, tensor.ErrCorrupt))
	}
	head, err := front.head()
	if err != nil {
		s.fail(p, 0, err)
		return
	}
	kind := Sniff(head)
	if kind == Zip {
		s.zip(front)
		return
	}
	if p.member != "" || s.rep.Format == Zip {
		s.member(front)
	}
}

// appended looks for a zip archive at the end of a file that starts as something
// else: readers that look for the end record would read that.
func (s *scanner) appended(p piece) {
	tail, err := p.bytes(max(0, p.size-tailBytes), tailBytes)
	if err != nil {
		s.fail(p, 0, err)
		return
	}
	if at := bytes.LastIndex(tail, []byte("PK\x05\x06")); at >= 0 && endsFile(tail, at) {
		s.fail(p, p.size-int64(len(tail)-at), fmt.Errorf("a zip archive is appended to a file of the format %s: readers disagree on what the file is: %w", s.rep.Format, tensor.ErrCorrupt))
		s.zip(p)
	}
}

// zipMember examines one member of a sound archive.
func (s *scanner) zipMember(p piece, a *archive, m *member) {
	in := piece{size: m.Size, member: p.inside(m.Name), depth: p.depth + 1, named: pickleName(m.Name), raw: storageName(m.Name)}
	var err error
	if in.r, err = a.section(m); m.Method == methodDeflated && m.Size <= freeRatio {
		var b []byte
		b, err = a.readAll(m, freeRatio)
		in.r = bytes.NewReader(b)
	}
	if err != nil {
		s.fail(p, 0, err)
	}
	if err == nil || errors.Is(err, errCRC) {
		found := s.rep.total
		s.member(in)
		if s.rep.total > found && m.Method == methodStored {
			s.checksum(in, m)
		}
	}
	a.drop(m)
}

// checksum compares the bytes of a member that holds pickles with the directory.
// Those of storages are left to whoever reads them.
func (s *scanner) checksum(p piece, m *member) {
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, io.NewSectionReader(p.r, 0, p.size)); err != nil {
		s.fail(p, 0, err)
		return
	}
	if got := sum.Sum32(); m.CRC32 != 0 && got != m.CRC32 {
		s.fail(p, 0, fmt.Errorf("bytes have checksum %08x, the directory says %08x: %w", got, m.CRC32, errCRC))
	}
}

// pickleName reports whether a member is a pickle by its name, so that it has to
// be readable as one.
func pickleName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".pkl", ".pickle", ".debug_pkl":
		return true
	}
	return false
}

// storageName reports whether a member is where PyTorch keeps the bytes of
// storages, which may look like anything.
func storageName(name string) bool {
	switch path.Base(path.Dir(name)) {
	case "data", "constants", "tensors":
		return !pickleName(name)
	}
	return false
}

// member examines a member of an archive by its content.
func (s *scanner) member(p piece) {
	head, err := p.head()
	if err != nil {
		s.fail(p, 0, err)
		return
	}
	kind := Sniff(head)
	switch row := s.how[kind]; {
	case p.named && !row.archive:
		s.sequenceOrNothing(p)
	case p.raw:
		s.storage(p, kind)
	case kind == Zip || kind == Tar:
		s.inner(p, kind)
	case row.archive || kind == NumPy || kind == Other:
		s.content(p, kind)
	}
}

// sequenceOrNothing examines a member that is called a pickle, unless it is
// empty.
func (s *scanner) sequenceOrNothing(p piece) {
	if p.size == 0 {
		s.fail(p, 0, fmt.Errorf("empty: %w", tensor.ErrCorrupt))
		return
	}
	s.pickles(p)
}

// storage examines the bytes of a storage. They are numbers, some of which start
// like a pickle by chance: only a pickle that ends, or imports something, counts.
func (s *scanner) storage(p piece, kind Container) {
	switch kind {
	case Zip, Tar:
		s.inner(p, kind)
	case Pickle, Legacy:
		if a, err := s.audit(&view{p: p}, 0); err != nil || a.evident(p.size) {
			s.content(p, kind)
		}
	}
}

// lenient looks at the members of an archive that was refused.
func (s *scanner) lenient(p piece) {
	z, err := zip.NewReader(p.r, p.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		s.fail(p, 0, fmt.Errorf("its members cannot be listed: %w: %w", err, tensor.ErrCorrupt))
		return
	}
	for _, f := range z.File {
		if s.ctx.Err() != nil || strings.HasSuffix(f.Name, "/") {
			continue
		}
		s.lenientMember(p, f)
	}
}

// lenientBytes is how much of a member of a refused archive is looked at. The
// file is unreadable already; this is to name what is dangerous in it.
const lenientBytes = 16 << 20

func (s *scanner) lenientMember(p piece, f *zip.File) {
	m := piece{member: p.inside(f.Name), depth: p.depth + 1, named: pickleName(f.Name), raw: storageName(f.Name)}
	in, err := f.Open()
	if err != nil {
		s.fail(m, 0, fmt.Errorf("%w: %w", err, tensor.ErrCorrupt))
		return
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, lenientBytes))
	if err != nil {
		s.fail(m, 0, fmt.Errorf("%w: %w", err, tensor.ErrCorrupt))
	}
	m.r, m.size = bytes.NewReader(b), int64(len(b))
	if len(b) > 0 {
		s.member(m)
	}
}
