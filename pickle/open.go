package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// Options say how much is read. The zero value reads whatever is safe.
type Options struct {
	// Limits bound what a file may claim; zero fields are the defaults.
	Limits Limits
	// Strict refuses every global that has no builder.
	Strict bool
	// ForceInert reads files that name dangerous globals. Nothing is executed
	// with or without it.
	ForceInert bool
	// TakeUnknown names tensors that are arguments of calls of unknown classes.
	TakeUnknown bool
	// AllowExpand reads views whose elements are far more than their storage holds.
	AllowExpand bool
}

// ErrDangerous classifies a file that names functions which harm whoever loads
// it with Python. Test with errors.Is; the error itself is a *DangerError.
var ErrDangerous = errors.New("dangerous")

// A DangerError lists the dangerous globals of a file. Nothing has been executed.
type DangerError struct {
	File    string
	Globals []Global
}

// Error names the first few globals and what to do.
func (e *DangerError) Error() string {
	var names []string
	for _, g := range e.Globals[:min(shown, len(e.Globals))] {
		names = append(names, fmt.Sprintf("%s at byte 0x%x", clipped(g.Module+"."+g.Name), g.Offset))
	}
	return fmt.Sprintf("%s: dangerous: loading this file with Python would use %s; nothing was executed, and ForceInert reads the tensors all the same",
		e.File, listed(names, len(e.Globals)))
}

// Is reports whether target is ErrDangerous.
func (e *DangerError) Is(target error) bool { return target == ErrDangerous }

// shown is how many names a message lists.
const shown = 8

// listed joins the first few of n names.
func listed(first []string, n int) string {
	first = first[:min(shown, len(first))]
	if n <= len(first) {
		return strings.Join(first, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(first, ", "), n-len(first))
}

func some(names []string) string { return listed(names, len(names)) }

// containerReader returns the reader of a form that holds tensors, nil for
// every other. It is a function because files can be inside files.
func containerReader(c Container) func(*reader) (*checkpoint, error) {
	return map[Container]func(*reader) (*checkpoint, error){
		Zip:    readZip,
		Legacy: readLegacy,
		Tar:    readTar,
		Pickle: readPlain,
	}[c]
}

// A checkpoint is what a container holds: unpickled values under their names,
// and the storages of the container.
type checkpoint struct {
	format string
	facts  []tensor.KV // without their "pytorch." prefix
	roots  []child
	blobs  []*blob
}

// A session is what all the pickles of one file share.
type session struct {
	opt    Options
	lim    Limits
	room   int64 // bytes of Go memory that values may still take
	work   int64 // bytes that may still be copied because values are used again
	memory int   // storages that came inside pickles
	inside int   // files inside pickles so far
	notes  []string
	kinds  map[string]GlobalKind // of globals without a builder
	order  []string              // of kinds
}

// A reader reads one container: the file itself, or one inside a pickle of it.
type reader struct {
	*session
	src    io.ReaderAt
	size   int64
	file   string
	prefix string // of the ids of its storages, to tell them from those of others
	base   int64  // where src starts in file
	depth  int    // of files inside files
}

// Read reads a PyTorch checkpoint in any container, recognised by its content:
// zip, legacy, tar, TorchScript, or a plain pickle. file is the name for
// messages. r must stay readable as long as the model's tensors are.
func Read(r io.ReaderAt, size int64, file string, opt Options) (*tensor.Model, error) {
	head := make([]byte, min(size, SniffBytes))
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return nil, &tensor.Error{Op: "pickle: open", File: file, Offset: int64(n), Err: fmt.Errorf("got %d of %d bytes: %w", n, len(head), err)}
	}
	read := containerReader(Sniff(head))
	if read == nil {
		return nil, &tensor.Error{Op: "pickle: open", File: file, Err: fmt.Errorf("%s: %w", Sniff(head).Advice(), tensor.ErrUnsupported)}
	}
	rd := newReader(r, size, file, opt)
	c, err := read(rd)
	if err != nil {
		return nil, err
	}
	return rd.model(c)
}

func newReader(r io.ReaderAt, size int64, file string, opt Options) *reader {
	s := &session{opt: opt, lim: opt.Limits.withDefaults().forFile(size), room: baseRoom + size/4, kinds: map[string]GlobalKind{}}
	s.work = s.lim.Work
	return &reader{session: s, src: r, size: size, file: file}
}

// The Go memory of what pickles make, beside what the audit counts: a state dict
// needs about ten bytes for each of its pickle.
const (
	baseRoom    = 16 << 20
	roomPerByte = 12
)

// take charges n bytes to the file.
func (r *session) take(n int64) error {
	if r.room -= n; r.room < 0 {
		return fmt.Errorf("the pickle makes objects that take far more memory than the file is long: %w", tensor.ErrTooLarge)
	}
	return nil
}

// toil charges the copying or hashing of n bytes. A value can be used as often
// as two bytes of the pickle say so; what the use costs has to be bounded.
func (r *session) toil(n int64) error {
	if r.work -= n; r.work < 0 {
		return fmt.Errorf("large values are used so often that more than %d bytes would be copied: %w", r.lim.Work, tensor.ErrTooLarge)
	}
	return nil
}

func (r *session) note(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(r.notes, s) {
		r.notes = append(r.notes, s)
	}
}

// allow refuses a pickle for the globals it names. What it does not refuse it
// remembers for the notes.
func (r *reader) allow(a *Audit) error {
	var bad []Global
	var unknown []string
	for _, g := range a.Globals {
		switch g.Kind {
		case Dangerous, Dynamic:
			bad = append(bad, g)
		case Builder:
			continue
		}
		name := clipped(g.Module + "." + g.Name)
		unknown = append(unknown, name)
		if _, ok := r.kinds[name]; !ok {
			r.kinds[name] = g.Kind
			r.order = append(r.order, name)
		}
	}
	if len(bad) > 0 && !r.opt.ForceInert {
		return &DangerError{File: r.file, Globals: bad}
	}
	if len(unknown) > 0 && r.opt.Strict {
		return &tensor.Error{Op: "pickle: open", File: r.file, Err: fmt.Errorf("strict reading allows no class beside those of tensors, this file has %s: %w", some(unknown), tensor.ErrUnsupported)}
	}
	return nil
}

// model names everything in c.
func (r *reader) model(c *checkpoint) (*tensor.Model, error) {
	w, err := r.flatten(c.roots)
	if err != nil {
		return nil, err
	}
	r.describe(w, c)
	if len(w.tensors) == 0 {
		return nil, r.empty(c)
	}
	kvs := make([]tensor.KV, 0, len(c.facts)+len(w.meta.kvs))
	for _, kv := range c.facts {
		kvs = append(kvs, tensor.KV{Key: "pytorch." + kv.Key, Value: kv.Value})
		if i, ok := w.meta.at["pytorch."+kv.Key]; ok {
			w.meta.kvs[i].Key += "#2"
		}
	}
	m, err := tensor.NewModel(c.format, tensor.NewMeta(append(kvs, w.meta.kvs...)...), w.tensors)
	if err != nil {
		return nil, err
	}
	m.Notes = r.notes
	return m, nil
}

// empty explains a file in which there is no tensor.
func (r *reader) empty(c *checkpoint) error {
	top := "nothing"
	if len(c.roots) > 0 {
		top = kindOf(c.roots[0].v)
	}
	notes := strings.Join(append([]string{""}, r.notes...), "; ")
	return &tensor.Error{Op: "pickle: open", File: r.file, Err: fmt.Errorf("holds no tensor, its value is: %s%s: %w", top, notes, tensor.ErrNotFound)}
}

// describe writes the notes on what was met and what was left out.
func (r *reader) describe(w *walk, c *checkpoint) {
	for _, row := range []struct {
		kind GlobalKind
		text string
	}{
		{Unknown, "classes that are not known are kept as data, never as code: %s"},
		{Dangerous, "DANGEROUS names are in this file and were kept inert: %s"},
		{Dynamic, "names that the pickle computes were kept inert: %s"},
	} {
		var names []string
		for _, n := range r.order {
			if r.kinds[n] == row.kind {
				names = append(names, n)
			}
		}
		if len(names) > 0 {
			r.note(row.text, some(names))
		}
	}
	for _, row := range []struct {
		names *tally
		text  string
	}{
		{&w.unread, "not taken, because their meaning is not known: %s"},
		{&w.noData, "tensors without data: %s"},
		{&w.tied, "tensors that are tied to an earlier one: %s"},
		{&w.odd, "names that are taken, empty or unprintable were changed: %s"},
	} {
		if row.names.n > 0 {
			r.note(row.text, row.names)
		}
	}
	if w.meta.dropped > 0 {
		r.note("%d values are too many or too large for metadata and are left out", w.meta.dropped)
	}
	r.describeStorages(c.blobs)
}

// describeStorages says how much of the file no tensor uses.
func (r *reader) describeStorages(blobs []*blob) {
	var idle, partly int
	var idleBytes, partlyBytes int64
	for _, b := range blobs {
		if b.big {
			r.note("storages are big-endian: elements are swapped as they are read")
		}
		switch {
		case b.used == 0 && b.size > 0:
			idle, idleBytes = idle+1, idleBytes+b.size
		case b.used < b.size:
			partly, partlyBytes = partly+1, partlyBytes+b.size-b.used
		}
	}
	if idle > 0 {
		r.note("%d storages of %d bytes in all belong to no tensor that was read", idle, idleBytes)
	}
	if partly > 0 {
		r.note("%d storages are larger than the tensors in them: %d bytes are not used", partly, partlyBytes)
	}
}

// readPlain reads a pickle that no container surrounds. One whose value is the
// magic number begins a legacy file in a protocol that PyTorch does not choose.
func readPlain(r *reader) (*checkpoint, error) {
	b := make([]byte, min(r.size, r.lim.Pickle))
	if n, err := r.src.ReadAt(b, 0); n < len(b) {
		return nil, &tensor.Error{Op: "pickle: read", File: r.file, Offset: int64(n), Err: fmt.Errorf("got %d of %d bytes: %w: %w", n, len(b), err, tensor.ErrCorrupt)}
	}
	a := audit(b, r.lim)
	root, err := r.run("", 0, b, a, noStorages)
	if err != nil {
		return nil, err
	}
	if isLegacyMagic(root) {
		return readLegacy(r)
	}
	if err := r.ends("", a.Size, r.size); err != nil {
		return nil, err
	}
	return &checkpoint{format: "pickle", roots: []child{{v: root}}, facts: []tensor.KV{{Key: "container", Value: "pickle"}, {Key: "protocol", Value: int64(a.Protocol)}}}, nil
}

// ends refuses bytes behind the end of what is read: another reader may find
// another checkpoint in them.
func (r *reader) ends(member string, at, size int64) error {
	if at == size {
		return nil
	}
	return &tensor.Error{Op: "pickle: read", File: r.file, Member: member, Offset: at, Err: fmt.Errorf("%d bytes follow the end: %w", size-at, tensor.ErrCorrupt)}
}

func noStorages(id storageID) (any, error) {
	return nil, fmt.Errorf("storage %.40q in a pickle without storages: %w", id.key, tensor.ErrUnsupported)
}

// nested reads a whole file that is a bytes object of a pickle
// (torch.storage._load_from_bytes) and returns its value.
func (r *reader) nested(b []byte) (any, error) {
	if r.depth >= r.lim.NestDepth || r.inside >= r.lim.Nested {
		return nil, fmt.Errorf("files inside files, %d deep and %d in all: %w", r.depth, r.inside, tensor.ErrTooLarge)
	}
	read := containerReader(Sniff(b[:min(len(b), SniffBytes)]))
	if read == nil {
		return nil, fmt.Errorf("bytes of a tensor are not a PyTorch file: %w", tensor.ErrUnsupported)
	}
	const fileBytes = 4096 // of what reading a file of a tensor leaves behind
	if err := r.take(fileBytes); err != nil {
		return nil, err
	}
	r.inside++
	inner := &reader{session: r.session, src: bytes.NewReader(b), size: int64(len(b)), file: r.file, prefix: fmt.Sprintf("%snested#%d/", r.prefix, r.inside), depth: r.depth + 1}
	c, err := read(inner)
	if err != nil {
		return nil, err
	}
	for _, b := range c.blobs {
		b.offset = -1 // in the pickle's bytes, not in the file
	}
	return c.roots[0].v, nil
}
