package convert

import (
	"os"

	"golang.org/x/sys/unix"
)

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
