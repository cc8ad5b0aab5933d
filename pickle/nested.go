package pickle

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/smelt-project/smelt/tensor"
)

// A payload is a byte string that is the only argument of a call.
type payload struct {
	entry  int  // the global that is called
	at     int  // the instruction that makes the bytes or the text
	latin1 bool // it is text, and the bytes are its Latin-1 encoding
	loads  bool // the call is known to unpickle
}

// A nested is a payload with its bytes, when the walk is over.
type nested struct {
	payload
	bytes []byte
	of    string // the name of the call
}

// protoByte is how the bytes of a pickle start, as they are and as text.
var protoByte = map[bool][]byte{false: {0x80}, true: []byte("\u0080")}

// zipMagic starts a zip archive.
var zipMagic = []byte("PK\x03\x04")

// startsLikePickle reports whether b starts with a protocol declaration and an
// instruction.
func startsLikePickle(b []byte) bool {
	return len(b) > 2 && b[0] == 0x80 && b[1] <= 5 && opcodes[b[2]].run != nil
}

// latin1Bytes encodes UTF-8 text as Latin-1, up to the first character that has no
// such encoding.
func latin1Bytes(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		if r > 0xff {
			break
		}
		out = append(out, byte(r)) //nolint:gosec // at most 0xff
		s = s[n:]
	}
	return out
}

// A nest bounds pickles inside pickles.
type nest struct {
	left  *int // how many more may be read, at all levels
	depth int  // how many more levels
}

func newNest(lim Limits) nest { return nest{left: &lim.Nested, depth: lim.NestDepth} }

// nested audits the pickles in a payload and adds what they hold to w.
func (w *auditor) nested(p *nested, n nest) {
	o := w.relex(p.at)
	e := w.entries[p.entry]
	p.of, p.bytes = e.Module+"."+e.Name, w.b[o.body:o.end]
	base := int64(o.body)
	if p.latin1 {
		p.bytes, base = latin1Bytes(p.bytes), int64(o.start)
	}
	if bytes.HasPrefix(p.bytes, zipMagic) {
		return
	}
	in := fmt.Sprintf("bytes given to %s at 0x%x", p.of, o.start)
	audits, _, err := w.inner(p, n)
	for _, a := range audits {
		w.out.adopt(a, base, in, p.latin1)
	}
	if err != nil && w.out.Err == nil && (p.loads || len(audits) > 0) {
		w.out.Err = &tensor.Error{Op: "audit pickle", Offset: int64(o.start), Err: fmt.Errorf("%s: %w", in, err)}
	}
}

// inner audits a payload within what n leaves.
func (w *auditor) inner(p *nested, n nest) ([]*Audit, int64, error) {
	if n.depth == 0 {
		return nil, 0, fmt.Errorf("pickles are nested more than %d deep: %w", w.lim.NestDepth, tensor.ErrTooLarge)
	}
	if *n.left == 0 {
		return nil, 0, fmt.Errorf("more than %d byte strings hold pickles: %w", w.lim.Nested, tensor.ErrTooLarge)
	}
	*n.left--
	n.depth--
	return sequence(p.bytes, w.lim, n)
}

// adopt adds the globals of a pickle inside a byte string that starts at base.
// Offsets inside text that was encoded are those of the text.
func (a *Audit) adopt(inner *Audit, base int64, in string, encoded bool) {
	for _, g := range inner.Globals {
		g.Offset += base
		if encoded {
			g.Offset = base
		}
		if g.In == "" {
			g.In = in
		}
		a.Globals = append(a.Globals, g)
	}
}

// legacyPickles is how many pickles start a PyTorch legacy file: magic number,
// version, system, object and the keys of the storages, whose bytes follow.
const legacyPickles = 5

// sequence audits the pickles that follow each other from the start of b, and
// returns where the last one ends; offsets count from the start of b. The
// first is a pickle because it has to be one, the others because they look it.
// The last one may be refused, which is also the error.
func sequence(b []byte, lim Limits, n nest) (audits []*Audit, end int64, err error) {
	most := len(b)
	if isLegacy(b) {
		most = legacyPickles
	}
	for len(audits) < most && end < int64(len(b)) {
		rest := b[end:]
		a := auditAt(rest, lim, n)
		if len(audits) > 0 && most != legacyPickles && !startsLikePickle(rest) && !a.evident(int64(len(rest))) {
			break
		}
		for i := range a.Globals {
			a.Globals[i].Offset += end
		}
		audits = append(audits, a)
		end += a.Size
		if a.Err != nil {
			return audits, end, a.Err
		}
	}
	return audits, end, nil
}

// evident reports whether n bytes that need not be a pickle are one: Python
// could load all of them, or would at least import something by name. Numbers
// and text start like a pickle often enough, and sometimes end like one.
func (a *Audit) evident(n int64) bool {
	if a.Err == nil && a.Size == n {
		return true
	}
	for _, g := range a.Globals {
		if g.importable() {
			return true
		}
	}
	return false
}
