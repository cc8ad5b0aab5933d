package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A rankTable joins what together makes a key.
type rankTable struct {
	text  string
	ranks map[string]uint32
}

func (r rankTable) join(left, right *symbol) (rank uint32, piece int32, ok bool) {
	rank, ok = r.ranks[r.text[left.start:right.end]]
	return rank, int32(rank), ok
}

func (r rankTable) merged() []string {
	var m merger
	for i := range int32(len(r.text)) {
		m.add(i, i+1, -1)
	}
	m.merge(r)
	var pieces []string
	for s := range m.all {
		pieces = append(pieces, r.text[s.start:s.end])
	}
	return pieces
}

// naive looks at all pairs before each step.
func (r rankTable) naive() []string {
	var pieces []string
	for i := range len(r.text) {
		pieces = append(pieces, r.text[i:i+1])
	}
	for {
		best, at := uint32(0), -1
		for i := 1; i < len(pieces); i++ {
			if rank, ok := r.ranks[pieces[i-1]+pieces[i]]; ok && (at < 0 || rank < best) {
				best, at = rank, i
			}
		}
		if at < 0 {
			return pieces
		}
		pieces = slices.Replace(pieces, at-1, at+1, pieces[at-1]+pieces[at])
	}
}

func TestMergingIsThatOfTheDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		r := rankTable{randomText(random, random.IntN(40)), map[string]uint32{}}
		for range random.IntN(12) {
			r.ranks[randomText(random, 2+random.IntN(4))] = uint32(random.IntN(4)) // with ties
		}
		if got, want := r.merged(), r.naive(); !slices.Equal(got, want) {
			t.Fatalf("%q with %v: %q, want %q", r.text, r.ranks, got, want)
		}
	}
}

func randomText(random *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte('a' + byte(random.IntN(3)))
	}
	return b.String()
}

func TestMergersAreReused(t *testing.T) {
	r := rankTable{"abab", map[string]uint32{"ab": 0, "abab": 1}}
	var m merger
	for range 3 {
		m.reset(len(r.text))
		for i := range int32(len(r.text)) {
			m.add(i, i+1, -1)
		}
		m.merge(r)
		if s := m.symbols[0]; s.end != 4 || s.next != -1 {
			t.Fatalf("the first symbol is %+v, want all of %q", s, r.text)
		}
	}
}
