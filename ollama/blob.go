package ollama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// A Blob is a layer of a model together with the file that holds it.
type Blob struct {
	Layer
	Kind MediaType
	// Used is false if Ollama ignores the layer: its media type is not known,
	// or another layer of the same role takes its place.
	Used bool
	// Path is the blob's file, a path of this machine if the store came from
	// [Dir]. It is "" if the file is not there.
	Path string
	// Link is the file to which Path leads if it is a symbolic link, else "".
	Link string
	// Err says what is wrong with the file, as far as can be told without
	// reading it: ErrMissing, ErrPartial, ErrTruncated, ErrOversize,
	// ErrIrregular or [fs.ErrPermission].
	Err error

	store *Store
	model string
	file  string // in store.blobs
}

// find fills in where b's file is and compares its size with the manifest's.
func (b *Blob) find() error {
	for _, name := range blobFiles(b.Digest) {
		fi, err := fs.Stat(b.store.blobs, name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			continue
		}
		b.file, b.Path = name, b.store.path("blobs", name)
		if err != nil {
			return b.fail("find blob", underlying(err))
		}
		b.Link = b.store.linkTarget(name)
		return b.checkInfo(fi)
	}
	return b.missing(fmt.Errorf("%w: the manifest says %d bytes", ErrMissing, b.Size))
}

// blobFiles returns the names that the file of a digest, which has been checked,
// can have, the usual one first: early versions of Ollama wrote ':' for '-', and a digest in upper case
// is looked for as it is written.
func blobFiles(digest string) []string {
	digits, err := digestHex(digest)
	if err != nil {
		return nil
	}
	names := []string{"sha256-" + digits}
	if written := "sha256-" + digest[len("sha256-"):]; written != names[0] {
		names = append(names, written)
	}
	return append(names, "sha256:"+digits)
}

func (s *Store) linkTarget(name string) string {
	fi, err := fs.Lstat(s.blobs, name)
	if err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		return ""
	}
	if s.dir != "" {
		if target, err := filepath.EvalSymlinks(s.path("blobs", name)); err == nil {
			return target
		}
	}
	target, err := fs.ReadLink(s.blobs, name)
	if err != nil {
		return "(unreadable: " + underlying(err).Error() + ")"
	}
	return target
}

func (b *Blob) checkInfo(fi fs.FileInfo) error {
	switch {
	case !fi.Mode().IsRegular():
		return b.fail("find blob", irregular(fi))
	case fi.Size() < b.Size:
		return b.fail("find blob", sizeError(ErrTruncated, fi.Size(), b.Size))
	case fi.Size() > b.Size:
		return b.fail("find blob", sizeError(ErrOversize, fi.Size(), b.Size))
	}
	return nil
}

func sizeError(class error, got, want int64) error {
	return fmt.Errorf("%w: the file has %d bytes, the manifest says %d", class, got, want)
}

// explainAbsence says why a blob is missing: a download that is not complete, a
// link that leads nowhere, or nothing of the kind.
func (b *Blob) explainAbsence() error {
	for _, name := range blobFiles(b.Digest) {
		if target := b.store.linkTarget(name); target != "" {
			return b.missing(fmt.Errorf("%w: it is a link to %s, which is not there", ErrMissing, visible(target)))
		}
		if err := b.store.partial(name, b.Size); err != nil {
			return b.missing(err)
		}
	}
	return b.Err
}

// missing tells of err with the path that the blob should have.
func (b *Blob) missing(err error) error {
	wanted := *b
	wanted.Path = b.store.path("blobs", blobFiles(b.Digest)[0])
	return wanted.fail("find blob", err)
}

// partial reports a download of a blob that has begun: Ollama keeps a sparse
// NAME-partial with the state of each part in NAME-partial-N, or a NAME.tmp.
// (ollama server/download.go and x/transfer/download.go@fb3076099)
func (s *Store) partial(name string, size int64) error {
	if fi, err := fs.Stat(s.blobs, name+".tmp"); err == nil {
		return fmt.Errorf("%w: %d of %d bytes have arrived", ErrPartial, fi.Size(), size)
	}
	_, err := fs.Stat(s.blobs, name+"-partial")
	completed, parts := s.completed(name)
	if err != nil && parts == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d of %d bytes have arrived", ErrPartial, completed, size)
}

// completed sums what the parts of a download have received. A part that is
// just being written counts as nothing.
func (s *Store) completed(name string) (sum int64, parts int) {
	const maxParts = 64 // Ollama makes at most 16
	for ; parts < maxParts; parts++ {
		f, fi, err := openRegular(s.blobs, fmt.Sprintf("%s-partial-%d", name, parts))
		if err != nil {
			break
		}
		data, err := readAll(f, fi.Size(), 4<<10)
		var part struct{ Size, Completed int64 }
		if errors.Join(err, f.Close(), json.Unmarshal(data, &part)) == nil {
			sum += min(max(part.Completed, 0), max(part.Size, 0))
		}
	}
	return sum, parts
}

// fixes tell the user what to do about a class of failure. Pulling alone does
// not help against a bad blob: Ollama takes what is there for good.
var fixes = []struct {
	class error
	fix   string
}{
	{ErrMissing, "run \"ollama pull %s\", or create the model again if it is your own"},
	{ErrPartial, "wait for the download to end, or run \"ollama pull %s\" to resume it"},
	{ErrTruncated, "remove the file and run \"ollama pull %s\", or create the model again if it is your own"},
	{ErrOversize, "remove the file and run \"ollama pull %s\", or create the model again if it is your own"},
	{ErrDigest, "remove the file and run \"ollama pull %s\", or create the model again if it is your own"},
	{ErrChanged, "wait until nothing writes to %s, then try again"},
}

func (b *Blob) fail(op string, err error) error {
	e := &Error{Op: "ollama: " + op, Model: b.model, Role: b.Kind.Role, Digest: b.Digest, Path: b.Path, Err: err}
	for _, f := range fixes {
		if errors.Is(err, f.class) {
			e.Fix = fmt.Sprintf(f.fix, b.model)
			break
		}
	}
	return explainAccess(e)
}

// Open opens the blob for random access. Its size is what the manifest says;
// its content is not checked: see [File.Verify]. The caller closes the File.
func (b *Blob) Open() (*File, error) {
	f, fi, err := b.open()
	if err != nil {
		return nil, err
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		err := fmt.Errorf("%w: the store's file system has no random access", ErrUnsupported)
		return nil, b.fail("open blob", errors.Join(err, f.Close()))
	}
	return &File{blob: b, file: f, at: r, info: fi}, nil
}

func (b *Blob) open() (fs.File, fs.FileInfo, error) {
	if b.Err != nil {
		return nil, nil, b.Err
	}
	f, fi, err := openRegular(b.store.blobs, b.file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: the file was removed", ErrChanged)
	}
	if err != nil {
		return nil, nil, b.fail("open blob", err)
	}
	if err := b.checkInfo(fi); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, fi, nil
}

// Reader opens the blob for reading from start to end. In place of the end it
// fails if the content's size or digest is not the manifest's; the last bytes
// of wrong content are not delivered. The caller closes it.
func (b *Blob) Reader() (io.ReadCloser, error) {
	f, _, err := b.open()
	if err != nil {
		return nil, err
	}
	v, err := NewVerifyReader(f, b.Size, b.Digest)
	if err != nil {
		return nil, b.fail("open blob", errors.Join(err, f.Close()))
	}
	return &blobReader{v, f, b}, nil
}

type blobReader struct {
	v    *VerifyReader
	file fs.File
	blob *Blob
}

func (r *blobReader) Read(p []byte) (int, error) {
	n, err := r.v.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.blob.fail("read blob", underlying(err))
	}
	return n, err
}

func (r *blobReader) Close() error { return r.file.Close() }

// Verify reads the whole blob and compares its digest, calling progress, if it
// is not nil, with the number of bytes read so far. To use what was verified,
// verify the [File] itself: between two calls of Open the blob can be replaced.
func (b *Blob) Verify(ctx context.Context, progress func(n int64)) error {
	f, err := b.Open()
	if err != nil {
		return err
	}
	return errors.Join(f.Verify(ctx, progress), f.Close())
}

// Summary describes the blob in one line: role, size, digest, and what it is.
func (b *Blob) Summary() string {
	s := fmt.Sprintf("%s, %d bytes, %s: %s", b.Kind.Role, b.Size, b.Digest, b.Kind.About)
	if b.Link != "" {
		s += ", linked to " + visible(b.Link)
	}
	return s
}
