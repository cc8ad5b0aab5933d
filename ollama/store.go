package ollama

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// A Store is a models directory. It holds no open file and no state: every call
// sees the directory as it is then. Concurrent calls are safe.
type Store struct {
	manifests, blobs fs.FS
	dir              string // "" unless it is a directory of this machine
}

// Open returns the store in fsys, whose root holds manifests/ and blobs/. How
// symbolic links are treated is up to fsys; for a directory of this machine,
// [Dir] keeps manifests from leading out of it.
func Open(fsys fs.FS) *Store {
	return &Store{manifests: subFS{fsys, "manifests"}, blobs: subFS{fsys, "blobs"}}
}

// Dir returns the store in a directory of this machine. Manifests are read only
// from below manifests/, whatever links there say; links among the blobs are
// followed anywhere, as Ollama does, and reported in [Blob.Link]. It fails with
// ErrNoStore if dir holds neither manifests/ nor blobs/, with
// [fs.ErrPermission] if it may not be read, then naming the owner.
func Dir(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, &Error{Op: "ollama: open store", Path: dir, Err: err}
	}
	if err := checkDir(abs); err != nil {
		return nil, err
	}
	return &Store{
		manifests: rootedFS(filepath.Join(abs, "manifests")),
		blobs:     os.DirFS(filepath.Join(abs, "blobs")),
		dir:       abs,
	}, nil
}

func checkDir(dir string) error {
	found := false
	for _, sub := range []string{"", "manifests", "blobs"} {
		p := filepath.Join(dir, sub)
		fi, err := os.Stat(p)
		switch {
		case err == nil && !fi.IsDir():
			return &Error{Op: "ollama: open store", Path: p, Err: fmt.Errorf("%w: it is not a directory", ErrNoStore)}
		case err == nil && sub != "":
			found = true
		case err != nil && (sub == "" || !errors.Is(err, fs.ErrNotExist)):
			return explainAccess(&Error{Op: "ollama: open store", Path: p, Err: underlying(err)})
		}
	}
	if found {
		return nil
	}
	e := &Error{Op: "ollama: open store", Path: dir,
		Err: fmt.Errorf("%w: it holds neither manifests nor blobs", ErrNoStore)}
	if inner := filepath.Join(dir, "models"); looksLikeStore(inner) {
		e.Fix = "use " + visible(inner)
	}
	return e
}

// looksLikeStore reports whether dir looks like a store.
func looksLikeStore(dir string) bool {
	fi, err := os.Stat(filepath.Join(dir, "manifests"))
	return err == nil && fi.IsDir()
}

// underlying drops the path that a [fs.PathError] repeats.
func underlying(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// subFS is a directory of another file system. Unlike what [fs.Sub] returns, it
// passes on Stat, which must not open a file: opening a pipe waits.
type subFS struct {
	fsys fs.FS
	dir  string
}

func (s subFS) Open(name string) (fs.File, error) { return s.fsys.Open(path.Join(s.dir, name)) }

func (s subFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(s.fsys, path.Join(s.dir, name)) }

func (s subFS) Lstat(name string) (fs.FileInfo, error) {
	return fs.Lstat(s.fsys, path.Join(s.dir, name))
}

func (s subFS) ReadLink(name string) (string, error) {
	return fs.ReadLink(s.fsys, path.Join(s.dir, name))
}

func (s subFS) ReadDir(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(s.fsys, path.Join(s.dir, name))
}

// rootedFS is a directory whose files cannot be reached through links that
// lead out of it. Unlike [os.Root] it keeps nothing open.
type rootedFS string

func (d rootedFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return os.OpenInRoot(string(d), filepath.FromSlash(name))
}

// Stat lets a caller find out that a name is a pipe, which Open would wait for.
func (d rootedFS) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	fi, err := root.Stat(filepath.FromSlash(name))
	return fi, errors.Join(err, root.Close())
}

// path returns the name by which a message should call a file below sub.
func (s *Store) path(sub, name string) string {
	if s.dir == "" {
		return path.Join(sub, name)
	}
	return filepath.Join(s.dir, sub, filepath.FromSlash(name))
}

// String returns the store's directory, "" if it is not one of this machine.
func (s *Store) String() string { return s.dir }

// openRegular opens name, which must be a regular file or a link to one.
func openRegular(fsys fs.FS, name string) (fs.File, fs.FileInfo, error) {
	fi, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, nil, underlying(err)
	}
	if !fi.Mode().IsRegular() {
		return nil, nil, irregular(fi)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, underlying(err)
	}
	if fi, err = f.Stat(); err == nil && !fi.Mode().IsRegular() {
		err = irregular(fi)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, fi, nil
}

func irregular(fi fs.FileInfo) error {
	return fmt.Errorf("%w: its mode is %s", ErrIrregular, fi.Mode())
}

// An Entry is one manifest of a store. Err says why Manifest is nil.
type Entry struct {
	Name     Name   // zero if the file's path is not a name's
	Path     string // of the manifest file
	Modified time.Time
	Manifest *Manifest
	Err      error
}

// List returns an entry for every file that stands where a manifest should,
// sorted by name, whether it can be read or not. Blobs are not looked at. It
// fails only if the manifests folder itself cannot be read.
func (s *Store) List() ([]Entry, error) {
	entries, err := s.walk()
	for i := range entries {
		if entries[i].Err == nil {
			s.fill(&entries[i])
		}
	}
	return entries, err
}

func (s *Store) fill(e *Entry) {
	var fi fs.FileInfo
	if e.Manifest, fi, e.Err = s.manifest(e.Name); e.Err == nil {
		e.Modified = fi.ModTime()
	}
}

// walk returns the files four levels below manifests/ and the folders on the
// way that cannot be read, as entries without their manifests.
func (s *Store) walk() ([]Entry, error) {
	if _, err := fs.Stat(s.manifests, "."); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	entries, err := s.walkDir(".", len(partRules))
	if err != nil {
		return nil, explainAccess(&Error{Op: "ollama: list models", Path: s.path("manifests", ""), Err: underlying(err)})
	}
	slices.SortFunc(entries, func(a, b Entry) int { return compareNames(a.Name, b.Name) })
	return entries, nil
}

func (s *Store) walkDir(dir string, levels int) ([]Entry, error) {
	files, err := fs.ReadDir(s.manifests, dir)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, f := range files {
		name := path.Join(dir, f.Name())
		isDir, err := s.isDir(f, name)
		switch {
		case levels == 1 && !isDir:
			entries = append(entries, s.entry(name))
		case levels > 1 && err != nil:
			entries = append(entries, s.unreadable(name, err))
		case levels > 1 && isDir:
			entries = append(entries, s.below(name, levels-1)...)
		}
	}
	return entries, nil
}

func (s *Store) below(dir string, levels int) []Entry {
	entries, err := s.walkDir(dir, levels)
	if err != nil {
		return []Entry{s.unreadable(dir, err)}
	}
	return entries
}

func (s *Store) unreadable(dir string, err error) Entry {
	p := s.path("manifests", dir)
	return Entry{Path: p, Err: explainAccess(&Error{Op: "ollama: list models", Path: p, Err: underlying(err)})}
}

func (s *Store) isDir(f fs.DirEntry, name string) (bool, error) {
	if f.Type()&fs.ModeSymlink == 0 {
		return f.IsDir(), nil
	}
	fi, err := fs.Stat(s.manifests, name)
	if err != nil {
		return false, err
	}
	return fi.IsDir(), nil
}

func (s *Store) entry(file string) Entry {
	n, err := nameOf(file)
	e := Entry{Name: n, Path: s.path("manifests", file)}
	if err != nil {
		e.Name = Name{}
		e.Err = &Error{Op: "ollama: list models", Path: e.Path, Err: err,
			Fix: "remove the file: while it is there, Ollama does not clean up its blobs"}
	}
	return e
}

// manifest reads the manifest of n, spelled as on disk.
func (s *Store) manifest(n Name) (*Manifest, fs.FileInfo, error) {
	fail := func(err error, fix string) (*Manifest, fs.FileInfo, error) {
		return nil, nil, explainAccess(&Error{Op: "ollama: read manifest", Model: n.String(),
			Path: s.path("manifests", n.Path()), Err: err, Fix: fix})
	}
	f, fi, err := openRegular(s.manifests, n.Path())
	if err != nil {
		return fail(err, "")
	}
	data, err := readAll(f, fi.Size(), maxManifest)
	if err = errors.Join(err, f.Close()); err != nil {
		return fail(err, "")
	}
	m, err := ParseManifest(data)
	if err != nil {
		return fail(err, "pull or create the model again; if Ollama is doing so now, wait for it to end")
	}
	return m, fi, nil
}

// readAll reads a file of the given size, which may have at most limit bytes.
func readAll(r io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("%w: the file has %d bytes, at most %d are read", ErrTooLarge, size, limit)
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: the file grew beyond %d bytes", ErrTooLarge, limit)
	}
	return data, err
}
