package ollama

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// A File is an open blob. Concurrent calls of ReadAt are safe.
type File struct {
	blob *Blob
	file fs.File
	at   io.ReaderAt
	info fs.FileInfo // when it was opened
}

// ReadAt implements [io.ReaderAt].
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.at.ReadAt(p, off) }

// Size returns the blob's size in bytes, which is the manifest's.
func (f *File) Size() int64 { return f.info.Size() }

// OS returns the file of this machine, to map it into memory, or nil if the
// store is not a directory of this machine. It stays f's to close.
func (f *File) OS() *os.File {
	file, ok := f.file.(*os.File)
	if !ok {
		return nil
	}
	return file
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

// Verify reads the whole file and compares its digest with the manifest's,
// calling progress, if it is not nil, with the number of bytes read so far. It
// fails with ErrDigest, with ErrChanged if the file was written to since it was
// opened, or with ctx's error.
func (f *File) Verify(ctx context.Context, progress func(n int64)) error {
	v, err := NewVerifyReader(io.NewSectionReader(f.at, 0, f.Size()), f.blob.Size, f.blob.Digest)
	if err != nil {
		return f.blob.fail("verify blob", err)
	}
	err = v.drain(ctx, progress)
	if changed := f.Unchanged(); changed != nil {
		return changed
	}
	if err != nil {
		return f.blob.fail("verify blob", underlying(err))
	}
	return nil
}

// Unchanged fails with ErrChanged if the file's size or modification time is
// not what it was when f was opened. Called after the last read, it tells
// whether all that was read belongs together.
func (f *File) Unchanged() error {
	now, err := f.file.Stat()
	if err != nil {
		return f.blob.fail("check blob", underlying(err))
	}
	if now.Size() == f.info.Size() && now.ModTime().Equal(f.info.ModTime()) {
		return nil
	}
	const layout = "2006-01-02T15:04:05.000000000Z07:00"
	return f.blob.fail("check blob", fmt.Errorf("%w: %d bytes of %s became %d bytes of %s", ErrChanged,
		f.info.Size(), f.info.ModTime().Format(layout), now.Size(), now.ModTime().Format(layout)))
}
