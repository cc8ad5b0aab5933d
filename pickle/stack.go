package pickle

import (
	"fmt"

	"github.com/smelt-project/smelt/tensor"
)

// A kind is what the audit knows about a value.
type kind uint8

const (
	kUnset   kind = iota // no memo entry
	kOther               // a scalar, or something that only Python knows
	kStr                 // from the instruction at its offset
	kBytes               // from the instruction at its offset; also a bytearray
	kEncoded             // the string at its offset, as Latin-1 bytes
	kList
	kDict
	kSet
	kTuple
	kStrs     // a tuple that starts with the string at its offset
	kBytes1   // a tuple of the bytes at its offset
	kEncoded1 // a tuple of the string at its offset as Latin-1 bytes
	kShared   // a list, dict, set or tuple that is used again, or a tuple that holds one
	kGlobal   // at is an index of auditor.entries
	kModule   // a tuple ("module", class, …), PyTorch's persistent id of a class: at is the index of the class
	kObject   // made by calling the global at that index, or noEntry
	noEntry   = 1<<28 - 1
)

// A val is one simulated value: its kind in the upper 4 bits and, below, where
// in the pickle it comes from or which global it belongs to. The audit holds
// one for every stack slot and memo entry, so it is kept small.
type val uint32

func mk(k kind, at int) val { return val(uint32(k)<<28 | uint32(at)) } //nolint:gosec // at < maxPickle = 1<<28

func (v val) kind() kind { return kind(v >> 28) }
func (v val) at() int    { return int(v & noEntry) }

// A stack is the machine's stack. A mark is a fence: what lies below it cannot
// be reached until the mark is popped.
type stack struct {
	vals     []val
	marks    []int32
	deepest  int // the most values there were
	maxVals  int
	maxMarks int
}

func (s *stack) fence() int {
	if len(s.marks) == 0 {
		return 0
	}
	return int(s.marks[len(s.marks)-1])
}

func (s *stack) push(v val) error {
	if len(s.vals) >= s.maxVals {
		return fmt.Errorf("the stack would hold more than %d values: %w", s.maxVals, tensor.ErrTooLarge)
	}
	s.vals = append(s.vals, v)
	s.deepest = max(s.deepest, len(s.vals))
	return nil
}

func (s *stack) mark() error {
	if len(s.marks) >= s.maxMarks {
		return fmt.Errorf("more than %d marks are open: %w", s.maxMarks, tensor.ErrTooLarge)
	}
	s.marks = append(s.marks, int32(len(s.vals))) //nolint:gosec // maxVals is far below 1<<31
	return nil
}

// pop takes n values above the mark. The slice is valid until the next push.
func (s *stack) pop(n int) ([]val, error) {
	if have := len(s.vals) - s.fence(); have < n {
		return nil, fmt.Errorf("takes %d values, the stack has %d above the mark: %w", n, have, tensor.ErrCorrupt)
	}
	top := s.vals[len(s.vals)-n:]
	s.vals = s.vals[:len(s.vals)-n]
	return top, nil
}

// top returns the last value without taking it.
func (s *stack) top() (val, error) {
	if len(s.vals) == s.fence() {
		return 0, fmt.Errorf("needs a value, the stack has none above the mark: %w", tensor.ErrCorrupt)
	}
	return s.vals[len(s.vals)-1], nil
}

// popMark takes the last mark and all values above it. The slice is valid until
// the next push.
func (s *stack) popMark() ([]val, error) {
	if len(s.marks) == 0 {
		return nil, fmt.Errorf("no mark is open: %w", tensor.ErrCorrupt)
	}
	f := s.fence()
	items := s.vals[f:]
	s.vals, s.marks = s.vals[:f], s.marks[:len(s.marks)-1]
	return items, nil
}
