package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// createNameless creates a file without a name (O_TMPFILE), which the kernel
// removes if the process is killed; ok is false if the file system or kernel has
// no such files.
func createNameless(dir, base string) (f *File, ok bool, err error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
	for _, lacking := range []error{unix.EOPNOTSUPP, unix.EISDIR, unix.ENOENT, unix.EINVAL} {
		if errors.Is(err, lacking) {
			return nil, false, nil
		}
	}
	if err != nil {
		return nil, false, os.NewSyscallError("open", err)
	}
	file := os.NewFile(uintptr(fd), filepath.Join(dir, base))
	if err := lockTemp(file); err != nil {
		return nil, false, errors.Join(err, file.Close())
	}
	return &File{File: file, dir: dir, base: base}, true, nil
}

// link gives the file one more name.
func (f *File) link(path string) error {
	if f.temp != "" {
		return os.Link(f.temp, path)
	}
	err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	return os.NewSyscallError("link", err)
}

// name gives the file a temporary name: a link cannot replace, a rename can.
func (f *File) name() error {
	if f.temp != "" {
		return nil
	}
	for i := range 1000 {
		temp := filepath.Join(f.dir, fmt.Sprintf(".%s%s%d-%d", f.base, TempMark, os.Getpid(), i))
		err := f.link(temp)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err == nil {
			f.temp = temp
		}
		return err
	}
	return fmt.Errorf("no free temporary name in %s", f.dir)
}

// Reserve allocates size bytes, so that a full disk is known before any work.
// File systems that cannot allocate get a file of that length with holes.
func (f *File) Reserve(size int64) error {
	if size == 0 {
		return nil
	}
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EFBIG) || errors.Is(err, unix.EDQUOT) {
		return os.NewSyscallError("fallocate", err)
	}
	return f.Truncate(size)
}

// Clone makes the content that of src without a copy: both share their blocks on
// disk until one is written to. It fails with [errors.ErrUnsupported] where the
// file system cannot do that or the files are in two.
func (f *File) Clone(src *os.File) error {
	err := unix.IoctlFileClone(int(f.Fd()), int(src.Fd()))
	for _, lacking := range []error{unix.EOPNOTSUPP, unix.ENOTTY, unix.EXDEV, unix.EINVAL, unix.ENOSYS} {
		if errors.Is(err, lacking) {
			return errors.Join(errors.ErrUnsupported, os.NewSyscallError("clone", err))
		}
	}
	return os.NewSyscallError("clone", err)
}
