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

// shareBlocks makes n bytes of dst the same blocks on disk as those of src, and
// says whether it did: some file systems can, if both places are at the start
// of a block. Ranges that only copy_file_range could copy are slower that way
// than with reads and writes: it moves 64 KB at a time through a pipe.
func shareBlocks(dst *os.File, dstOff int64, src *os.File, srcOff, n int64) bool {
	const block = 4096
	if n == 0 || srcOff%block != 0 || dstOff%block != 0 {
		return false
	}
	return unix.IoctlFileCloneRange(int(dst.Fd()), &unix.FileCloneRange{
		Src_fd: int64(src.Fd()), Src_offset: uint64(srcOff), Src_length: uint64(n), Dest_offset: uint64(dstOff), //nolint:gosec // none is negative
	}) == nil
}

// willNeed asks the kernel to read a range ahead. It is advice: that it cannot
// be given changes nothing. Linux reads no more than a device's read-ahead for
// one piece of advice.
func willNeed(f *os.File, off, n int64) {
	const piece = 1 << 20
	for end := off + n; off < end; off += piece {
		_ = unix.Fadvise(int(f.Fd()), off, min(end-off, piece), unix.FADV_WILLNEED)
	}
}

// startWriting asks the kernel to begin writing a range to the disk, so that
// the disk works while we do and little is left for the final fsync, which
// alone tells whether everything arrived.
func startWriting(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}
