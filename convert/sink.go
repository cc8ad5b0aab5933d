package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"github.com/smelt-project/smelt/internal/atomicfile"
	"github.com/smelt-project/smelt/internal/mapped"
	"github.com/smelt-project/smelt/tensor"
)

// ErrExists is returned when the destination is there already and may not be
// replaced.
var ErrExists = errors.New("already exists")

// A sink is a file that becomes visible under its name only when it is complete.
type sink struct {
	dst string // as the user knows it
	f   *atomicfile.File
}

// checkDestination fails early if dst cannot be written.
func checkDestination(dst string, r atomicfile.Replacement) error {
	fail := func(err error) error { return &tensor.Error{Op: "write", File: dst, Err: err} }
	dir, err := os.Stat(filepath.Dir(dst))
	if err != nil {
		return fail(fmt.Errorf("folder %s: %w", filepath.Dir(dst), notFound(err)))
	}
	if !dir.IsDir() {
		return fail(fmt.Errorf("%s is not a folder", filepath.Dir(dst)))
	}
	st, err := os.Stat(dst)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fail(err)
	case !st.Mode().IsRegular():
		return fail(errors.New("it is not a regular file"))
	case r == atomicfile.Keep:
		return fail(fmt.Errorf("%w; --force replaces it", ErrExists))
	}
	return nil
}

// newSink creates the file that will become dst, with room for size bytes.
func newSink(dst string, size int64) (*sink, error) {
	f, err := atomicfile.Create(filepath.Dir(dst), filepath.Base(dst))
	if err != nil {
		return nil, &tensor.Error{Op: "write", File: dst, Err: err}
	}
	s := &sink{dst: dst, f: f}
	if err := f.Reserve(size); err != nil {
		return nil, errors.Join(&tensor.Error{Op: "write", File: dst,
			Err: fmt.Errorf("no room for %s: %w", humanize.IBytes(uint64(size)), err)}, s.abort()) //nolint:gosec // a size is not negative
	}
	return s, nil
}

// write puts b at off.
func (s *sink) write(b []byte, off int64) error {
	if _, err := s.f.WriteAt(b, off); err != nil {
		return &tensor.Error{Op: "write", File: s.dst, Offset: off, Err: err}
	}
	return nil
}

// commit makes the file durable and visible.
func (s *sink) commit(r atomicfile.Replacement) error { return commitAll([]*sink{s}, r) }

// commitAll makes files durable and then visible, all or none: if one cannot
// get its name, those that have theirs are removed again. What they replaced is
// gone then.
func commitAll(sinks []*sink, r atomicfile.Replacement) error {
	for _, s := range sinks {
		if err := s.f.Sync(); err != nil {
			return errors.Join(s.fail(err), abortAll(sinks))
		}
	}
	for i, s := range sinks {
		if err := s.f.Publish(filepath.Base(s.dst), r); err != nil {
			errs := []error{s.fail(err)}
			for _, before := range sinks[:i] {
				errs = append(errs, os.Remove(before.dst))
			}
			return errors.Join(append(errs, abortAll(sinks))...)
		}
	}
	var errs []error
	for _, s := range sinks {
		errs = append(errs, s.f.Close())
	}
	dir := filepath.Dir(sinks[0].dst)
	if err := atomicfile.SyncDir(dir); err != nil {
		errs = append(errs, sinks[0].fail(err))
	}
	return errors.Join(errs...)
}

func (s *sink) fail(err error) error {
	return &tensor.Error{Op: "write", File: s.dst, Err: err}
}

// abort removes what was written.
func (s *sink) abort() error { return s.f.Discard() }

func abortAll(sinks []*sink) error {
	var errs []error
	for _, s := range sinks {
		errs = append(errs, s.abort())
	}
	return errors.Join(errs...)
}

// reader returns what was written so far, for the check before it is published.
func (s *sink) reader() (*mapped.File, error) { return mapped.Own(s.f.File) }
