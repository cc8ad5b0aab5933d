package tokenizer

import "slices"

// A symbol is a piece of a word while its neighbours are being joined.
type symbol struct {
	start, end int32 // in the text; empty when it has become part of another symbol
	prev, next int32 // the neighbours, -1 where there is none
	piece      int32 // what the vocabulary calls it, -1 if it does not
}

// A candidate is a pair of neighbours that can be joined.
type candidate struct {
	key   uint64 // the rank, then the number of the left symbol: least first
	right int32
	size  int32 // of both when the pair was found
	piece int32 // what they become
}

// A joiner tells what two neighbouring symbols become; pairs of lower rank are
// joined first.
type joiner interface {
	join(left, right *symbol) (rank uint32, piece int32, ok bool)
}

// A merger joins the symbols of a word, always the pair of lowest rank and of
// those the leftmost, until no pair can be joined. Time is O(n log n) and memory
// O(n) in the number of symbols. The zero value is ready for use and for reuse.
type merger struct {
	symbols []symbol
	queue   []candidate // a binary heap
}

// reset makes room for n symbols.
func (m *merger) reset(n int) {
	m.symbols, m.queue = slices.Grow(m.symbols[:0], n), slices.Grow(m.queue[:0], n)
}

// add appends a symbol.
func (m *merger) add(start, end, piece int32) {
	n := int32(len(m.symbols)) //nolint:gosec // a symbol has at least one byte of maxRun
	if n > 0 {
		m.symbols[n-1].next = n
	}
	m.symbols = append(m.symbols, symbol{start, end, n - 1, -1, piece})
}

// all yields the symbols that are left.
func (m *merger) all(yield func(*symbol) bool) {
	for i := int32(0); i >= 0 && int(i) < len(m.symbols); i = m.symbols[i].next {
		if !yield(&m.symbols[i]) {
			return
		}
	}
}

// merge joins what can be joined.
func (m *merger) merge(j joiner) {
	for right := int32(1); int(right) < len(m.symbols); right++ {
		m.consider(j, right-1, right)
	}
	for i := len(m.queue)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	for len(m.queue) > 0 {
		c := m.pop()
		at := int32(c.key) //nolint:gosec // the lower half is the left symbol
		left, right := &m.symbols[at], &m.symbols[c.right]
		if left.start == left.end || right.start == right.end || right.end-left.start != c.size {
			continue // one of them has been joined with another
		}
		left.end, left.piece, left.next = right.end, c.piece, right.next
		right.start = right.end
		if left.prev >= 0 && m.consider(j, left.prev, at) {
			m.rise()
		}
		if left.next >= 0 {
			m.symbols[left.next].prev = at
			if m.consider(j, at, left.next) {
				m.rise()
			}
		}
	}
}

// consider appends a pair to the queue if it can be joined.
func (m *merger) consider(j joiner, left, right int32) bool {
	a, b := &m.symbols[left], &m.symbols[right]
	rank, piece, ok := j.join(a, b)
	if ok {
		m.queue = append(m.queue, candidate{uint64(rank)<<32 | uint64(left), right, b.end - a.start, piece}) //nolint:gosec // not negative
	}
	return ok
}

func (m *merger) pop() candidate {
	first, last := m.queue[0], len(m.queue)-1
	m.queue[0] = m.queue[last]
	m.queue = m.queue[:last]
	if last > 0 {
		m.sink(0)
	}
	return first
}

// rise restores the heap above its last element.
func (m *merger) rise() {
	i := len(m.queue) - 1
	c := m.queue[i]
	for i > 0 {
		parent := (i - 1) / 2
		if m.queue[parent].key <= c.key {
			break
		}
		m.queue[i], i = m.queue[parent], parent
	}
	m.queue[i] = c
}

// sink restores the heap below i.
func (m *merger) sink(i int) {
	c := m.queue[i]
	for {
		child := 2*i + 1
		if child+1 < len(m.queue) && m.queue[child+1].key < m.queue[child].key {
			child++
		}
		if child >= len(m.queue) || c.key <= m.queue[child].key {
			break
		}
		m.queue[i], i = m.queue[child], child
	}
	m.queue[i] = c
}
