package ollama

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/smelt-project/smelt/internal/atomicfile"
)

// A storeLock keeps other programs that take it from publishing or removing
// anything in a store. Ollama does not take it: every step is safe beside a
// running server by itself.
type storeLock struct{ dir *os.File }

// lock waits for the lock of s, which is that of its blobs folder, so that no
// file of its own is needed. Where folders cannot be locked there is none.
func (s *Store) lock() (*storeLock, error) {
	dir, err := os.Open(s.path("blobs", ""))
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Lock(dir); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, errors.Join(err, dir.Close())
	}
	return &storeLock{dir}, nil
}

func (l *storeLock) unlock() error { return l.dir.Close() }

// sweep removes what writers that were killed have left among the blobs and
// manifests. The store must be locked.
func (s *Store) sweep() error {
	var errs []error
	for _, sub := range []string{"blobs", "manifests"} {
		entries, err := os.ReadDir(s.path(sub, ""))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if isLeftover(e.Name()) && e.Type().IsRegular() {
				errs = append(errs, removeStale(filepath.Join(s.path(sub, ""), e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

// isLeftover reports whether a file of that name is one that was never completed.
func isLeftover(name string) bool {
	return strings.HasPrefix(name, ".") && strings.Contains(name, atomicfile.TempMark)
}

// starting is how long a writer may take to lock the file that it has created.
const starting = 2 * time.Second

// removeStale removes a file whose writer lives no more.
func removeStale(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if free, err := atomicfile.TryLock(f); !free {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil // nobody can tell; Ollama removes it after an hour
		}
		return err
	}
	fi, err := f.Stat()
	if err != nil || time.Since(fi.ModTime()) < starting && fi.Size() == 0 {
		return err
	}
	return os.Remove(path)
}
