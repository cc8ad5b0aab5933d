package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/smelt-project/smelt/tensor"
)

// use is what a pickle does with a global.
type use uint8

const (
	called  use = 1 << iota // REDUCE, INST, OBJ
	built                   // NEWOBJ, NEWOBJ_EX
	stated                  // BUILD of an object that it made
	changed                 // BUILD or items given to the global itself
)

// uses is the table of their names.
var uses = []struct {
	bit  use
	name string
}{{called, "called"}, {built, "built"}, {stated, "state set"}, {changed, "changed"}}

// String lists what was done, "referenced" if nothing was.
func (u use) String() string {
	var s []string
	for _, x := range uses {
		if u&x.bit != 0 {
			s = append(s, x.name)
		}
	}
	if s == nil {
		return "referenced"
	}
	return strings.Join(s, ", ")
}

// intern counts one appearance of a global and returns its index.
func (w *auditor) intern(o op, module, name []byte) (int, error) {
	w.key = binary.LittleEndian.AppendUint32(w.key[:0], uint32(len(module))) //nolint:gosec // a line or a string of b
	w.key = append(append(w.key, module...), name...)
	if i, ok := w.index[string(w.key)]; ok {
		w.entries[i].Count++
		return i, nil
	}
	return w.add(o, string(w.key), Global{Module: string(module), Name: string(name)})
}

// dynamic counts one appearance of a global whose name is not in the pickle.
func (w *auditor) dynamic(o op, module, name string) (int, error) {
	key := "\xff" + module + "\xff" + name // no length is this large
	if i, ok := w.index[key]; ok {
		w.entries[i].Count++
		return i, nil
	}
	return w.add(o, key, Global{Module: module, Name: name, Kind: Dynamic, Why: "which object this is depends on what runs before"})
}

func (w *auditor) add(o op, key string, g Global) (int, error) {
	if len(w.entries) >= w.lim.Globals {
		return 0, fmt.Errorf("more than %d different globals: %w", w.lim.Globals, tensor.ErrTooLarge)
	}
	g.Offset, g.Opcode, g.Count = int64(o.start), w.table[o.code].name, 1
	e := entry{Global: g}
	if g.Kind == "" {
		e.Kind, e.Why = classify(g.Module, g.Name)
		e.trait = traitOf(g.Module, g.Name)
	}
	w.index[key] = len(w.entries)
	w.entries = append(w.entries, e)
	return len(w.entries) - 1, nil
}

// globals returns the entries as they are reported.
func (w *auditor) globals() []Global {
	out := make([]Global, len(w.entries))
	for i, e := range w.entries {
		e.Use = e.use.String()
		e.Kind, e.Why = weigh(e.Global, e.use)
		out[i] = e.Global
	}
	return out
}

// names returns the two lines of a GLOBAL or INST.
func (w *auditor) names(o op) (module, name []byte, err error) {
	module, name, _ = bytes.Cut(w.text(o), []byte("\n"))
	for _, s := range [][]byte{module, name} {
		if err := identifier(s); err != nil {
			return nil, nil, err
		}
	}
	return module, name, nil
}

// identifier accepts what can be a module's or a global's name at all.
func identifier(s []byte) error {
	if len(s) == 0 {
		return fmt.Errorf("a global without a name: %w", tensor.ErrCorrupt)
	}
	if !utf8.Valid(s) {
		return fmt.Errorf("name %.40q is not UTF-8: %w", s, tensor.ErrCorrupt)
	}
	return nil
}

func (w *auditor) pushGlobal(i int, err error) error {
	if err != nil {
		return err
	}
	return w.stack.push(mk(kGlobal, i))
}

func runGlobal(w *auditor, o op) error {
	module, name, err := w.names(o)
	if err != nil {
		return err
	}
	return w.pushGlobal(w.intern(o, module, name))
}

func runStackGlobal(w *auditor, o op) error {
	args, err := w.stack.pop(2)
	if err != nil {
		return err
	}
	module, okM := w.str(args[0])
	name, okN := w.str(args[1])
	if !okM || !okN {
		return w.pushGlobal(w.dynamic(o, orComputed(module), orComputed(name)))
	}
	if err := errors.Join(identifier(module), identifier(name)); err != nil {
		return err
	}
	return w.pushGlobal(w.intern(o, module, name))
}

// computed stands for a part of a name that the pickle does not hold.
const computed = "(computed)"

func orComputed(s []byte) string {
	if s == nil {
		return computed
	}
	return string(s)
}

func runExtension(w *auditor, o op) error {
	var field [8]byte
	copy(field[:], w.b[o.body:o.end])
	code := binary.LittleEndian.Uint64(field[:])
	return w.pushGlobal(w.dynamic(o, "copyreg", "extension "+strconv.FormatUint(code, 10)))
}

// call records that v is called or built and returns its entry.
func (w *auditor) call(o op, v val, how use) (int, error) {
	if v.kind() == kGlobal {
		w.entries[v.at()].use |= how
		return v.at(), nil
	}
	what := "a value that is no global"
	if v.kind() == kObject && v.at() != noEntry {
		e := &w.entries[v.at()]
		what = "what " + e.Module + "." + e.Name + " returned"
	}
	i, err := w.dynamic(o, computed, what)
	if err == nil {
		w.entries[i].use |= how
	}
	return i, err
}

// object pushes the result of calling entry i.
func (w *auditor) object(i int, err error) error {
	if err != nil {
		return err
	}
	w.containers++
	return w.stack.push(mk(kObject, i))
}

func runReduce(w *auditor, o op) error {
	args, err := w.stack.pop(2)
	if err != nil {
		return err
	}
	fn, arg := args[0], args[1]
	i, err := w.call(o, fn, called)
	if err != nil {
		return err
	}
	w.payload(arg, i)
	t := w.entries[i].trait
	if t&copies != 0 && arg.kind() == kShared {
		w.work += w.items * slotBytes
	}
	if t&encodes != 0 && arg.kind() == kStrs {
		w.containers++
		return w.stack.push(mk(kEncoded, arg.at()))
	}
	return w.object(i, nil)
}

// payload notes a byte string that a call gets as its only argument.
func (w *auditor) payload(arg val, i int) {
	k := arg.kind()
	if k != kBytes1 && k != kEncoded1 {
		return
	}
	p := payload{entry: i, at: arg.at(), latin1: k == kEncoded1, loads: w.entries[i].trait&loads != 0}
	if w.given[p] {
		return
	}
	if o := w.relex(p.at); p.loads || bytes.HasPrefix(w.b[o.body:o.end], protoByte[p.latin1]) {
		w.out.payloads = append(w.out.payloads, nested{payload: p})
		if w.given == nil {
			w.given = map[payload]bool{}
		}
		w.given[p] = true
	}
}

func runInst(w *auditor, o op) error {
	module, name, err := w.names(o)
	if err != nil {
		return err
	}
	items, err := w.stack.popMark()
	if err != nil {
		return err
	}
	w.items += int64(len(items))
	i, err := w.intern(o, module, name)
	if err == nil {
		w.entries[i].use |= called
	}
	return w.object(i, err)
}

func runObj(w *auditor, o op) error {
	items, err := w.stack.popMark()
	if err != nil {
		return err
	}
	if len(items) == 0 {
		return fmt.Errorf("no class after the mark: %w", tensor.ErrCorrupt)
	}
	w.items += int64(len(items))
	return w.object(w.call(o, items[0], called))
}

func runNewObj(w *auditor, o op) error {
	args, err := w.stack.pop(2)
	if err != nil {
		return err
	}
	w.reuse(args[1])
	return w.object(w.call(o, args[0], built))
}

func runNewObjEx(w *auditor, o op) error {
	args, err := w.stack.pop(3)
	if err != nil {
		return err
	}
	w.reuse(args[1])
	return w.object(w.call(o, args[0], built))
}

// reuse charges the copy of a value that may be large and is used again: it can
// hold as many items as the pickle has made so far.
func (w *auditor) reuse(v val) {
	if v.kind() == kShared {
		w.work += w.items * slotBytes
	}
}

func runBuild(w *auditor, _ op) error {
	state, err := w.stack.pop(1)
	if err != nil {
		return err
	}
	w.reuse(state[0])
	v, err := w.stack.top()
	if err != nil {
		return err
	}
	w.changed(v)
	if v.kind() == kObject && v.at() != noEntry {
		w.entries[v.at()].use |= stated
	}
	return nil
}

// changed records that a global itself is given items or attributes.
func (w *auditor) changed(v val) {
	if v.kind() == kGlobal {
		w.entries[v.at()].use |= changed
	}
}

// relex returns the instruction at an offset that the walk has passed.
func (w *auditor) relex(at int) op {
	o := op{code: w.b[at], start: at}
	var err error
	if o.body, o.end, err = w.operand(at, w.table[o.code].arg); err != nil {
		panic("pickle: an instruction that was read cannot be read again: " + err.Error())
	}
	return o
}

// operandSize returns the bytes of the string that the instruction at an offset makes.
func (w *auditor) operandSize(at int) int {
	o := w.relex(at)
	return o.end - o.body
}

// str returns the text of v if v is a string that the pickle holds.
func (w *auditor) str(v val) ([]byte, bool) {
	if v.kind() != kStr {
		return nil, false
	}
	o := w.relex(v.at())
	decode, ok := unescapers[o.code]
	if !ok {
		return w.b[o.body:o.end], true
	}
	s, err := decode(w.text(o))
	return s, err == nil
}

// unescapers decode the text of the instructions that have escapes.
var unescapers = map[byte]func([]byte) ([]byte, error){opString: unescapeString, opUnicode: unescapeUnicode}
