package convert

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openSink creates a file without a name (O_TMPFILE): if the process is killed,
// the kernel removes it. It gets its name by a link when it is complete.
func openSink(dst string) (*sink, error) {
	fd, err := unix.Open(filepath.Dir(dst), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return openNamed(dst) // the file system or kernel has no such files
	}
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	f := os.NewFile(uintptr(fd), dst)
	return &sink{dst: dst, f: f, publish: func(r replacement) error {
		err := linkFile(f, dst)
		if r == keepExisting || !errors.Is(err, unix.EEXIST) {
			return err
		}
		return replaceWith(f, dst)
	}, discard: func() error { return nil }}, nil
}

func linkFile(f *os.File, path string) error {
	err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	return os.NewSyscallError("link", err)
}

// replaceWith names f beside dst and renames it over dst: a link cannot replace.
func replaceWith(f *os.File, dst string) error {
	for i := range 1000 {
		tmp := filepath.Join(filepath.Dir(dst), fmt.Sprintf(".%s.smelt-%d-%d", filepath.Base(dst), os.Getpid(), i))
		err := linkFile(f, tmp)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.Rename(tmp, dst); err != nil {
			return errors.Join(err, os.Remove(tmp))
		}
		return nil
	}
	return fmt.Errorf("no free temporary name beside %s", dst)
}

// reserve allocates size bytes, so that a full disk is known before any work.
// File systems that cannot allocate get a file of that length with holes.
func reserve(f *os.File, size int64) error {
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

// kernelCopy copies n bytes between files inside the kernel, which shares the
// blocks where the file system can. done says how much of it was copied; the
// caller copies the rest.
func kernelCopy(dst *os.File, dstOff int64, src *os.File, srcOff, n int64) (done int64) {
	for done < n {
		in, out := srcOff+done, dstOff+done
		m, err := unix.CopyFileRange(int(src.Fd()), &in, int(dst.Fd()), &out, int(min(n-done, 1<<30)), 0)
		if err != nil || m <= 0 {
			return done
		}
		done += int64(m)
	}
	return done
}

// willNeed asks the kernel to read a range ahead. It is advice: that it cannot
// be given changes nothing.
func willNeed(f *os.File, off, n int64) {
	_ = unix.Fadvise(int(f.Fd()), off, n, unix.FADV_WILLNEED)
}

// startWriting asks the kernel to begin writing a range to the disk, so that
// the disk works while we do and little is left for the final fsync, which
// alone tells whether everything arrived.
func startWriting(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}
