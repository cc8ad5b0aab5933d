package pickle

import (
	"cmp"
	"fmt"

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
	lexer
	lim   Limits
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
	w := &auditor{lexer: newLexer(b, lim), lim: lim, out: &Audit{}, index: map[string]int{}}
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

// text returns the operand without its newline.
func (w *auditor) text(o op) []byte { return w.b[o.body : o.end-1] }

// overLimits reports everything that building the value would cost and that
// the walk itself did not have to stop for.
func (w *auditor) overLimits() error {
	for _, c := range []struct {
		what      string
		got, most int64
	}{
		{"lists, dicts, tuples and objects", w.containers, w.lim.Containers},
		{"bytes of memory", w.memory + w.largest + slotBytes*int64(w.stack.deepest), w.lim.memory(int64(w.pos))},
		{"bytes copied because values are used again", w.work, w.lim.Work},
	} {
		if c.got > c.most {
			return &tensor.Error{Op: "audit pickle", Err: fmt.Errorf("would take %d %s, the limit is %d: %w", c.got, c.what, c.most, tensor.ErrTooLarge)}
		}
	}
	return nil
}
