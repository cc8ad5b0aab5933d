package tokenizer

import (
	"fmt"
	"strings"
)

// A byteBPE encodes as byte-level vocabularies do: text is cut into words, and in
// each the pairs of the merge list are joined, the first of the list first,
// starting from single bytes (openai/gpt-2 src/encoder.py).
type byteBPE struct {
	words *splitter
	// Pieces are numbered: 0 to 255 are the bytes, then come the parts and results
	// of merges.
	pairs map[piecePair]join
	ids   []int32 // the token of a piece, -1 if there is none
	// whole holds the tokens by the bytes they spell, where a word that is a token
	// is taken as it is; nil elsewhere.
	whole map[string]int32
	unk   int32 // stands for bytes without a token; -1: they are left out
}

type piecePair struct{ left, right int32 }

type join struct {
	rank  uint32
	piece int32
}

// A pieceTable numbers texts as they come.
type pieceTable map[string]int32

func (t pieceTable) number(text string) int32 {
	n, ok := t[text]
	if !ok {
		n = int32(len(t)) //nolint:gosec // at most 256 and three for each of maxMerges
		t[text] = n
	}
	return n
}

func newByteBPE(v *Vocab, types []TokenType) (encoder, error) {
	pre := named(v.Pre)
	if pre == nil {
		return nil, fmt.Errorf("%w: what the pre-tokenizer %s does is not known", ErrUnsupported, quote(v.Pre))
	}
	if len(v.Merges) > maxMerges {
		return nil, fmt.Errorf("%w: %d merges, the limit is %d", ErrTooLarge, len(v.Merges), maxMerges)
	}
	e := &byteBPE{words: pre.splitter(), pairs: make(map[piecePair]join, len(v.Merges)), unk: v.token(UNK)}
	table := make(pieceTable, len(v.Merges)+256)
	for _, r := range byteRune {
		table.number(string(r))
	}
	for rank, text := range v.Merges {
		left, right, ok := cutMerge(text)
		if !ok {
			return nil, fmt.Errorf("%w: merge %d, %s, is not two pieces", ErrCorrupt, rank, quote(text))
		}
		p := piecePair{table.number(left), table.number(right)}
		if _, ok := e.pairs[p]; !ok {
			e.pairs[p] = join{uint32(rank), table.number(left + right)}
		}
	}
	e.ids = make([]int32, len(table))
	for i := range e.ids {
		e.ids[i] = -1
	}
	if pre.wholeWords {
		e.whole = make(map[string]int32, len(v.Tokens))
	}
	for id, text := range v.Tokens {
		if types[id] == Control || types[id] == Unknown {
			continue
		}
		n := int32(id)
		if piece, ok := table[text]; ok {
			e.ids[piece] = n
		}
		if raw, ok := DecodeBytes(text); ok && e.whole != nil {
			e.whole[string(raw)] = n
		}
	}
	return e, nil
}

// cutMerge divides a merge at its space. The left piece may begin with one
// (llama.cpp src/llama-vocab.cpp, llama_vocab::impl::load).
func cutMerge(text string) (left, right string, ok bool) {
	if text == "" {
		return "", "", false
	}
	at := strings.IndexByte(text[1:], ' ')
	if at < 0 || at+2 == len(text) {
		return "", "", false
	}
	return text[:at+1], text[at+2:], true
}

func (e *byteBPE) join(left, right *symbol) (rank uint32, piece int32, ok bool) {
	j, ok := e.pairs[piecePair{left.piece, right.piece}]
	return j.rank, j.piece, ok
}

func (e *byteBPE) encode(ids []int32, text string) []int32 {
	var m merger
	type place struct{ from, to int }
	seen := map[string]place{} // words and where in ids they are
	start := 0
	for _, end := range e.words.split(text) {
		word := text[start:end]
		start = end
		if at, ok := seen[word]; ok {
			ids = append(ids, ids[at.from:at.to]...)
			continue
		}
		from := len(ids)
		ids = e.word(ids, word, &m)
		seen[word] = place{from, len(ids)}
	}
	return ids
}

func (e *byteBPE) word(ids []int32, word string, m *merger) []int32 {
	if id, ok := e.whole[word]; ok {
		return append(ids, id)
	}
	m.reset(len(word))
	var at int32
	for _, b := range []byte(word) {
		m.add(at, at+1, int32(b))
		at++
	}
	m.merge(e)
	for s := range m.all {
		if id := e.ids[s.piece]; id >= 0 {
			ids = append(ids, id)
			continue
		}
		for _, b := range []byte(word[s.start:s.end]) {
			ids = appendKnown(ids, e.ids[b], e.unk)
		}
	}
	return ids
}

// appendKnown appends id, or unk if there is no such token, or nothing.
func appendKnown(ids []int32, id, unk int32) []int32 {
	switch {
	case id >= 0:
		return append(ids, id)
	case unk >= 0:
		return append(ids, unk)
	}
	return ids
}
