// Package atomicfile writes files that appear under their name when they are
// complete, or not at all.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A Replacement says whether a file of the same name may be replaced.
type Replacement int

// What Publish does with a file that is there already.
const (
	Keep    Replacement = iota // fail with [fs.ErrExist]
	Replace                    // put the new file in its place
)

// TempMark is part of the name of every file that is not complete yet, and of
// no other. While its writer lives, such a file is locked: see [TryLock].
const TempMark = ".smelt-"

// A File is written without its final name. Where the system has nameless files
// nothing remains of it after a crash, elsewhere a temporary file. It is used by
// one goroutine, but for WriteAt and ReadAt.
type File struct {
	*os.File
	dir, base string
	temp      string // its path, "" while it has none
}

// Create opens a file in dir that is to be called base, or any other name that
// is found later. Its mode is what umask leaves of 0666.
func Create(dir, base string) (*File, error) {
	if f, ok, err := createNameless(dir, base); ok || err != nil {
		return f, err
	}
	return CreateNamed(dir, base)
}

// CreateNamed is Create with a temporary name, as on systems without nameless
// files.
func CreateNamed(dir, base string) (*File, error) {
	f, err := os.CreateTemp(dir, "."+base+TempMark+"*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Chmod(0o644), lockTemp(f)); err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()), f.Close())
	}
	return &File{File: f, dir: dir, base: base, temp: f.Name()}, nil
}

// lockTemp marks f as in use. A file system without locks cannot be swept.
func lockTemp(f *os.File) error {
	if _, err := TryLock(f); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// Publish gives the file the name base in its folder. Its content must have been
// synced. The File stays open.
func (f *File) Publish(base string, r Replacement) error {
	dst := filepath.Join(f.dir, base)
	if r == Keep {
		err := f.link(dst) // fails if somebody else made the file meanwhile
		if !errors.Is(err, errors.ErrUnsupported) {
			return errors.Join(err, f.unnameIf(err == nil))
		}
	}
	if err := f.name(); err != nil {
		return err
	}
	if err := os.Rename(f.temp, dst); err != nil {
		return err
	}
	f.temp = ""
	return nil
}

// unnameIf removes the temporary name once the file has another.
func (f *File) unnameIf(done bool) error {
	if !done || f.temp == "" {
		return nil
	}
	temp := f.temp
	f.temp = ""
	return os.Remove(temp)
}

// Discard closes the file and removes it, unless it was published.
func (f *File) Discard() error {
	err := f.unnameIf(true)
	return errors.Join(err, f.Close())
}

// Link gives the file at src one more name, base in dir, as Publish would: its
// content stays one, so that a write through either name shows in both.
func Link(src, dir, base string, r Replacement) error {
	dst := filepath.Join(dir, base)
	err := os.Link(src, dst)
	if r == Keep || !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.CreateTemp(dir, "."+base+TempMark+"*") // for a name that is free
	if err != nil {
		return err
	}
	temp := f.Name()
	if err := errors.Join(f.Close(), os.Remove(temp)); err != nil {
		return err
	}
	if err := os.Link(src, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, dst); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	// If both were links to one file already, rename has left the temporary one.
	if err := os.Remove(temp); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SyncDir makes the names in dir durable. Some file systems cannot sync folders;
// a rename is then as durable as they make it.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}
