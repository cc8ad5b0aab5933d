package pickle

import (
	"encoding/binary"
	"fmt"

	"github.com/smelt-project/smelt/tensor"
)

// memoPage is how many memo entries are allocated at a time.
const memoPage = 1 << 12

// memoSlack is how far an entry's id may lie beyond four times the number of
// entries. Picklers count up from 0; CPython allocates up to the largest id.
const memoSlack = 1 << 16

// A memo is the machine's memo.
type memo struct {
	pages []*[memoPage]val
	n     int // entries that are set
	max   int
}

func (m *memo) put(id int, v val) error {
	if id > 4*m.n+memoSlack {
		return fmt.Errorf("memo entry %d after %d entries: %w", id, m.n, tensor.ErrTooLarge)
	}
	for id/memoPage >= len(m.pages) {
		m.pages = append(m.pages, new([memoPage]val))
	}
	slot := &m.pages[id/memoPage][id%memoPage]
	if *slot == 0 {
		if m.n >= m.max {
			return fmt.Errorf("more than %d memo entries: %w", m.max, tensor.ErrTooLarge)
		}
		m.n++
	}
	*slot = v
	return nil
}

func (m *memo) get(id int) (val, error) {
	if id/memoPage < len(m.pages) {
		if v := m.pages[id/memoPage][id%memoPage]; v != 0 {
			return v, nil
		}
	}
	return 0, fmt.Errorf("memo entry %d was never stored: %w", id, tensor.ErrCorrupt)
}

// id returns the memo entry that o names.
func (w *auditor) id(o op) (int, error) {
	if w.table[o.code].arg != line {
		var field [8]byte
		copy(field[:], w.b[o.body:o.end])
		return int(binary.LittleEndian.Uint64(field[:])), nil //nolint:gosec // at most 4 bytes
	}
	s := w.text(o)
	if err := decimal(s, 10); err != nil {
		return 0, err
	}
	if s[0] == '-' || s[0] == '+' {
		return 0, fmt.Errorf("memo entry %q: %w", s, tensor.ErrCorrupt)
	}
	n := 0
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n, nil
}

func runPut(w *auditor, o op) error {
	id, err := w.id(o)
	if err != nil {
		return err
	}
	v, err := w.stack.top()
	if err != nil {
		return err
	}
	return w.memo.put(id, v)
}

func runMemoize(w *auditor, _ op) error {
	v, err := w.stack.top()
	if err != nil {
		return err
	}
	return w.memo.put(w.memo.n, v)
}

func runGet(w *auditor, o op) error {
	id, err := w.id(o)
	if err != nil {
		return err
	}
	v, err := w.memo.get(id)
	if err != nil {
		return err
	}
	return w.stack.push(again(v))
}
