package ollama

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/smelt-project/smelt/internal/atomicfile"
)

// A Removal says what [Store.Remove] did.
type Removal struct {
	Name    Name
	Removed []Garbage // blobs that only this model used
	Kept    int       // blobs that other models use
	// Left says why blobs were left to [Store.Collect]; "" if they were not.
	Left string
}

// Remove removes the manifest of n and then, as Ollama does, the blobs that no
// other model uses. If a manifest cannot be read, so that it is not known which
// these are, all blobs are left. A symbolic or hard link is removed, not the file
// that it stands for.
func (s *Store) Remove(n Name) (r *Removal, err error) {
	if n, err = s.lookupFile(n); err != nil {
		return nil, err
	}
	l, err := s.lock()
	if err != nil {
		return nil, s.failAt("remove model", s.path("manifests", n.Path()), err)
	}
	defer func() { err = errors.Join(err, l.unlock()) }()
	manifest, _, unreadable := s.manifest(n)
	if err := s.removeManifest(n); err != nil {
		return nil, err
	}
	r = &Removal{Name: n}
	if unreadable != nil {
		r.Left = "the manifest could not be read: " + unreadable.Error()
		return r, nil
	}
	v, err := s.survey()
	if err != nil {
		return r, err
	}
	if err := v.uncertain("remove blobs"); err != nil {
		r.Left = err.Error()
		return r, nil
	}
	return r, s.removeUnused(r, v, manifest)
}

func (s *Store) removeUnused(r *Removal, v *survey, manifest *Manifest) error {
	mine := map[string]bool{}
	for _, digits := range manifest.digests() {
		if mine[digits] = len(v.users[digits]) == 0; !mine[digits] {
			r.Kept++
		}
	}
	for _, f := range v.files {
		if f.kind != kindBlob || !mine[f.hex] {
			continue
		}
		if err := s.removeBlob(f.name); err != nil {
			return err
		}
		r.Removed = append(r.Removed, s.garbage(&f, 0))
	}
	return nil
}

// lookupFile is Lookup, but it also finds a manifest that cannot be read.
func (s *Store) lookupFile(n Name) (Name, error) {
	found, err := s.spelled(n)
	if err != nil {
		return n, err
	}
	if _, err := fs.Lstat(s.manifests, found.Path()); err == nil {
		return found, nil
	}
	return s.Lookup(n)
}

// removeManifest removes a manifest and the folders that are empty then.
func (s *Store) removeManifest(n Name) (err error) {
	fail := func(err error) error {
		return explainAccess(&Error{Op: "ollama: remove model", Model: n.String(), Path: s.path("manifests", n.Path()), Err: underlying(err)})
	}
	root, err := os.OpenRoot(s.path("manifests", ""))
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := root.Remove(n.Path()); err != nil {
		return fail(err)
	}
	dir := path.Dir(n.Path())
	for ; dir != "."; dir = path.Dir(dir) {
		if root.Remove(dir) != nil {
			break // it holds other models
		}
	}
	if err := atomicfile.SyncDir(s.path("manifests", dir)); err != nil {
		return fail(err)
	}
	return nil
}
