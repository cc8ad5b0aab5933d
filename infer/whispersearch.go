package infer

import (
	"cmp"
	"slices"
)

// A whisperSearch is a beam search (openai/whisper 20250625, whisper/decoding.py,
// BeamSearchDecoder with a patience of 1, and MaximumLikelihoodRanker). A beam of
// one text takes the likeliest token each time, which is what GreedyDecoder does.
type whisperSearch struct {
	beam     int
	eot      int32
	drawn    *Sampler // chooses the tokens; nil: the likeliest are tried
	alive    []hypothesis
	finished []hypothesis // at most beam
}

// A hypothesis is the beginning of a text, or a whole one without its end.
type hypothesis struct {
	tokens  []int32
	logprob float64 // of all tokens together, the end included
	source  int     // which of the hypotheses before it continues
	ended   bool
}

func newSearch(eot int32, opt *WindowOptions) *whisperSearch {
	s := &whisperSearch{beam: max(1, opt.Beam), eot: eot, alive: []hypothesis{{}}}
	if opt.Temperature > 0 {
		s.beam, s.drawn = 1, &Sampler{Temperature: opt.Temperature, Seed: opt.Seed}
	}
	return s
}

// extend continues each hypothesis that is alive by a token, given the logits of
// each, and keeps the likeliest.
func (s *whisperSearch) extend(logits []float32, vocab int) {
	var all []hypothesis
	for i, h := range s.alive {
		row := logits[i*vocab:][:vocab]
		sum := logSumExp(row)
		for _, id := range s.choices(row) {
			all = append(all, h.with(id, float64(row[id])-sum, i, s.eot))
		}
	}
	slices.SortStableFunc(all, func(a, b hypothesis) int { return cmp.Compare(b.logprob, a.logprob) })
	s.alive = s.alive[:0]
	for _, h := range all {
		switch {
		case !h.ended:
			s.alive = append(s.alive, h)
		case len(s.finished) < s.beam:
			s.finished = append(s.finished, h)
		}
		if len(s.alive) == s.beam {
			break
		}
	}
}

// with returns h and a token.
func (h hypothesis) with(id int32, logprob float64, source int, eot int32) hypothesis {
	next := hypothesis{logprob: h.logprob + logprob, source: source, ended: id == eot}
	if next.ended {
		next.tokens = h.tokens
		return next
	}
	next.tokens = append(slices.Clone(h.tokens), id)
	return next
}

// choices returns the tokens that are tried: one that is drawn, or one more than
// the beam is wide, the likeliest first; of equal ones the lowest id is.
func (s *whisperSearch) choices(logits []float32) []int32 {
	if s.drawn != nil {
		return []int32{s.drawn.Next(logits)}
	}
	top := make([]int32, 0, s.beam+2)
	for i, v := range logits {
		if len(top) > s.beam && !(v > logits[top[s.beam]]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, v, func(id int32, v float32) int {
			if logits[id] >= v {
				return -1
			}
			return 1
		})
		top = slices.Insert(top, at, int32(i))
		top = top[:min(len(top), s.beam+1)]
	}
	return top
}

// done reports whether there is nothing to continue.
func (s *whisperSearch) done() bool { return len(s.finished) >= s.beam || len(s.alive) == 0 }

// sources lists which text each hypothesis that is alive continues.
func (s *whisperSearch) sources() []int {
	var from []int
	for _, h := range s.alive {
		from = append(from, h.source)
	}
	return from
}

// last lists the last token of each.
func (s *whisperSearch) last() []int32 {
	var ids []int32
	for _, h := range s.alive {
		ids = append(ids, h.tokens[len(h.tokens)-1])
	}
	return ids
}

// rows numbers them.
func (s *whisperSearch) rows() []int {
	rows := make([]int, len(s.alive))
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// best returns the text with the greatest log-probability of a token on average.
// Texts that have not ended count if too few have.
func (s *whisperSearch) best() hypothesis {
	all := append(slices.Clone(s.finished), s.alive...) // the likeliest alive come first
	all = all[:min(len(all), s.beam)]
	best := all[0]
	for _, h := range all[1:] {
		if h.mean() > best.mean() {
			best = h
		}
	}
	return best
}

func (h hypothesis) mean() float64 { return h.logprob / float64(max(1, len(h.tokens))) }
