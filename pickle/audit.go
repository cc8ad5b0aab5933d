package pickle

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// An Audit is what one pickle would do, found without doing it.
type Audit struct {
	Size     int64    // bytes up to and including STOP; of a refused pickle: up to the refused instruction
	Protocol int      // as the pickle declares it; 0 if it declares none
	Opcodes  int      // instructions
	Globals  []Global // in order of first appearance; those of pickles inside byte strings follow
	// Err says why the pickle must not be built; nil if it may be. What came
	// before the place of the error is reported all the same.
	Err error

	payloads []nested // byte strings that a call would unpickle
}

// audit walks the pickle at the start of b. It reads b only; the time it takes
// is linear in the size of the pickle.
func audit(b []byte, lim Limits) *Audit {
	lim = lim.withDefaults()
	return auditAt(b, lim, newNest(lim))
}

// An entry is a global while the walk goes on.
type entry struct {
	Global
	use   use
	trait trait
}

// An auditor is the state of an audit.
type auditor struct {
	b     []byte
	lim   Limits
	table *[256]opcode
	pos   int
	frame int // where the open frame ends; 0 if none is open

	stack   stack
	memo    memo
	entries []entry
	index   map[string]int
	key     []byte // scratch for index
	given   map[payload]bool

	out     *Audit
	stopped bool
	framing error // the first instruction that does not keep to its frame

	items      int64 // put into containers
	containers int64
	memory     int64
	largest    int64 // bytes of the largest frame
	work       int64
}

// An op is one instruction in its place.
type op struct {
	code  byte
	start int
	body  int // where the operand starts, behind a length field
	end   int
}

func auditAt(b []byte, lim Limits, n nest) *Audit {
	w := newAuditor(b, lim)
	err := w.run()
	a := w.out
	a.Size = int64(w.pos)
	a.Err = err
	if err == nil {
		a.Err = w.overLimits()
	}
	a.Globals = w.globals()
	for i := range a.payloads {
		w.nested(&a.payloads[i], n)
	}
	return a
}

func newAuditor(b []byte, lim Limits) *auditor {
	w := &auditor{b: b, lim: lim, table: &opcodes, out: &Audit{}, index: map[string]int{}}
	if int64(len(b)) > lim.Pickle {
		w.b = b[:lim.Pickle]
	}
	w.stack = stack{maxVals: lim.Stack, maxMarks: lim.Marks}
	w.memo = memo{max: min(lim.Memo, 1<<20+len(b)/2)}
	return w
}

// run follows the pickle up to STOP or the first thing that is wrong.
func (w *auditor) run() error {
	for !w.stopped {
		o, err := w.next()
		if err == nil {
			err = w.table[o.code].run(w, o)
		}
		if err != nil {
			w.pos = o.start
			return cmp.Or(w.framing, w.at(o, err))
		}
	}
	if w.frame > w.pos {
		w.misframed(op{code: '.', start: w.pos - 1}, fmt.Errorf("comes %d bytes before the end of its frame: %w", w.frame-w.pos, tensor.ErrCorrupt))
	}
	return w.framing
}

// misframed records that an instruction does not keep to its frame. The walk
// goes on, because CPython's unpickler in C does not notice and would run what
// follows.
func (w *auditor) misframed(o op, err error) {
	w.frame = 0
	if w.framing == nil {
		w.framing = w.at(o, err)
	}
}

// at gives err the place and the name of an instruction.
func (w *auditor) at(o op, err error) error {
	if name := w.table[o.code].name; name != "" {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return &tensor.Error{Op: "audit pickle", Offset: int64(o.start), Err: err}
}

// next reads one instruction and leaves pos behind it. On an error, start is
// where the instruction begins.
func (w *auditor) next() (op, error) {
	o := op{start: w.pos}
	if w.frame == w.pos {
		w.frame = 0
	}
	if w.pos >= len(w.b) {
		return o, fmt.Errorf("%d bytes without STOP: %w", len(w.b), w.short())
	}
	o.code = w.b[w.pos]
	row := &w.table[o.code]
	if row.run == nil {
		return o, fmt.Errorf("byte 0x%02x is no instruction: %w", o.code, tensor.ErrCorrupt)
	}
	w.out.Opcodes++
	if int64(w.out.Opcodes) > w.lim.Opcodes {
		return o, fmt.Errorf("more than %d instructions: %w", w.lim.Opcodes, tensor.ErrTooLarge)
	}
	var err error
	if o.body, o.end, err = w.operand(w.pos, row.arg); err != nil {
		return o, err
	}
	if w.frame != 0 && o.end > w.frame {
		w.misframed(o, fmt.Errorf("ends at byte 0x%x, its frame at 0x%x: %w", o.end, w.frame, tensor.ErrCorrupt))
	}
	w.memory += int64(row.keeps) + int64(o.end-o.body)
	w.pos = o.end
	return o, nil
}

// errShort is the class of pickles that want more bytes than there are.
var errShort = fmt.Errorf("%w (%w)", tensor.ErrCorrupt, io.ErrUnexpectedEOF)

// short returns why there are no more bytes.
func (w *auditor) short() error {
	if int64(len(w.b)) == w.lim.Pickle {
		return tensor.ErrTooLarge
	}
	return errShort
}

// operand finds where the operand of the instruction at start lies.
func (w *auditor) operand(start int, arg operand) (body, end int, err error) {
	body = start + 1
	n := prefix[arg]
	if n > len(w.b)-body {
		return body, body, fmt.Errorf("takes %d bytes, %d remain: %w", n, len(w.b)-body, w.short())
	}
	end = body + n
	switch arg {
	case count1, count4, signed4, count8:
		return w.counted(body, end, arg)
	case line:
		end, err = w.line(end)
	case lines2:
		if end, err = w.line(end); err == nil {
			end, err = w.line(end)
		}
	}
	return body, end, err
}

// counted finds the bytes behind the length field from body to end.
func (w *auditor) counted(body, end int, arg operand) (int, int, error) {
	var n uint64
	for i := end - 1; i >= body; i-- {
		n = n<<8 | uint64(w.b[i])
	}
	if arg == signed4 && n > math.MaxInt32 {
		return body, end, fmt.Errorf("length %d is negative: %w", int64(n)-1<<32, tensor.ErrCorrupt)
	}
	if n > uint64(len(w.b)-end) { //nolint:gosec // end is within b
		return body, end, fmt.Errorf("length %d, %d bytes remain: %w", n, len(w.b)-end, w.short())
	}
	return end, end + int(n), nil
}

// line returns where the text from start ends, behind its newline.
func (w *auditor) line(start int) (int, error) {
	rest := w.b[start:]
	if len(rest) > w.lim.Line {
		rest = rest[:w.lim.Line]
	}
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		return start + i + 1, nil
	}
	if len(rest) == w.lim.Line {
		return start, fmt.Errorf("text of %d bytes or more without a newline: %w", w.lim.Line, tensor.ErrTooLarge)
	}
	return start, fmt.Errorf("text without a newline: %w", w.short())
}

// text returns the operand without its newline.
func (w *auditor) text(o op) []byte { return w.b[o.body : o.end-1] }

// overLimits reports everything that building the value would cost and that
// the walk itself did not have to stop for.
func (w *auditor) overLimits() error {
	memory := or(w.lim.Memory, baseMemory+int64(len(w.b)))
	for _, c := range []struct {
		what      string
		got, most int64
	}{
		{"lists, dicts, tuples and objects", w.containers, w.lim.Containers},
		{"bytes of memory", w.memory + w.largest, memory},
		{"bytes copied because values are used again", w.work, w.lim.Work},
	} {
		if c.got > c.most {
			return &tensor.Error{Op: "audit pickle", Err: fmt.Errorf("would take %d %s, the limit is %d: %w", c.got, c.what, c.most, tensor.ErrTooLarge)}
		}
	}
	return nil
}

// operandEnd returns where the instruction at i of an audited pickle ends.
func operandEnd(b []byte, i int) int {
	w := auditor{b: b, lim: Limits{Line: len(b)}}
	_, end, err := w.operand(i, opcodes[b[i]].arg)
	if err != nil {
		return len(b) + 1
	}
	return end
}
