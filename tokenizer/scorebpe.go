package tokenizer

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A scoreBPE encodes as SentencePiece's byte-pair models do: of two neighbouring
// pieces those are joined first whose join is the token of highest score, starting
// from single characters; characters without a token become bytes
// (google/sentencepiece src/bpe_model.cc).
type scoreBPE struct {
	ids     map[string]int32
	rank    []uint32   // by token, 0 for the highest score
	bytes   [256]int32 // the token of a byte, -1 if there is none
	unk     int32
	longest int // the bytes of the longest token
}

func newScoreBPE(v *Vocab, types []TokenType) (encoder, error) {
	e := &scoreBPE{ids: make(map[string]int32, len(v.Tokens)), rank: scoreRanks(v.Scores, len(v.Tokens)), unk: v.token(UNK)}
	for b := range e.bytes {
		e.bytes[b] = -1
	}
	for id, text := range v.Tokens {
		n := int32(id)
		switch types[id] {
		case Control, Unknown:
		case Byte:
			if b, ok := byteOfToken(text); ok {
				e.bytes[b] = n
			}
		default:
			e.ids[text] = n
			e.longest = max(e.longest, len(text))
		}
	}
	return e, nil
}

// scoreRanks numbers n scores from the highest; equal ones have one number.
func scoreRanks(scores []float32, n int) []uint32 {
	ranks := make([]uint32, n)
	if scores == nil {
		return ranks
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	for i := 1; i < n; i++ {
		ranks[order[i]] = ranks[order[i-1]]
		if scores[order[i]] != scores[order[i-1]] {
			ranks[order[i]]++
		}
	}
	return ranks
}

// encode joins the whole text: what it knows of words is in the tokens, which
// write a space as "▁".
func (e *scoreBPE) encode(ids []int32, text string) []int32 {
	w := scoreWord{e, strings.ReplaceAll(text, " ", "▁")}
	var m merger
	m.reset(utf8.RuneCountInString(w.text))
	for rest := w.text; rest != ""; {
		_, n := utf8.DecodeRuneInString(rest)
		at := int32(len(w.text) - len(rest))      //nolint:gosec // below three times maxRun
		m.add(at, at+int32(n), e.token(rest[:n])) //nolint:gosec // at most four
		rest = rest[n:]
	}
	m.merge(w)
	for s := range m.all {
		if s.piece >= 0 {
			ids = append(ids, s.piece)
			continue
		}
		for _, b := range []byte(w.text[s.start:s.end]) {
			ids = appendKnown(ids, e.bytes[b], e.unk)
		}
	}
	return ids
}

func (e *scoreBPE) token(text string) int32 {
	if id, ok := e.ids[text]; ok {
		return id
	}
	return -1
}

// A scoreWord joins symbols of text.
type scoreWord struct {
	*scoreBPE
	text string
}

func (w scoreWord) join(left, right *symbol) (rank uint32, piece int32, ok bool) {
	if int(right.end-left.start) > w.longest {
		return 0, 0, false
	}
	id, ok := w.ids[w.text[left.start:right.end]]
	if !ok {
		return 0, 0, false
	}
	return w.rank[id], id, true
}

// byteOfToken reads "<0x0A>".
func byteOfToken(s string) (b byte, ok bool) {
	if !isByteToken(s) {
		return 0, false
	}
	return unhex(s[3])<<4 | unhex(s[4]), true
}

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
