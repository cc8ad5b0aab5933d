package tokenizer

import "cmp"

// A symbol is a piece of a word while its neighbours are being joined.
type symbol struct {
	start, end int   // in the text; empty when it has become part of another symbol
	prev, next int   // the neighbours, -1 where there is none
	piece      int32 // what the vocabulary calls it, -1 if it does not
}

// A candidate is a pair of neighbours that can be joined.
type candidate struct {
	rank        uint32
	piece       int32 // what they become
	left, right int
	size        int // of both when the pair was found
}

func (c *candidate) before(d *candidate) bool {
	return cmp.Or(cmp.Compare(c.rank, d.rank), cmp.Compare(c.left, d.left)) < 0
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

func (m *merger) reset() { m.symbols, m.queue = m.symbols[:0], m.queue[:0] }

// add appends a symbol.
func (m *merger) add(start, end int, piece int32) {
	n := len(m.symbols)
	if n > 0 {
		m.symbols[n-1].next = n
	}
	m.symbols = append(m.symbols, symbol{start, end, n - 1, -1, piece})
}

// merge leaves the result in the symbols that are reached from the first by next.
func (m *merger) merge(j joiner) {
	for i := 1; i < len(m.symbols); i++ {
		if c, ok := m.candidate(j, i-1, i); ok {
			m.queue = append(m.queue, c)
		}
	}
	for i := len(m.queue)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	for len(m.queue) > 0 {
		c := m.pop()
		left, right := &m.symbols[c.left], &m.symbols[c.right]
		if left.start == left.end || right.start == right.end || right.end-left.start != c.size {
			continue // one of them has been joined with another
		}
		left.end, left.piece, left.next = right.end, c.piece, right.next
		right.start = right.end
		if right.next >= 0 {
			m.symbols[right.next].prev = c.left
		}
		m.consider(j, left.prev, c.left)
		m.consider(j, c.left, left.next)
	}
}

func (m *merger) candidate(j joiner, left, right int) (candidate, bool) {
	a, b := &m.symbols[left], &m.symbols[right]
	rank, piece, ok := j.join(a, b)
	return candidate{rank, piece, left, right, b.end - a.start}, ok
}

// consider queues a pair if it can be joined.
func (m *merger) consider(j joiner, left, right int) {
	if left < 0 || right < 0 {
		return
	}
	c, ok := m.candidate(j, left, right)
	if !ok {
		return
	}
	m.queue = append(m.queue, c)
	for i := len(m.queue) - 1; i > 0; {
		parent := (i - 1) / 2
		if !m.queue[i].before(&m.queue[parent]) {
			break
		}
		m.queue[i], m.queue[parent] = m.queue[parent], m.queue[i]
		i = parent
	}
}

func (m *merger) pop() candidate {
	first, last := m.queue[0], len(m.queue)-1
	m.queue[0] = m.queue[last]
	m.queue = m.queue[:last]
	m.sink(0)
	return first
}

// sink restores the heap below i.
func (m *merger) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.queue); child++ {
			if m.queue[child].before(&m.queue[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		m.queue[i], m.queue[least] = m.queue[least], m.queue[i]
		i = least
	}
}
