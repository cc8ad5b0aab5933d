package infer

import (
	"math"

	"github.com/smelt-project/smelt/tokenizer"
)

// whisperRules say which tokens may follow (openai/whisper 20250625,
// whisper/decoding.py, SuppressBlank, SuppressTokens, ApplyTimestampRules).
type whisperRules struct {
	text       *tokenizer.Whisper
	suppressed []int32 // never
	blank      []int32 // not at the beginning
	timestamps bool    // without them, none of the rules about them
	// latest is the last timestamp that a window may begin with, counted from the first.
	latest int32
}

// latestStart is how far into a window speech begins at the latest, in seconds.
const latestStart = 1.0

func newWhisperRules(w *tokenizer.Whisper, context int, timestamps bool) *whisperRules {
	return &whisperRules{
		text: w, suppressed: w.Suppressed(), blank: w.Blank(), timestamps: timestamps,
		latest: int32(math.Round(latestStart * float64(context) / windowSeconds)),
	}
}

// apply makes the logits of tokens that may not follow written minus infinity.
func (r *whisperRules) apply(logits []float32, written []int32) {
	if len(written) == 0 {
		forbid(logits, r.blank)
	}
	forbid(logits, r.suppressed)
	if r.timestamps {
		r.applyTimestamps(logits, written)
	}
}

// applyTimestamps: they come in pairs except at the end, do not go back, come first
// and not late, and are chosen if all of them together are likelier than any text.
func (r *whisperRules) applyTimestamps(logits []float32, written []int32) {
	first := r.text.TimestampBegin
	forbid(logits, []int32{r.text.NoTimestamps})
	n := len(written)
	last := n > 0 && written[n-1] >= first
	beforeLast := n < 2 || written[n-2] >= first
	switch {
	case last && beforeLast:
		forbidRange(logits[first:])
	case last:
		forbidRange(logits[:r.text.EOT])
	}
	for i := n - 1; i >= 0; i-- {
		if written[i] < first {
			continue
		}
		least := written[i] + 1 // no segment of no length
		if last && !beforeLast {
			least = written[i]
		}
		forbidRange(logits[first:least])
		break
	}
	if n == 0 {
		forbidRange(logits[:first])
		if beyond := int(first + r.latest + 1); beyond < len(logits) {
			forbidRange(logits[beyond:])
		}
	}
	if all := logSumExp(logits); logSumExp(logits[first:])-all > float64(maximum(logits[:first]))-all {
		forbidRange(logits[:first])
	}
}

func forbid(logits []float32, ids []int32) {
	for _, id := range ids {
		logits[id] = float32(math.Inf(-1))
	}
}

func forbidRange(logits []float32) {
	for i := range logits {
		logits[i] = float32(math.Inf(-1))
	}
}

// maximum is minus infinity if there are none.
func maximum(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// logSumExp returns log Σ exp(x), minus infinity if there are none.
func logSumExp(x []float32) float64 {
	m := float64(maximum(x))
	if math.IsInf(m, -1) {
		return m
	}
	var sum float64
	for _, v := range x {
		sum += math.Exp(float64(v) - m)
	}
	return m + math.Log(sum)
}
