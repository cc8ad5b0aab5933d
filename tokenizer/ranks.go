package tokenizer

import "fmt"

// ranks maps every token of a byte-pair vocabulary to its rank: of two adjacent
// pieces those are merged first whose concatenation has the lowest rank.
type ranks map[string]int

func newRanks(tokens [][]byte) ranks {
	r := make(ranks, len(tokens))
	for id, t := range tokens {
		r[string(t)] = id
	}
	return r
}

// merges recovers the merge list from which a vocabulary was grown: every token
// of several bytes is the join of the two pieces that merging leaves when it
// stops before that token. It fails with [ErrCorrupt] if a token cannot be
// reached by merging.
func (r ranks) merges(tokens [][]byte) ([]string, error) {
	var merges []string
	for id, t := range tokens {
		if len(t) < 2 {
			continue
		}
		left, right, ok := r.split(t, id)
		if !ok {
			return nil, fmt.Errorf("%w: token %d, %s, is not the join of two tokens before it", ErrCorrupt, id, quote(string(t)))
		}
		merges = append(merges, EncodeBytes(left)+" "+EncodeBytes(right))
	}
	return merges, nil
}

// split merges the bytes of token with ranks below limit; ok if two pieces remain.
func (r ranks) split(token []byte, limit int) (left, right []byte, ok bool) {
	ends := make([]int, len(token)+1)
	for i := range ends {
		ends[i] = i
	}
	for len(ends) > 3 {
		best, at := limit, -1
		for i := 0; i+2 < len(ends); i++ {
			if rank, ok := r[string(token[ends[i]:ends[i+2]])]; ok && rank < best {
				best, at = rank, i
			}
		}
		if at < 0 {
			return nil, nil, false
		}
		ends = append(ends[:at+1], ends[at+2:]...)
	}
	return token[:ends[1]], token[ends[1]:], true
}
