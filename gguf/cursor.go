package gguf

import (
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/smelt-project/smelt/tensor"
)

// Windows start small, because most headers are, and grow so that a vocabulary
// takes few reads; the last size bounds what is read beyond the header.
const (
	firstWindow = 1 << 16
	lastWindow  = 1 << 22
)

// A cursor reads a header from front to back, one window of the file at a
// time. Strings that it returns share the memory of their window. The first
// failure sticks: from then on everything read is zero.
type cursor struct {
	r     io.ReaderAt
	size  int64 // of the file
	file  string
	swap  bool // numbers are big-endian
	width int  // bytes of a count or length: 4 in version 1, 8 since

	op     string // what is being read
	tensor string // which tensor it belongs to, "" for none
	err    error

	base  int64  // where the window starts in the file
	buf   []byte // the window
	chars string // the same bytes, which strings are cut from
	pos   int    // in the window
	grow  int64  // size of the next window
}

func newCursor(r io.ReaderAt, size int64, file string) *cursor {
	return &cursor{r: r, size: size, file: file, width: 8, grow: firstWindow}
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
	c.base, c.pos, c.buf, c.chars = c.at(), 0, nil, ""
}

// need makes the window hold the next n bytes, more than none, and reports
// whether it does.
func (c *cursor) need(n int64) bool {
	return int64(len(c.buf)-c.pos) >= n || c.advance(n)
}

// advance moves the window if the file has n more bytes.
func (c *cursor) advance(n int64) bool {
	if c.err != nil {
		return false
	}
	if n > c.left() {
		c.fail(c.at(), tensor.ErrCorrupt, "needs %d bytes, file has %d left; it may be cut short", n, c.left())
		return false
	}
	return c.fill(n)
}

// fill moves the window to the cursor and makes it at least n bytes long.
func (c *cursor) fill(n int64) bool {
	c.base, c.pos = c.at(), 0
	want := min(max(n, c.grow), c.size-c.base)
	c.grow = min(c.grow*2, lastWindow)
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
	c.chars = string(c.buf)
	return true
}

func (c *cursor) u8() uint8 {
	if !c.need(1) {
		return 0
	}
	c.pos++
	return c.buf[c.pos-1]
}

func (c *cursor) u16() uint16 {
	if !c.need(2) {
		return 0
	}
	v := le.Uint16(c.buf[c.pos:])
	c.pos += 2
	if c.swap {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (c *cursor) u32() uint32 {
	if !c.need(4) {
		return 0
	}
	v := le.Uint32(c.buf[c.pos:])
	c.pos += 4
	if c.swap {
		v = bits.ReverseBytes32(v)
	}
	return v
}

func (c *cursor) u64() uint64 {
	if !c.need(8) {
		return 0
	}
	v := le.Uint64(c.buf[c.pos:])
	c.pos += 8
	if c.swap {
		v = bits.ReverseBytes64(v)
	}
	return v
}

func (c *cursor) i8() int8     { return int8(c.u8()) }   //nolint:gosec // same bits
func (c *cursor) i16() int16   { return int16(c.u16()) } //nolint:gosec // same bits
func (c *cursor) i32() int32   { return int32(c.u32()) } //nolint:gosec // same bits
func (c *cursor) i64() int64   { return int64(c.u64()) } //nolint:gosec // same bits
func (c *cursor) f32() float32 { return math.Float32frombits(c.u32()) }
func (c *cursor) f64() float64 { return math.Float64frombits(c.u64()) }

// boolean reads a byte that is 0 or 1; the format calls every other value invalid.
func (c *cursor) boolean() bool {
	at := c.at()
	b := c.u8()
	if b > 1 {
		c.fail(at, tensor.ErrCorrupt, "bool is %d, want 0 or 1", b)
	}
	return b == 1
}

// length reads a count or length in the width of the file's version.
func (c *cursor) length() uint64 {
	if c.width == 4 {
		return uint64(c.u32())
	}
	return c.u64()
}

// count reads the number of what follows, each at least least bytes long.
func (c *cursor) count(what string, least int) int {
	at := c.at()
	n := c.length()
	if room := c.left() / int64(least); c.err == nil && n > uint64(room) { //nolint:gosec // left is not negative
		c.fail(at, tensor.ErrCorrupt, "claims %d %s of at least %d bytes each, file has %d bytes left", n, what, least, c.left())
		return 0
	}
	return int(n) //nolint:gosec // at most the size of the file
}

// text reads a length and as many bytes, at most limit.
func (c *cursor) text(what string, limit int) string {
	at := c.at()
	n := c.length()
	if n > uint64(limit) { //nolint:gosec // limits are constants
		c.fail(at, tensor.ErrTooLarge, "%s is %d bytes long, the limit is %d", what, n, limit)
		return ""
	}
	if n == 0 || !c.need(int64(n)) { //nolint:gosec // at most limit, or the window is empty
		return ""
	}
	s := c.chars[c.pos : c.pos+int(n)] //nolint:gosec // the window holds n bytes
	c.pos += int(n)                    //nolint:gosec // the window holds n bytes
	return s
}

func (c *cursor) str() string { return c.text("string", maxString) }
