package convert

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/smelt-project/smelt/internal/mapped"
	"github.com/smelt-project/smelt/tensor"
)

// unnamed is the folder of the files of a run before they have their names. It
// implements tensor.Files.
type unnamed struct {
	sinks []*sink
	parts []Part
	open  []*mapped.File
}

// Open implements tensor.Files.
func (w *unnamed) Open(name string) (io.ReaderAt, int64, error) {
	i := slices.IndexFunc(w.sinks, func(s *sink) bool { return filepath.Base(s.dst) == name })
	if i < 0 {
		return nil, 0, fmt.Errorf("%s is not among what was written: %w", name, tensor.ErrNotFound)
	}
	f, err := w.sinks[i].reader()
	if err != nil {
		return nil, 0, err
	}
	w.open = append(w.open, f)
	return f, w.parts[i].Place.Size, nil
}

// Names implements tensor.Files.
func (w *unnamed) Names() ([]string, error) {
	var names []string
	for _, s := range w.sinks {
		names = append(names, filepath.Base(s.dst))
	}
	return names, nil
}

func (w *unnamed) release() error {
	var errs []error
	for _, f := range w.open {
		errs = append(errs, f.Release())
	}
	return errors.Join(errs...)
}

// inspect shows the model that was written.
func (r *run) inspect(show func(*Plan, *tensor.Model) error) (err error) {
	if show == nil {
		return nil
	}
	w := &unnamed{sinks: r.sinks, parts: r.plan.Parts}
	defer func() { err = errors.Join(err, w.release()) }()
	m, err := r.plan.Target.read(w, filepath.Base(r.sinks[0].dst))
	if err != nil {
		return err
	}
	return show(r.plan, m)
}
