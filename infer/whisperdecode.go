package infer

import (
	"context"
	"fmt"
	"math"

	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/tokenizer"
)

// WindowOptions say how the text of a window is found. But for Start, the zero
// value is what the original does: the likeliest token each time, with timestamps.
type WindowOptions struct {
	// Start begins the text: tokenizer.Whisper.Start makes it.
	Start []int32
	// Previous is the text before the window; the last of it that fits is used.
	Previous []int32
	// Beam is how many texts are continued beside each other; 0 is 1.
	Beam int
	// Temperature divides the logits, of which one token is then drawn, by Seed; 0
	// searches for the likeliest. Beam counts for the search alone.
	Temperature float64
	Seed        uint64
	// Untimed finds a text without timestamps.
	Untimed bool
}

// A Window is the text that was found in 30 s of sound.
type Window struct {
	Tokens []int32 // without the end
	// Logprob is the mean logarithm of the tokens' probabilities, the end included.
	Logprob float64
	// NoSpeech is the probability that nobody speaks.
	NoSpeech float64
}

// DecodeWindow finds the text of a sound (openai/whisper 20250625,
// whisper/decoding.py, DecodingTask). w is the vocabulary of the model.
func (n *Whisper) DecodeWindow(ctx context.Context, sound *Sound, w *tokenizer.Whisper, opt WindowOptions) (*Window, error) {
	if err := n.fits(w); err != nil {
		return nil, err
	}
	before, sot := n.before(w, &opt)
	s := newSearch(w.EOT, &opt)
	rules := newWhisperRules(w, n.audio.context, !opt.Untimed)
	t := n.newTexts(sound, s.beam)
	defer t.close()
	want := []int{sot}
	if last := len(before) - 1; last != sot {
		want = append(want, last)
	}
	logits, err := t.forward(ctx, before, want, nil)
	if err != nil {
		return nil, err
	}
	atStart := logits[:n.vocab]
	found := &Window{NoSpeech: math.Exp(float64(atStart[w.NoSpeech]) - logSumExp(atStart))}
	logits = logits[len(logits)-n.vocab:]
	for written := 1; ; written++ {
		for i := range s.alive {
			rules.apply(logits[i*n.vocab:][:n.vocab], s.alive[i].tokens)
		}
		s.extend(logits, n.vocab)
		if s.done() || written == n.text.context/2 || len(before)+written > n.text.context {
			break
		}
		t.keep(s.sources())
		if logits, err = t.forward(ctx, s.last(), s.rows(), nil); err != nil {
			return nil, err
		}
	}
	best := s.best()
	found.Tokens, found.Logprob = best.tokens, best.logprob/float64(len(best.tokens)+1)
	return found, nil
}

// fits checks that w is as large as the vocabulary of the model.
func (n *Whisper) fits(w *tokenizer.Whisper) error {
	if w.Len() != n.vocab {
		return fmt.Errorf("infer: the tokenizer has %d tokens, the model %d: %w", w.Len(), n.vocab, tensor.ErrCorrupt)
	}
	return nil
}

// before returns what precedes a text, and where in it the text's start is.
func (n *Whisper) before(w *tokenizer.Whisper, opt *WindowOptions) (ids []int32, sot int) {
	if previous := opt.Previous; len(previous) > 0 {
		room := max(0, n.text.context/2-1)
		ids = append(ids, w.SOTPrev)
		ids = append(ids, previous[max(0, len(previous)-room):]...)
		sot = len(ids)
	}
	ids = append(ids, opt.Start...)
	if opt.Untimed {
		ids = append(ids, w.NoTimestamps)
	}
	return ids, sot
}

// Language returns the code of the language that is likeliest spoken, and its
// probability among all languages (openai/whisper 20250625, whisper/decoding.py,
// detect_language). The language of an English-only model is "en".
func (n *Whisper) Language(ctx context.Context, sound *Sound, w *tokenizer.Whisper) (code string, probability float64, err error) {
	if !w.Multilingual() {
		return "en", 1, nil
	}
	if err := n.fits(w); err != nil {
		return "", 0, err
	}
	logits, err := n.Decode(ctx, sound, []int32{w.SOT}, nil)
	if err != nil {
		return "", 0, err
	}
	languages := make([]float32, len(w.Languages))
	for i, l := range w.Languages {
		languages[i] = logits[l.ID]
	}
	if len(languages) == 0 {
		return "", 0, fmt.Errorf("infer: a multilingual model without languages: %w", tensor.ErrCorrupt)
	}
	best := likeliest(languages)
	return w.Languages[best].Code, math.Exp(float64(languages[best]) - logSumExp(languages)), nil
}
