package ollama

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A VerifyReader passes bytes on while it compares their number and SHA-256
// with what is expected. The last bytes are held back until the digest has been
// found right, so even a caller that reads exactly the expected number of bytes
// and never sees the end cannot take wrong content for good.
type VerifyReader struct {
	r    io.Reader
	hash hash.Hash
	size int64
	want string // hex digits
	n    int64  // bytes read
	done bool   // the digest was right
	err  error  // sticks
}

// NewVerifyReader returns a VerifyReader that expects r to hold size bytes with
// the digest "sha256:" and 64 hex digits. It fails with ErrMalformed if digest
// is not that.
func NewVerifyReader(r io.Reader, size int64, digest string) (*VerifyReader, error) {
	want, err := digestHex(digest)
	if err != nil {
		return nil, err
	}
	return &VerifyReader{r: r, hash: sha256.New(), size: size, want: want}, nil
}

// Read reads from the underlying reader. In place of the end it fails with
// ErrTruncated, ErrOversize or ErrDigest if the content is not the expected one.
func (v *VerifyReader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := v.read(p)
	v.err = err
	return n, err
}

func (v *VerifyReader) read(p []byte) (int, error) {
	if v.n == v.size {
		return 0, v.finish()
	}
	if rest := v.size - v.n; int64(len(p)) > rest {
		p = p[:rest]
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	if v.n == v.size {
		if err := v.checkDigest(); err != nil {
			return 0, err
		}
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it holds %d bytes, %d are expected", ErrTruncated, v.n, v.size)
	}
	return n, err
}

// finish looks for bytes beyond the expected end.
func (v *VerifyReader) finish() error {
	if err := v.checkDigest(); err != nil {
		return err
	}
	var one [1]byte
	n, err := io.ReadFull(v.r, one[:])
	if n > 0 {
		return fmt.Errorf("%w: it holds more than the %d bytes that are expected", ErrOversize, v.size)
	}
	return err
}

func (v *VerifyReader) checkDigest() error {
	if v.done {
		return nil
	}
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.want {
		return fmt.Errorf("%w: the content is sha256:%s, sha256:%s is expected", ErrDigest, got, v.want)
	}
	v.done = true
	return nil
}

// verifyChunk is large enough to hide the calls and small enough to notice a
// cancelled context within milliseconds.
const verifyChunk = 1 << 20

// drain reads v to its end, calling progress, if it is not nil, with the number
// of bytes verified so far.
func (v *VerifyReader) drain(ctx context.Context, progress func(n int64)) error {
	buf := make([]byte, min(verifyChunk, max(v.size, 1)))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := v.Read(buf)
		if progress != nil {
			progress(v.n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
