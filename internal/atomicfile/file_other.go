//go:build !linux

package atomicfile

import (
	"errors"
	"os"
)

// createNameless is not possible: nameless files are Linux's.
func createNameless(string, string) (f *File, ok bool, err error) { return nil, false, nil }

func (f *File) link(path string) error { return os.Link(f.temp, path) }

// name does nothing: the file has a temporary name from the start.
func (f *File) name() error { return nil }

// Reserve sets the length; a full disk shows when the bytes are written.
func (f *File) Reserve(size int64) error { return f.Truncate(size) }

// Clone fails with [errors.ErrUnsupported].
func (f *File) Clone(*os.File) error { return errors.ErrUnsupported }
