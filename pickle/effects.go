package pickle

import (
	"encoding/binary"
	"fmt"

	"github.com/smelt-project/smelt/tensor"
)

// push makes a value of an instruction.
func (w *auditor) push(k kind, o op) error { return w.stack.push(mk(k, o.start)) }

func pushOther(w *auditor, o op) error { return w.push(kOther, o) }
func pushStr(w *auditor, o op) error   { return w.push(kStr, o) }
func pushBytes(w *auditor, o op) error { return w.push(kBytes, o) }

func (w *auditor) container(k kind, o op, items int) error {
	w.containers++
	w.items += int64(items)
	return w.push(k, o)
}

func pushList(w *auditor, o op) error  { return w.container(kList, o, 0) }
func pushDict(w *auditor, o op) error  { return w.container(kDict, o, 0) }
func pushSet(w *auditor, o op) error   { return w.container(kSet, o, 0) }
func pushTuple(w *auditor, o op) error { return w.container(kTuple, o, 0) }

func runMark(w *auditor, _ op) error { return w.stack.mark() }

func runStop(w *auditor, _ op) error {
	_, err := w.stack.pop(1)
	w.stopped = true
	return err
}

// runPop discards a value, or a mark that nothing follows.
func runPop(w *auditor, _ op) error {
	if len(w.stack.marks) > 0 && len(w.stack.vals) == w.stack.fence() {
		_, err := w.stack.popMark()
		return err
	}
	_, err := w.stack.pop(1)
	return err
}

func runPopMark(w *auditor, _ op) error {
	_, err := w.stack.popMark()
	return err
}

func runDup(w *auditor, _ op) error {
	v, err := w.stack.top()
	if err != nil {
		return err
	}
	return w.stack.push(again(v))
}

// again is what a value becomes by being used a second time.
func again(v val) val {
	switch v.kind() {
	case kList, kDict, kSet, kTuple, kStrs:
		return mk(kShared, v.at())
	}
	return v
}

func runList(w *auditor, o op) error {
	items, err := w.stack.popMark()
	if err != nil {
		return err
	}
	return w.container(kList, o, len(items))
}

func runDict(w *auditor, o op) error {
	items, err := w.stack.popMark()
	if err != nil {
		return err
	}
	if err := w.pairs(items); err != nil {
		return err
	}
	return w.container(kDict, o, 0)
}

func runFrozenSet(w *auditor, o op) error {
	items, err := w.stack.popMark()
	if err != nil {
		return err
	}
	w.hashed(items)
	return w.container(kSet, o, len(items))
}

func runTuple(w *auditor, o op) error {
	items, err := w.stack.popMark()
	if err != nil {
		return err
	}
	return w.tuple(o, items)
}

func runTuple1(w *auditor, o op) error { return w.tupleOf(o, 1) }
func runTuple2(w *auditor, o op) error { return w.tupleOf(o, 2) }
func runTuple3(w *auditor, o op) error { return w.tupleOf(o, 3) }

func (w *auditor) tupleOf(o op, n int) error {
	items, err := w.stack.pop(n)
	if err != nil {
		return err
	}
	return w.tuple(o, items)
}

// tuple makes a tuple and keeps of its items what a call could need.
func (w *auditor) tuple(o op, items []val) error {
	k, at := kTuple, o.start
	if len(items) > 0 {
		first := items[0]
		switch one := len(items) == 1; {
		case w.isModule(items):
			k, at = kModule, items[1].at()
		case first.kind() == kStr:
			k, at = kStrs, first.at()
		case first.kind() == kBytes && one:
			k, at = kBytes1, first.at()
		case first.kind() == kEncoded && one:
			k, at = kEncoded1, first.at()
		}
	}
	for _, v := range items {
		if v.kind() == kShared {
			k, at = kShared, o.start
			break
		}
	}
	w.containers++
	w.items += int64(len(items))
	return w.stack.push(mk(k, at))
}

// isModule recognises what PyTorch before 1.6 writes for a class whose source
// it stores, ("module", class, file, source) (torch/serialization.py).
func (w *auditor) isModule(items []val) bool {
	if len(items) < 2 || items[1].kind() != kGlobal {
		return false
	}
	tag, _ := w.str(items[0])
	return string(tag) == "module"
}

func runAppend(w *auditor, _ op) error {
	items, err := w.stack.pop(1)
	if err != nil {
		return err
	}
	return w.fill(items)
}

func runAppends(w *auditor, _ op) error {
	items, err := w.stack.popMark()
	if err != nil {
		return err
	}
	return w.fill(items)
}

// fill puts items into the value on top of the stack.
func (w *auditor) fill(items []val) error {
	v, err := w.stack.top()
	if err != nil {
		return err
	}
	w.items += int64(len(items))
	w.changed(v)
	return nil
}

func runSetItem(w *auditor, _ op) error {
	items, err := w.stack.pop(2)
	if err != nil {
		return err
	}
	return w.setItems(items)
}

func runSetItems(w *auditor, _ op) error {
	items, err := w.stack.popMark()
	if err != nil {
		return err
	}
	return w.setItems(items)
}

func (w *auditor) setItems(items []val) error {
	v, err := w.stack.top()
	if err != nil {
		return err
	}
	w.changed(v)
	return w.pairs(items)
}

// pairs accounts for keys and values that enter a dict.
func (w *auditor) pairs(items []val) error {
	if len(items)%2 != 0 {
		return fmt.Errorf("%d keys and values are not pairs: %w", len(items), tensor.ErrCorrupt)
	}
	w.items += int64(len(items))
	w.memory += int64(len(items)) / 2 * entryBytes
	for i := 0; i < len(items); i += 2 {
		w.longKey(items[i])
	}
	return nil
}

// longKey charges the hashing of a long key, which a memo entry can repeat.
func (w *auditor) longKey(key val) {
	if key.kind() != kStr && key.kind() != kBytes {
		return
	}
	if n := w.operandSize(key.at()); n > 256 {
		w.work += int64(n)
	}
}

func runAddItems(w *auditor, _ op) error {
	items, err := w.stack.popMark()
	if err != nil {
		return err
	}
	w.hashed(items)
	return w.fill(items)
}

// hashed accounts for items that enter a set.
func (w *auditor) hashed(items []val) {
	w.memory += int64(len(items)) * entryBytes
	for _, v := range items {
		w.longKey(v)
	}
}

func runProto(w *auditor, o op) error {
	p := int(w.b[o.body])
	if o.start != 0 {
		return fmt.Errorf("protocol declared at byte 0x%x, not at the start: %w", o.start, tensor.ErrCorrupt)
	}
	if p > 5 {
		return fmt.Errorf("protocol %d, the newest is 5: %w", p, tensor.ErrUnsupported)
	}
	w.out.Protocol = p
	return nil
}

func runFrame(w *auditor, o op) error {
	n := binary.LittleEndian.Uint64(w.b[o.body:o.end])
	if w.frame != 0 && w.frame != o.end {
		w.misframed(o, fmt.Errorf("frame inside a frame that ends at byte 0x%x: %w", w.frame, tensor.ErrCorrupt))
	}
	if n > uint64(len(w.b)-o.end) { //nolint:gosec // end is within b
		return fmt.Errorf("frame of %d bytes, %d remain: %w", n, len(w.b)-o.end, w.short())
	}
	w.frame = o.end + int(n)             //nolint:gosec // n ≤ len(b)
	w.largest = max(w.largest, int64(n)) //nolint:gosec // n ≤ len(b)
	if n == 0 {
		w.frame = 0
	}
	return nil
}

func runReadOnly(w *auditor, _ op) error {
	_, err := w.stack.top()
	return err
}

func runPersistent(w *auditor, _ op) error {
	id, err := w.stack.pop(1)
	if err != nil {
		return err
	}
	if id[0].kind() == kModule {
		return w.stack.push(mk(kGlobal, id[0].at()))
	}
	w.containers++
	return w.stack.push(mk(kObject, noEntry))
}
