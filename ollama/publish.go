package ollama

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/smelt-project/smelt/internal/atomicfile"
	"github.com/smelt-project/smelt/internal/sums"
)

// copyChunk is large enough to hide the calls and small enough to stay in a
// processor's cache while it is hashed and written.
const copyChunk = 1 << 20

// copy makes a file in the store with the content of p, whose digest is that of
// the bytes that are written.
func (a *Addition) copy(ctx context.Context, p *piece, fi fs.FileInfo, progress func(n int64)) error {
	f, err := a.Create(fi.Size())
	if err != nil {
		return err
	}
	p.fresh = f
	digest, buf := sha256.New(), make([]byte, copyChunk)
	for off := int64(0); off < fi.Size(); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := p.content.ReadAt(buf[:min(copyChunk, fi.Size()-off)], off)
		if n == 0 && err != nil {
			return shrunk(err)
		}
		var g errgroup.Group
		g.Go(func() error {
			_, err := f.WriteAt(buf[:n], off)
			return err
		})
		digest.Write(buf[:n])
		if err := g.Wait(); err != nil {
			return err
		}
		if off += int64(n); progress != nil {
			progress(off)
		}
	}
	p.sum = sums.Sum{Hex: hex.EncodeToString(digest.Sum(nil))}
	return errors.Join(p.unchanged(fi), f.Sync())
}

// shrunk classifies an end that comes before the size says so.
func shrunk(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrChanged
	}
	return err
}

// An Added says what [Addition.Commit] did.
type Added struct {
	Name  Name
	Path  string // of the manifest
	ID    string // SHA-256 of the manifest, which Ollama shows
	Blobs []Placed
}

// attempts is how often blobs that somebody removes are put back.
const attempts = 3

// Commit makes the blobs visible and then the manifest, with that configuration or,
// if it is nil, with a layer of [RoleConfig] that was added, if there is one.
// The Addition is done with then, whether it succeeds or not; blobs that were
// published before a failure stay until they are collected, as nothing refers to
// them.
func (a *Addition) Commit(ctx context.Context, c *Config) (*Added, error) {
	added, err := a.commit(ctx, c)
	return added, errors.Join(err, a.Abort())
}

func (a *Addition) commit(ctx context.Context, c *Config) (*Added, error) {
	if c != nil {
		if err := a.WriteJSON(ctx, RoleConfig, c); err != nil {
			return nil, err
		}
	}
	l, err := a.store.lock()
	if err != nil {
		return nil, a.fail(err)
	}
	added, err := a.publish(ctx)
	return added, errors.Join(err, l.unlock())
}

// publish writes everything; the store must be locked. A server that is just
// starting removes blobs that nothing refers to and that are an hour old, as a
// linked file can be: so all are looked for once more at the end.
func (a *Addition) publish(ctx context.Context) (*Added, error) {
	if err := a.checkName(); err != nil {
		return nil, err
	}
	manifest, err := a.manifest()
	if err != nil {
		return nil, a.fail(err)
	}
	for range attempts {
		if err := a.publishBlobs(ctx); err != nil {
			return nil, err
		}
		if err := a.publishManifest(manifest); err != nil {
			return nil, err
		}
		if a.allPresent() {
			return a.added(manifest), nil
		}
	}
	return nil, a.fail(fmt.Errorf("%w: something removes its blobs as they are written", ErrChanged))
}

func (a *Addition) added(manifest []byte) *Added {
	id := sha256.Sum256(manifest)
	added := &Added{Name: a.name, Path: a.store.path("manifests", a.name.Path()), ID: hex.EncodeToString(id[:])}
	for _, p := range a.pieces {
		added.Blobs = append(added.Blobs, p.Placed)
	}
	return added
}

// manifest returns the JSON of the manifest.
func (a *Addition) manifest() ([]byte, error) {
	m := Manifest{SchemaVersion: 2, MediaType: ManifestMediaType, Layers: []Layer{}}
	for _, p := range a.pieces {
		if p.Role == RoleConfig {
			m.Config = p.Layer
			continue
		}
		m.Layers = append(m.Layers, p.Layer)
	}
	return json.Marshal(m)
}

func (a *Addition) publishBlobs(ctx context.Context) error {
	for _, p := range a.pieces {
		if a.present(p) {
			continue
		}
		if err := a.publishBlob(ctx, p); err != nil {
			return a.fail(fmt.Errorf("%s %s: %w", p.Role, p.Digest, err))
		}
	}
	if err := atomicfile.SyncDir(a.store.path("blobs", "")); err != nil {
		return a.fail(err)
	}
	return nil
}

// present reports whether the blob of p is the file that was seen.
func (a *Addition) present(p *piece) bool {
	fi, err := os.Stat(a.blobPath(p))
	return err == nil && p.seen != nil && os.SameFile(fi, p.seen) && fi.Size() == p.Size && fi.ModTime().Equal(p.seen.ModTime())
}

func (a *Addition) allPresent() bool {
	for _, p := range a.pieces {
		if !a.present(p) {
			return false
		}
	}
	return true
}

// publishBlob gives p its name among the blobs.
func (a *Addition) publishBlob(ctx context.Context, p *piece) (err error) {
	if p.Storage == Linked {
		err = a.link(p)
	} else {
		err = a.publishFresh(ctx, p)
	}
	if err != nil {
		return err
	}
	p.seen, err = os.Stat(a.blobPath(p))
	return err
}

// link makes p's file itself the blob.
func (a *Addition) link(p *piece) error {
	if err := p.content.Sync(); err != nil {
		return err
	}
	if err := atomicfile.Link(p.path, a.store.path("blobs", ""), a.blobName(p), atomicfile.Replace); err != nil {
		return err
	}
	now, err := os.Stat(a.blobPath(p))
	if err != nil {
		return err
	}
	was, err := p.content.Stat()
	if err != nil {
		return err
	}
	if p.sum, err = a.sums.Renew(p.content, p.sum); err == nil && os.SameFile(now, was) {
		return nil
	}
	return errors.Join(ErrChanged, os.Remove(a.blobPath(p)))
}

// publishFresh names the file that was made of p. Once it has lost that name, its
// content makes another.
func (a *Addition) publishFresh(ctx context.Context, p *piece) error {
	if p.fresh == nil || p.seen != nil {
		if err := a.remake(ctx, p); err != nil {
			return err
		}
	}
	if err := p.fresh.Sync(); err != nil {
		return err
	}
	if err := p.fresh.Publish(a.blobName(p), atomicfile.Replace); err != nil {
		return err
	}
	return adopt(a.blobPath(p))
}

// remake copies the content of p into a new file.
func (a *Addition) remake(ctx context.Context, p *piece) error {
	old := p.fresh
	fi, err := p.content.Stat()
	if err != nil {
		return err
	}
	if err := a.copy(ctx, p, fi, nil); err != nil {
		return err
	}
	if old != nil && old.File == p.content {
		p.close = true // what was made first goes on as the content
	} else if old != nil {
		err = old.Discard()
	}
	if "sha256:"+p.sum.Hex != p.Digest {
		err = errors.Join(err, ErrChanged)
	}
	p.Storage, p.Why = Copied, "something removed the blob while it was added"
	return err
}

// publishManifest puts the manifest in its place, in one step.
func (a *Addition) publishManifest(data []byte) (err error) {
	root, err := os.OpenRoot(a.store.path("manifests", ""))
	if err != nil {
		return a.fail(err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	temp := fmt.Sprintf(".%s%s%d", a.name.Tag, atomicfile.TempMark, os.Getpid()) // at the top, where Ollama sees no manifests
	for range attempts {
		err = a.placeManifest(root, temp, data)
		if !errors.Is(err, fs.ErrNotExist) { // a server that starts removes empty folders
			break
		}
	}
	if err != nil {
		if gone := root.Remove(temp); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return a.fail(&fs.PathError{Op: "write", Path: a.store.path("manifests", a.name.Path()), Err: underlying(err)})
	}
	return nil
}

func (a *Addition) placeManifest(root *os.Root, temp string, data []byte) error {
	if err := a.makeFolders(root); err != nil {
		return err
	}
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := adopt(a.store.path("manifests", temp)); err != nil {
		return err
	}
	if err := root.Rename(temp, a.name.Path()); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(a.store.path("manifests", a.name.Path())))
}

// makeFolders makes the folders of the manifest that are not there.
func (a *Addition) makeFolders(root *os.Root) error {
	dir := ""
	for _, part := range []string{a.name.Host, a.name.Namespace, a.name.Model} {
		dir = path.Join(dir, part)
		err := root.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := adopt(a.store.path("manifests", dir)); err != nil {
			return err
		}
	}
	return nil
}

// Abort ends an Addition without its manifest. It does nothing after Commit.
func (a *Addition) Abort() error {
	var errs []error
	for _, p := range a.pieces {
		if p.fresh != nil {
			errs = append(errs, p.fresh.Discard())
		}
		if p.close {
			errs = append(errs, p.content.Close())
		}
	}
	a.pieces = nil
	return errors.Join(errs...)
}
