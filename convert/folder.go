package convert

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/smelt-project/smelt/internal/mapped"
	"github.com/smelt-project/smelt/tensor"
)

// A folder maps files of one directory on demand and closes them together.
type folder struct {
	dir string

	mu   sync.Mutex
	open map[string]*mapped.File
}

func newFolder(dir string) *folder {
	return &folder{dir: dir, open: map[string]*mapped.File{}}
}

// path returns the path of a file as the user would write it.
func (f *folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// Open implements tensor.Files.
func (f *folder) Open(name string) (io.ReaderAt, int64, error) {
	if !fs.ValidPath(name) {
		return nil, 0, fmt.Errorf("%q does not stay in %s: %w", name, f.dir, tensor.ErrCorrupt)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := f.open[name]; ok {
		return m, m.Size(), nil
	}
	m, err := mapped.Open(f.path(name))
	if err != nil {
		return nil, 0, err
	}
	f.open[name] = m
	return m, m.Size(), nil
}

// Names implements tensor.Files.
func (f *folder) Names() ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if st, err := os.Stat(f.path(e.Name())); err == nil && st.Mode().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// used lists the files that were opened, with their sizes.
func (f *folder) used() []File {
	f.mu.Lock()
	defer f.mu.Unlock()
	var files []File
	for name, m := range f.open {
		files = append(files, File{f.path(name), m.Size()})
	}
	return files
}

// Close closes every file that was opened.
func (f *folder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, m := range f.open {
		errs = append(errs, m.Close())
	}
	f.open = map[string]*mapped.File{}
	return errors.Join(errs...)
}
