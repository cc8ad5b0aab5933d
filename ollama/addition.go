package ollama

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/smelt-project/smelt/internal/atomicfile"
	"github.com/smelt-project/smelt/internal/sums"
)

// AddOptions say how a model is put into a store. The zero value replaces no
// model and copies nothing that can be shared.
type AddOptions struct {
	Replace bool // a model of that name
	Copy    bool // files, even where they could be shared
	// Sums is a folder in which the digests of files are remembered while the
	// files do not change; "" remembers none.
	Sums string
}

// A Storage says how a file came to be a blob.
type Storage string

// The ways in which a file becomes a blob.
const (
	Present Storage = "present" // the store held it already, with the right digest
	Cloned  Storage = "cloned"  // it shares its blocks on disk with the file (reflink)
	Linked  Storage = "linked"  // it is the file, under one more name (hard link)
	Copied  Storage = "copied"
	Written Storage = "written" // there was no file before
)

// A Placed is one blob of a model that was added.
type Placed struct {
	Layer

	Role    Role
	Storage Storage
	Why     string // of the storage
}

// An Addition is a model that is put into a store. Its blobs are made first and
// become visible one by one, complete, when [Addition.Commit] is called; the
// manifest last, so that a running Ollama sees the whole model or none. It is
// used by one goroutine.
type Addition struct {
	store  *Store
	name   Name
	opt    AddOptions
	sums   sums.Cache
	pieces []*piece
}

// A piece is one blob on its way into the store.
type piece struct {
	Placed

	content *os.File         // all of it, open
	path    string           // of content if it may get one more name, else ""
	fresh   *atomicfile.File // a file in the store that holds it, not published yet
	seen    fs.FileInfo      // of the blob in the store, whose digest was right
	sum     sums.Sum         // of content, if it came from a file
	close   bool             // content is to be closed
}

// Add begins to put a model called n into the store. It fails early, with
// ErrExists, if there is one that may not be replaced, and removes what killed
// writers have left.
func (s *Store) Add(n Name, opt AddOptions) (*Addition, error) {
	if err := checkNew(n); err != nil {
		return nil, err
	}
	n, err := s.spelled(n)
	if err != nil {
		return nil, err
	}
	a := &Addition{store: s, name: n, opt: opt}
	if opt.Sums != "" {
		a.sums = sums.In(opt.Sums)
	}
	if s.dir == "" {
		return nil, a.fail(fmt.Errorf("%w: the store is not a directory of this machine", ErrUnsupported))
	}
	if err := a.checkName(); err != nil {
		return nil, err
	}
	l, err := s.lock()
	if err != nil {
		return nil, a.fail(err)
	}
	if err := errors.Join(s.sweep(), l.unlock()); err != nil {
		return nil, a.fail(err)
	}
	return a, nil
}

// Name returns the model's name, as the store spells it.
func (a *Addition) Name() Name { return a.name }

func (a *Addition) checkName() error {
	_, err := fs.Stat(a.store.manifests, a.name.Path())
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && a.opt.Replace:
		return nil
	case err != nil:
		return a.fail(err)
	}
	e := &Error{Op: "ollama: add model", Model: a.name.String(), Path: a.store.path("manifests", a.name.Path()), Err: ErrExists}
	return e
}

func (a *Addition) fail(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	e := &Error{Op: "ollama: add model", Model: a.name.String(), Path: a.store.dir, Err: underlying(err)}
	var at *fs.PathError
	if errors.As(err, &at) {
		e.Path = at.Path
	}
	return explainAccess(e)
}

// Create returns an empty file in the store, with room for size bytes, for a blob
// that is not there yet. [Addition.Take] or Discard ends it.
func (a *Addition) Create(size int64) (*atomicfile.File, error) {
	f, err := atomicfile.Create(a.store.path("blobs", ""), "blob")
	if err != nil {
		return nil, a.fail(err)
	}
	if err := f.Chmod(0o644); err != nil { // whatever umask says: the server may be another user
		return nil, errors.Join(a.fail(err), f.Discard())
	}
	if err := f.Reserve(size); err != nil {
		return nil, errors.Join(a.fail(fmt.Errorf("no room for %d bytes: %w", size, err)), f.Discard())
	}
	return f, nil
}

// Take adds a file that [Addition.Create] returned and that is complete now, as a
// layer of the role. It is the Addition's from then on.
func (a *Addition) Take(ctx context.Context, role Role, f *atomicfile.File, progress func(n int64)) error {
	p := &piece{Placed: Placed{Role: role, Storage: Written}, content: f.File, fresh: f}
	a.pieces = append(a.pieces, p)
	synced := make(chan error, 1)
	go func() { synced <- f.Sync() }() // the disk writes while the processor hashes
	digits, err := sums.Read(ctx, f, progress)
	if err := errors.Join(err, <-synced); err != nil {
		return a.fail(err)
	}
	return a.settle(ctx, p, digits)
}

// settle gives p its digest and size, and looks whether the store holds it.
func (a *Addition) settle(ctx context.Context, p *piece, digits string) error {
	fi, err := p.content.Stat()
	if err != nil {
		return a.fail(err)
	}
	if p.MediaType == "" {
		p.MediaType = mediaTypeFor(p.Role)
	}
	p.Digest, p.Size = "sha256:"+digits, fi.Size()
	if p.seen != nil {
		return nil
	}
	return a.look(ctx, p)
}

// mediaTypeFor returns the first media type of a role.
func mediaTypeFor(role Role) string {
	for _, m := range mediaTypes {
		if m.Role == role {
			return m.Type
		}
	}
	return ""
}

// look notes the blob of p in the store if it is there with the right content.
// Another content under its name is replaced when p is published.
func (a *Addition) look(ctx context.Context, p *piece) error {
	f, err := os.Open(a.blobPath(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return a.fail(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() || fi.Size() != p.Size {
		return err
	}
	sum, err := a.sums.Of(ctx, f, nil)
	if err != nil {
		return a.fail(changed(err))
	}
	if "sha256:"+sum.Hex != p.Digest {
		p.Why = "the store held other content under this digest, which was replaced"
		return nil
	}
	p.seen, p.Storage, p.Why = fi, Present, "the store held it already"
	return nil
}

func (a *Addition) blobName(p *piece) string { return "sha256-" + p.Digest[len("sha256:"):] }

func (a *Addition) blobPath(p *piece) string { return a.store.path("blobs", a.blobName(p)) }

// Write adds a layer of the role with that content.
func (a *Addition) Write(ctx context.Context, role Role, content []byte) error {
	f, err := a.Create(int64(len(content)))
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		return errors.Join(a.fail(err), f.Discard())
	}
	return a.Take(ctx, role, f, nil)
}

// WriteJSON adds a layer of the role that holds v.
func (a *Addition) WriteJSON(ctx context.Context, role Role, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return a.fail(err)
	}
	return a.Write(ctx, role, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// Describe adds what d has as layers, in the order in which "ollama create" writes
// them. Its config is for [Addition.Commit].
func (a *Addition) Describe(ctx context.Context, d *Description) error {
	texts := []struct {
		role Role
		text string
	}{{RoleTemplate, d.Template}, {RoleSystem, d.System}, {RoleMessages, string(d.Messages)}}
	for _, l := range d.Licenses {
		texts = append(texts, struct {
			role Role
			text string
		}{RoleLicense, l})
	}
	for _, t := range texts {
		if t.text == "" {
			continue
		}
		if err := a.Write(ctx, t.role, []byte(t.text)); err != nil {
			return err
		}
	}
	if len(d.Params) == 0 {
		return nil
	}
	return a.WriteJSON(ctx, RoleParams, d.Params)
}

// Import adds the file at path as a layer of the role, unchanged. It is shared
// where that is possible and not forbidden: its blocks first (reflink), else the
// file itself (hard link); else it is copied. progress, if it is not nil, is
// called with the number of bytes that were read.
func (a *Addition) Import(ctx context.Context, role Role, path string, progress func(n int64)) error {
	return a.bring(ctx, &piece{Placed: Placed{Role: role}}, path, "", progress)
}

// ImportBlob adds a blob of another model, in this store or another, as the layer
// that it is there.
func (a *Addition) ImportBlob(ctx context.Context, b *Blob, progress func(n int64)) error {
	if b.Err != nil {
		return b.Err
	}
	layer := Layer{MediaType: b.MediaType, From: b.From, Name: b.Name}
	want, err := digestHex(b.Digest)
	if err != nil {
		return err
	}
	return a.bring(ctx, &piece{Placed: Placed{Layer: layer, Role: b.Kind.Role}}, b.Path, want, progress)
}

// bring opens path as the content of p, whose digest must be want unless that is
// "".
func (a *Addition) bring(ctx context.Context, p *piece, path, want string, progress func(n int64)) error {
	path, err := filepath.EvalSymlinks(path) // a link to a link would be the link
	if err != nil {
		return a.fail(err)
	}
	fi, err := os.Stat(path)
	if err == nil && !fi.Mode().IsRegular() {
		err = irregular(fi)
	}
	if err != nil {
		return a.fail(err)
	}
	if p.content, err = os.Open(path); err != nil {
		return a.fail(err)
	}
	p.path, p.close = path, true
	a.pieces = append(a.pieces, p)
	if err := a.take(ctx, p, fi, want, progress); err != nil {
		return a.fail(&fs.PathError{Op: "import", Path: path, Err: underlying(err)})
	}
	if got := p.sum.Hex; want != "" && got != want {
		return &Error{Op: "ollama: add model", Model: a.name.String(), Role: p.Role, Digest: "sha256:" + want, Path: path,
			Err: fmt.Errorf("%w: the content is sha256:%s", ErrDigest, got), Fix: "pull or create the model that it belongs to again"}
	}
	return a.settle(ctx, p, p.sum.Hex)
}

// take makes p's file a blob, unless it is the blob with the digits want already.
func (a *Addition) take(ctx context.Context, p *piece, fi fs.FileInfo, want string, progress func(n int64)) error {
	blob, err := os.Stat(a.store.path("blobs", "sha256-"+want))
	if want == "" || err != nil || !os.SameFile(blob, fi) {
		return a.share(ctx, p, fi, progress)
	}
	p.seen, p.Storage, p.Why = blob, Present, "the store held it already"
	return a.sum(ctx, p, fi, progress)
}

// share decides how p's file becomes a blob, and finds its digest.
func (a *Addition) share(ctx context.Context, p *piece, fi fs.FileInfo, progress func(n int64)) error {
	known, remembered, err := a.sums.Recall(p.content)
	if err != nil {
		return err
	}
	if remembered {
		p.sum, p.Digest, p.Size = known, "sha256:"+known.Hex, fi.Size()
		if err := a.look(ctx, p); err != nil || p.Storage == Present {
			return err
		}
	}
	blobs, err := os.Stat(a.store.path("blobs", ""))
	if err != nil {
		return err
	}
	why := "a copy was asked for"
	if !a.opt.Copy {
		err := a.clone(p)
		if err == nil {
			p.Storage, p.Why = Cloned, "the file system shares blocks between files"
			return a.sum(ctx, p, fi, progress)
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		if why = a.cannotLink(p, fi, blobs); why == "" {
			p.Storage, p.Why = Linked, "the file is on the store's file system, which cannot share blocks between files"
			if remembered { // the attempt has changed the file's links
				p.sum, err = a.sums.Renew(p.content, known)
				return changed(err)
			}
			return a.sum(ctx, p, fi, progress)
		}
	}
	p.Storage, p.Why = Copied, why
	return a.copy(ctx, p, fi, progress)
}

// sum finds the digest of p's file, which must be as it was when fi was taken.
func (a *Addition) sum(ctx context.Context, p *piece, fi fs.FileInfo, progress func(n int64)) (err error) {
	if p.sum, err = a.sums.Of(ctx, p.content, progress); err != nil {
		return changed(err)
	}
	return p.unchanged(fi)
}

// changed puts sums.ErrChanged into this package's words.
func changed(err error) error {
	if errors.Is(err, sums.ErrChanged) {
		return ErrChanged
	}
	return err
}

func (p *piece) unchanged(fi fs.FileInfo) error {
	now, err := p.content.Stat()
	if err == nil && (now.Size() != fi.Size() || !now.ModTime().Equal(fi.ModTime())) {
		return ErrChanged
	}
	return err
}

// clone makes a file in the store that shares p's blocks on disk.
func (a *Addition) clone(p *piece) error {
	f, err := a.Create(0)
	if err != nil {
		return err
	}
	if err := f.Clone(p.content); err != nil {
		return errors.Join(err, f.Discard())
	}
	p.fresh = f
	return nil
}

// cannotLink says why p's file cannot be a blob itself, "" if it can. It tries,
// under a temporary name: what is allowed depends on more than can be looked at.
func (a *Addition) cannotLink(p *piece, fi, blobs fs.FileInfo) string {
	if !readableBy(fi, blobs) {
		return "whoever owns the store cannot read the file"
	}
	if err := a.tryLink(p, fi); err != nil {
		var le *os.LinkError
		if errors.As(err, &le) {
			err = le.Err
		}
		return "the file cannot be linked: " + err.Error()
	}
	return ""
}

func (a *Addition) tryLink(p *piece, fi fs.FileInfo) error {
	l, err := a.store.lock() // else another writer takes the name for one that was left
	if err != nil {
		return err
	}
	dir, base := a.store.path("blobs", ""), fmt.Sprintf(".link%s%d", atomicfile.TempMark, os.Getpid())
	if err := atomicfile.Link(p.path, dir, base, atomicfile.Replace); err != nil {
		return errors.Join(err, l.unlock())
	}
	path := filepath.Join(dir, base)
	now, err := os.Stat(path)
	if err == nil && !os.SameFile(now, fi) {
		err = ErrChanged
	}
	return errors.Join(err, os.Remove(path), l.unlock())
}

// readableBy reports whether the owner of blobs can read the file of fi: a link
// keeps the file's owner and mode.
func readableBy(fi, blobs fs.FileInfo) bool {
	const anyone, itsOwner = 0o004, 0o400
	file, known := ownerIDs(fi)
	store, _ := ownerIDs(blobs)
	return !known || fi.Mode()&anyone != 0 || file.uid == store.uid && fi.Mode()&itsOwner != 0
}
