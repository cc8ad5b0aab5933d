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
	err  error
}

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
	unlinked := os.Remove(f.Name())
	runtime.AddCleanup(s, func(f *os.File) {
		f.Close()
		if unlinked != nil {
			os.Remove(f.Name())
		}
	}, f)
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
