package tokenizer

import (
	"cmp"
	"slices"
	"sort"
)

// A matcher finds the tokens that are taken out of a text before it is divided:
// of those that begin first in it, the longest.
type matcher struct {
	tokens []matched // in the order of their texts
	first  [256]bool // the bytes that one begins with
}

type matched struct {
	text string
	id   int32
}

// newMatcher returns a matcher of the tokens whose type is one of wanted.
func newMatcher(tokens []string, types []TokenType, wanted ...TokenType) *matcher {
	m := &matcher{}
	for id, text := range tokens {
		if text != "" && slices.Contains(wanted, types[id]) {
			m.tokens = append(m.tokens, matched{text, int32(id)})
			m.first[text[0]] = true
		}
	}
	slices.SortFunc(m.tokens, func(a, b matched) int { return cmp.Compare(a.text, b.text) })
	return m
}

// next returns the place and the id of the first token in text; without one,
// lo and hi are its length and id is -1.
func (m *matcher) next(text string) (lo, hi int, id int32) {
	for lo = range len(text) {
		if !m.first[text[lo]] {
			continue
		}
		if t := m.longest(text[lo:]); t != nil {
			return lo, lo + len(t.text), t.id
		}
	}
	return len(text), len(text), -1
}

// longest returns the longest token that text begins with, or nil. Every byte
// narrows the range of tokens that agree so far.
func (m *matcher) longest(text string) (found *matched) {
	agree := m.tokens
	for n := 0; n < len(text) && len(agree) > 0; n++ {
		c := text[n]
		from := sort.Search(len(agree), func(i int) bool { return agree[i].text[n] >= c })
		to := sort.Search(len(agree), func(i int) bool { return agree[i].text[n] > c })
		agree = agree[from:to]
		if len(agree) > 0 && len(agree[0].text) == n+1 {
			found, agree = &agree[0], agree[1:]
		}
	}
	return found
}
