package pickle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A scanner examines one file.
type scanner struct {
	ctx  context.Context
	lim  Limits
	rep  *Report
	seen map[string]int // of rep.Globals
	how  map[Container]scan
}

// A piece is a file or a member of an archive, to be examined by its content.
type piece struct {
	r      io.ReaderAt
	size   int64
	member string // "" for the file itself
	depth  int    // of archives around it
	named  bool   // its name says that it is a pickle or a checkpoint
	raw    bool   // it is expected to be the bytes of a storage, and may look like anything
}

// maxArchives is how deep archives are opened within archives.
const maxArchives = 2

// A scan is how a container is examined.
type scan struct {
	run     func(*scanner, piece)
	archive bool // a file of this kind is reported even if nothing names it a checkpoint
}

// scans is the table of what is done with each kind of content. Advice explains
// the kinds without a run.
var scans = map[Container]scan{
	Zip:      {(*scanner).zip, true},
	Tar:      {(*scanner).tar, true},
	Legacy:   {(*scanner).legacy, true},
	Pickle:   {(*scanner).pickles, true},
	NumPy:    {(*scanner).numpy, false},
	GZip:     {nil, true},
	BZip2:    {nil, true},
	XZ:       {nil, true},
	Zstd:     {nil, true},
	LZ4:      {nil, true},
	SevenZip: {nil, true},
	RAR:      {nil, true},

	SafeTensors: {(*scanner).nothing, false},
	GGUF:        {(*scanner).nothing, false},
	GGML:        {(*scanner).nothing, false},
	Other:       {(*scanner).other, false},
	JSON:        {(*scanner).other, false},
	Zlib:        {(*scanner).other, false},
}

// file examines a whole file.
func (s *scanner) file(p piece) {
	head, err := p.head()
	if err != nil {
		s.fail(p, 0, err)
		return
	}
	s.rep.Format = Sniff(head)
	s.content(p, s.rep.Format)
	if s.rep.Format != Zip {
		s.appended(p)
	}
}

// content examines a piece of a kind.
func (s *scanner) content(p piece, kind Container) {
	row := s.how[kind]
	if row.run == nil {
		s.fail(p, 0, fmt.Errorf("%s: %w", kind.Advice(), tensor.ErrUnsupported))
		return
	}
	row.run(s, p)
}

// fail records what could not be examined.
func (s *scanner) fail(p piece, off int64, err error) {
	var located *tensor.Error
	if errors.As(err, &located) {
		at := *located
		at.File, at.Member = s.rep.Path, p.inside(at.Member)
		at.Offset += off
		s.rep.fail(&at)
		return
	}
	s.rep.fail(&tensor.Error{Op: "scan", File: s.rep.Path, Member: p.member, Offset: off, Err: err})
}

// inside joins the name of a member to those of the archives around it.
func (p piece) inside(member string) string {
	return strings.Trim(p.member+"/"+member, "/")
}

// head reads the first bytes of a piece.
func (p piece) head() ([]byte, error) { return p.bytes(0, SniffBytes) }

// bytes reads n bytes at off, fewer at the end of the piece.
func (p piece) bytes(off, n int64) ([]byte, error) {
	b := make([]byte, max(0, min(n, p.size-off)))
	if got, err := p.r.ReadAt(b, off); got < len(b) {
		return nil, &tensor.Error{Op: "read", Offset: off, Err: fmt.Errorf("got %d of %d bytes: %w", got, len(b), orEOF(err))}
	}
	return b, nil
}

func orEOF(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// nothing notes a format that cannot hold pickles.
func (s *scanner) nothing(p piece) {
	head, err := p.head()
	if err != nil {
		s.fail(p, 0, err)
		return
	}
	s.rep.note("%s%s holds no pickles", p.prefix(), Sniff(head))
}

func (p piece) prefix() string {
	if p.member == "" {
		return ""
	}
	return fmt.Sprintf("member %q: ", p.member)
}

// other examines what looks like nothing: a pickle without a protocol byte that
// imports nothing in its first bytes, or no pickle at all.
func (s *scanner) other(p piece) {
	a, err := s.audit(&view{p: p}, 0)
	if err != nil {
		s.fail(p, 0, err)
		return
	}
	if p.named || a.evident(p.size) {
		s.sequence(p, math.MaxInt)
		return
	}
	if p.member == "" {
		s.fail(p, 0, fmt.Errorf("no pickle and no container of pickles: %w: %w", a.Err, tensor.ErrUnsupported))
	}
}

// pickles examines pickles that follow each other.
func (s *scanner) pickles(p piece) { s.sequence(p, math.MaxInt) }

// legacy examines the five pickles of a legacy file; what follows are the bytes
// of storages.
func (s *scanner) legacy(p piece) { s.sequence(p, legacyPickles) }

// sequence examines at most most pickles from the start of p.
func (s *scanner) sequence(p piece, most int) {
	off, w := int64(0), view{p: p}
	for n := 0; n < most && off < p.size; n++ {
		if s.ctx.Err() != nil {
			s.fail(p, off, s.ctx.Err())
			return
		}
		a, err := s.audit(&w, off)
		if err != nil {
			s.fail(p, off, err)
			return
		}
		if n > 0 && most != legacyPickles && !a.evident(p.size-off) && !s.startsAt(p, off) {
			break
		}
		s.found(p, off, a)
		off += a.Size
		if a.Err != nil {
			return
		}
	}
	if most != legacyPickles {
		s.trailing(p, off)
	}
}

// startsAt reports whether the bytes at off start like a pickle.
func (s *scanner) startsAt(p piece, off int64) bool {
	head, err := p.bytes(off, 3)
	return err == nil && startsLikePickle(head)
}

// firstWindow is more than the pickle of an ordinary legacy file takes.
const firstWindow = 64 << 10

// A view is the part of a piece that is in memory.
type view struct {
	p   piece
	off int64 // of b in p
	b   []byte
}

// at returns at least n bytes from off, all there are if these are fewer.
func (v *view) at(off, n int64) ([]byte, error) {
	n = min(n, v.p.size-off)
	if i := off - v.off; i >= 0 && i <= int64(len(v.b)) && int64(len(v.b))-i >= n {
		return v.b[i:], nil
	}
	b, err := v.p.bytes(off, max(n, firstWindow))
	v.off, v.b = off, b
	return b, err
}

// audit audits the pickle at off, reading no more than a few times its length.
func (s *scanner) audit(v *view, off int64) (*Audit, error) {
	for window := int64(1); ; window = max(firstWindow, 4*window) {
		b, err := v.at(off, min(window, s.lim.Pickle))
		if err != nil {
			return nil, err
		}
		a := audit(b, s.lim)
		if have := int64(len(b)); have < s.lim.Pickle && have < v.p.size-off && errors.Is(a.Err, io.ErrUnexpectedEOF) {
			window = max(window, have)
			continue
		}
		return a, nil
	}
}

// found adds one pickle to the report.
func (s *scanner) found(p piece, off int64, a *Audit) {
	s.rep.found(Found{Member: p.member, Offset: off, Size: a.Size, Protocol: a.Protocol, Opcodes: a.Opcodes})
	s.merge(a.Globals, p.member, off)
	if a.Err != nil {
		s.fail(p, off, a.Err)
	}
	for _, load := range a.payloads {
		if bytes.HasPrefix(load.bytes, zipMagic) {
			s.inner(piece{r: bytes.NewReader(load.bytes), size: int64(len(load.bytes)), member: p.inside("bytes given to " + load.of), depth: p.depth}, Zip)
		}
	}
}

// trailing accounts for bytes behind the last pickle.
func (s *scanner) trailing(p piece, off int64) {
	rest := p.size - off
	if rest == 0 {
		return
	}
	b, err := p.bytes(off, firstWindow)
	if err != nil {
		s.fail(p, off, err)
		return
	}
	if rest <= firstWindow && isZeros(b) {
		s.rep.note("%s%d zero bytes follow the last pickle", p.prefix(), rest)
		return
	}
	s.fail(p, off, fmt.Errorf("%d bytes follow the last pickle and are no pickle: %w", rest, tensor.ErrUnsupported))
}

// inner examines an archive inside another one.
func (s *scanner) inner(p piece, kind Container) {
	if p.depth >= maxArchives {
		s.fail(p, 0, fmt.Errorf("archives are nested more than %d deep: %w", maxArchives, tensor.ErrTooLarge))
		return
	}
	s.content(p, kind)
}
