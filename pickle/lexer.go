package pickle

import (
	"bytes"
	"fmt"
	"io"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A lexer finds the operands of instructions.
type lexer struct {
	b       []byte
	table   *[256]opcode
	maxLine int
	cut     bool // b is as long as a pickle may be, and perhaps cut off
}

func newLexer(b []byte, lim Limits) lexer {
	l := lexer{b: b, table: &opcodes, maxLine: lim.Line}
	if int64(len(b)) >= lim.Pickle {
		l.b, l.cut = b[:lim.Pickle], true
	}
	return l
}

// operandEnd returns where the instruction at i of an audited pickle ends.
func operandEnd(b []byte, i int) int {
	l := lexer{b: b, maxLine: len(b) + 1}
	_, end, err := l.operand(i, opcodes[b[i]].arg)
	if err != nil {
		return len(b) + 1
	}
	return end
}

// errShort is the class of pickles that want more bytes than there are.
var errShort = fmt.Errorf("%w (%w)", tensor.ErrCorrupt, io.ErrUnexpectedEOF)

// short returns why there are no more bytes.
func (l *lexer) short() error {
	if l.cut {
		return tensor.ErrTooLarge
	}
	return errShort
}

// operand finds where the operand of the instruction at start lies.
func (l *lexer) operand(start int, arg operand) (body, end int, err error) {
	body = start + 1
	n := prefix[arg]
	if n > len(l.b)-body {
		return body, body, fmt.Errorf("takes %d bytes, %d remain: %w", n, len(l.b)-body, l.short())
	}
	end = body + n
	switch arg {
	case count1, count4, signed4, count8:
		return l.counted(body, end, arg)
	case line:
		end, err = l.line(end)
	case lines2:
		if end, err = l.line(end); err == nil {
			end, err = l.line(end)
		}
	}
	return body, end, err
}

// counted finds the bytes behind the length field from body to end.
func (l *lexer) counted(body, end int, arg operand) (int, int, error) {
	var n uint64
	for i := end - 1; i >= body; i-- {
		n = n<<8 | uint64(l.b[i])
	}
	if arg == signed4 && n > math.MaxInt32 {
		return body, end, fmt.Errorf("length %d is negative: %w", int64(n)-1<<32, tensor.ErrCorrupt)
	}
	if n > uint64(len(l.b)-end) { //nolint:gosec // end is within b
		return body, end, fmt.Errorf("length %d, %d bytes remain: %w", n, len(l.b)-end, l.short())
	}
	return end, end + int(n), nil
}

// line returns where the text from start ends, behind its newline.
func (l *lexer) line(start int) (int, error) {
	rest := l.b[start:]
	if len(rest) > l.maxLine {
		rest = rest[:l.maxLine]
	}
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		return start + i + 1, nil
	}
	if len(rest) == l.maxLine {
		return start, fmt.Errorf("text of %d bytes or more without a newline: %w", l.maxLine, tensor.ErrTooLarge)
	}
	return start, fmt.Errorf("text without a newline: %w", l.short())
}
