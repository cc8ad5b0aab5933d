package convert

import (
	"bufio"
	"errors"
	"io"

	"github.com/smelt-project/smelt/internal/atomicfile"
	"github.com/smelt-project/smelt/tensor"
)

// WriteReport writes what fn writes to path: a file about a model, not one. It
// appears, and replaces an earlier one, when it is complete.
func WriteReport(path string, fn func(io.Writer) error) error {
	if err := checkDestination(path, atomicfile.Replace); err != nil {
		return err
	}
	s, err := newSink(path, 0)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(io.NewOffsetWriter(s.f, 0))
	if err := fn(w); err != nil {
		return errors.Join(err, s.abort())
	}
	if err := w.Flush(); err != nil {
		return errors.Join(&tensor.Error{Op: "write", File: path, Err: err}, s.abort())
	}
	return s.commit(atomicfile.Replace)
}
