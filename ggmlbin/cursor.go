package ggmlbin

import (
	"fmt"
	"io"

	"github.com/smelt-project/smelt/tensor"
)

// Bytes that are read at once: before the tensors there is a vocabulary of half
// a megabyte, between them there are headers of less than a hundred bytes.
const (
	headWindow = 1 << 16
	rowWindow  = 256
)

// A cursor reads a file from front to back through a window. The first failure
// sticks: from then on everything read is zero.
type cursor struct {
	r      io.ReaderAt
	size   int64 // of the file
	file   string
	op     string // what is being read
	tensor string // which tensor it belongs to, "" for none
	window int64  // bytes to read at once
	err    error

	base int64 // where buf starts in the file
	buf  []byte
	pos  int // in buf
}

// at returns the offset in the file of the next byte.
func (c *cursor) at() int64 { return c.base + int64(c.pos) }

// left returns how many bytes follow.
func (c *cursor) left() int64 { return c.size - c.at() }

// fail records a failure at an offset of the file unless there was one before.
// It empties the window, so that nothing is read from then on.
func (c *cursor) fail(at int64, class error, format string, args ...any) {
	c.wrap(at, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), class))
}

// wrap records err, which says its own class, as fail does.
func (c *cursor) wrap(at int64, err error) {
	if c.err == nil {
		c.err = &tensor.Error{Op: c.op, File: c.file, Tensor: c.tensor, Offset: at, Err: err}
	}
	c.base, c.pos, c.buf = c.at(), 0, nil
}

// take returns the next n bytes, valid until the next call, or nil.
func (c *cursor) take(n int64) []byte {
	if int64(len(c.buf)-c.pos) < n && !c.advance(n) {
		return nil
	}
	b := c.buf[c.pos : c.pos+int(n)]
	c.pos += int(n)
	return b
}

// advance moves the window to the cursor and makes it hold n bytes.
func (c *cursor) advance(n int64) bool {
	if c.err != nil {
		return false
	}
	if n > c.left() {
		c.fail(c.at(), tensor.ErrCorrupt, "needs %d bytes, file has %d left; it may be cut short", n, c.left())
		return false
	}
	c.base, c.pos = c.at(), 0
	want := min(max(n, c.window), c.size-c.base)
	if int64(cap(c.buf)) < want {
		c.buf = make([]byte, want)
	}
	c.buf = c.buf[:want]
	got, err := c.r.ReadAt(c.buf, c.base)
	if got < len(c.buf) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		c.fail(c.base+int64(got), err, "got %d of %d bytes", got, want)
		return false
	}
	return true
}

// skip passes over n bytes, at most what is left.
func (c *cursor) skip(n int64) {
	if n <= int64(len(c.buf)-c.pos) {
		c.pos += int(n)
		return
	}
	c.base, c.pos, c.buf = c.at()+n, 0, c.buf[:0]
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return le.Uint32(b)
	}
	return 0
}

func (c *cursor) i32() int32 { return int32(c.u32()) } //nolint:gosec // same bits

// count reads the number of what follows, each at least least bytes long.
func (c *cursor) count(what string, least int64) int {
	at := c.at()
	n := c.i32()
	if c.err == nil && (n < 0 || int64(n) > c.left()/least) {
		c.fail(at, tensor.ErrCorrupt, "claims %d %s of at least %d bytes each, file has %d bytes left", n, what, least, c.left())
		return 0
	}
	return int(n)
}
