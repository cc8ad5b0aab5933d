package pickle

import (
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/smelt-project/smelt/tensor"
)

// A spool holds an inflated member. Concurrent ReadAt calls are safe.
type spool struct {
	a    *archive
	m    *member
	once sync.Once
	r    io.ReaderAt
	spooled
	err error
}

// A spooled is the temporary file of a spool.
type spooled struct {
	f     *os.File
	named bool // it still has a name
}

// discard closes the file; the system removes one without a name.
func discard(t spooled) {
	if t.f == nil || t.f.Close() != nil {
		return
	}
	if t.named {
		os.Remove(t.f.Name())
	}
}

// close discards the file before the garbage collector does.
func (s *spool) close() { discard(s.spooled) }

// ReadAt inflates the member on the first call.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	s.once.Do(func() { s.r, s.err = s.inflate() })
	if s.err != nil {
		return 0, s.err
	}
	return s.r.ReadAt(p, off)
}

// inflate writes the member to a temporary file.
func (s *spool) inflate() (io.ReaderAt, error) {
	f, err := os.CreateTemp("", "smelt-*")
	if err != nil {
		return nil, s.fail(fmt.Errorf("inflating needs a temporary file: %w", err))
	}
	s.f, s.named = f, os.Remove(f.Name()) != nil // Windows keeps the name of an open file
	runtime.AddCleanup(s, discard, spooled{f, s.named})
	z := flate.NewReader(io.NewSectionReader(s.a.r, s.m.Offset, s.m.Compressed))
	sum := crc32.NewIEEE()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(z, s.m.Size))
	var written *os.PathError
	if errors.As(err, &written) {
		return nil, s.fail(fmt.Errorf("inflating into a temporary file: %w", err))
	}
	if err != nil || n < s.m.Size {
		return nil, s.a.inflateError(s.m, n, errors.Join(err, io.ErrUnexpectedEOF))
	}
	if err := s.a.exhausted(s.m, z); err != nil {
		return nil, err
	}
	if got := sum.Sum32(); s.m.CRC32 != 0 && got != s.m.CRC32 {
		return nil, s.a.fail(s.m.Name, s.m.Offset, errCRC, "bytes have checksum %08x, the directory says %08x", got, s.m.CRC32)
	}
	return io.NewSectionReader(f, 0, n), nil
}

func (s *spool) fail(err error) error {
	return &tensor.Error{Op: "read zip", File: s.a.file, Member: s.m.Name, Offset: s.m.Offset, Err: err}
}
