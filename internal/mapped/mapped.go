// Package mapped opens files for concurrent random reading through memory maps,
// without the crash that a map brings when its file shrinks.
package mapped

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"github.com/edsrzf/mmap-go"
)

// ErrShrunk is returned by ReadAt when the file became shorter after Open, or
// the medium under it failed.
var ErrShrunk = errors.New("file changed while it was read")

// A File is a file open for reading. Its ReadAt may be called concurrently. A
// file that cannot be mapped (a pipe-backed file system, an empty file, too
// little address space) is read with pread instead.
type File struct {
	f    *os.File
	size int64

	mu  sync.RWMutex // held for reading while the map is read, for writing by Close
	mem mmap.MMap
}

// Open opens the regular file at path.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := Own(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

// Own returns a File over the open file f. Close closes f too; Release does not.
func Own(f *os.File) (*File, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", f.Name())
	}
	m := &File{f: f, size: st.Size()}
	if m.size > 0 {
		if mem, err := mmap.Map(f, mmap.RDONLY, 0); err == nil && int64(len(mem)) == m.size {
			m.mem = mem
		}
	}
	return m, nil
}

// Size returns the length of the file when it was opened.
func (m *File) Size() int64 { return m.size }

// OS returns the open file, for copies that the kernel can do by itself.
func (m *File) OS() *os.File { return m.f }

// ReadAt implements io.ReaderAt.
func (m *File) ReadAt(p []byte, off int64) (n int, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.mem == nil {
		return m.pread(p, off)
	}
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	if off >= m.size {
		return 0, io.EOF
	}
	src := m.mem[off:min(m.size, off+int64(len(p)))]
	if err := guardedCopy(p, src); err != nil {
		return 0, err
	}
	if len(src) < len(p) {
		return len(src), io.EOF
	}
	return len(src), nil
}

func (m *File) pread(p []byte, off int64) (int, error) {
	n, err := m.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) && off+int64(n) < min(m.size, off+int64(len(p))) {
		return n, fmt.Errorf("%w: it ends at byte %d, was %d bytes long", ErrShrunk, off+int64(n), m.size)
	}
	return n, err
}

// guardedCopy copies src to dst. A page of src that is no longer there raises
// SIGBUS, which the runtime turns into a panic of this goroutine only while
// SetPanicOnFault is set.
func guardedCopy(dst, src []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			err = ErrShrunk
		}
	}()
	copy(dst, src)
	return nil
}

// Release gives the map back; reads go on through the file.
func (m *File) Release() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mem == nil {
		return nil
	}
	err := m.mem.Unmap()
	m.mem = nil
	return err
}

// Close releases the map and the file. Later reads fail.
func (m *File) Close() error { return errors.Join(m.Release(), m.f.Close()) }
