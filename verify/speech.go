package verify

import (
	"bytes"
	"context"
	_ "embed" // the recording
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/smelt-project/smelt/audio"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/origin"
	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/tokenizer"
)

// recording is eleven seconds of John F. Kennedy's inaugural address of 1961, a
// work of the United States government, in the public domain.
//
//go:embed speech.mp3
var recording []byte

// Of a probe of speech.
const (
	heard      = 30 * time.Second // what a Whisper model hears at once
	maxWritten = 96               // tokens of a transcript
)

// speechProbes returns the spectrogram of what a speech model hears, and what it
// begins to write.
func speechProbes(v *verifier) ([]probe, error) {
	samples, name := v.Audio, "speech"
	if samples == nil {
		var err error
		if samples, err = audio.Decode(bytes.NewReader(recording)); err != nil {
			return nil, fmt.Errorf("the built-in speech: %w", err)
		}
		name = "built-in speech"
	}
	most := int(heard/time.Second) * audio.SampleRate
	if len(samples) > most {
		v.leaveOut("all but the first %v of the sound", heard)
	}
	window := make([]float32, most)
	copy(window, samples)
	n, _ := v.Canonical.Model.Meta.Int("whisper.encoder.mels_count")
	filters, err := tokenizer.MelFilters(int(n))
	if err != nil {
		return nil, errNotRun{err.Error()}
	}
	mel, err := audio.NewMel(filters, int(n))
	if err != nil {
		return nil, err
	}
	w, err := newWriter(v.Canonical.Model.Meta)
	if err != nil {
		return nil, errNotRun{"the original's vocabulary: " + err.Error()}
	}
	start, err := w.tokens.Start("en", w.tokens.Transcribe)
	if err != nil {
		return nil, err
	}
	return []probe{{name: name, mel: mel.LogMel(window), ids: append(start, w.tokens.NoTimestamps), writer: w}}, nil
}

// A writer takes the likeliest token each time, with the tokens suppressed that
// OpenAI's program suppresses. (openai/whisper whisper/decoding.py)
type writer struct {
	tokens     *tokenizer.Whisper
	suppressed map[int32]bool
	blank      []int32
	start      int  // ids before the transcript
	done       bool // the transcript is complete
}

func newWriter(m tensor.Meta) (*writer, error) {
	vocab, err := tokenizer.FromMeta(m.Get)
	if err != nil {
		return nil, err
	}
	t, err := vocab.Whisper()
	if err != nil {
		return nil, err
	}
	w := &writer{tokens: t, suppressed: map[int32]bool{}, blank: t.Blank()}
	for _, id := range t.Suppressed() {
		w.suppressed[id] = true
	}
	return w, nil
}

// choose returns the likeliest token after written ones, and the next likeliest.
func (w *writer) choose(logits []float32, written int) (first, second int32) {
	first, second = -1, -1
	for i, z := range logits {
		id := int32(i)
		if w.suppressed[id] || id >= w.tokens.TimestampBegin || written == 0 && slices.Contains(w.blank, id) {
			continue
		}
		switch {
		case first < 0 || z > logits[first]:
			first, second = id, first
		case second < 0 || z > logits[second]:
			second = id
		}
	}
	return first, second
}

// extend appends the transcript to p.ids: next returns the logits after the ids
// that it is given, which follow those of the call before. It returns what the
// last call saw.
func (p *probe) extend(next func(ids []int32) ([]float32, error)) error {
	w := p.writer
	w.start = len(p.ids)
	ids := p.ids
	for len(p.ids)-w.start < maxWritten {
		logits, err := next(ids)
		if err != nil {
			return err
		}
		id, _ := w.choose(logits, len(p.ids)-w.start)
		if id < 0 || id == w.tokens.EOT {
			break
		}
		ids = []int32{id}
		p.ids = append(p.ids, id)
	}
	w.done = true
	return nil
}

func originalWhisper(n origin.Network) (network, bool) {
	net, ok := n.(*origin.Whisper)
	return func(ctx context.Context, p *probe, show trace.Func) error {
		sound, err := net.Encode(ctx, p.mel, show)
		if err != nil {
			return err
		}
		c := net.NewContext(sound)
		if p.writer.done {
			_, err := c.Forward(ctx, p.ids, show)
			return err
		}
		return p.extend(func(ids []int32) ([]float32, error) {
			logits, err := c.Forward(ctx, ids, show)
			if err != nil {
				return nil, err
			}
			return logits[len(logits)-net.Vocab():], nil
		})
	}, ok
}

func resultWhisper(m *tensor.Model, b infer.Backend) (network, error) {
	net, err := infer.NewWhisper(m, b)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, p *probe, show trace.Func) error {
		sound, err := net.Encode(ctx, p.mel, show)
		if err != nil {
			return err
		}
		defer sound.Close()
		if !p.writer.done {
			var text []int32
			if err := p.extend(func(ids []int32) ([]float32, error) {
				text = append(text, ids...)
				return net.Decode(ctx, sound, text, nil)
			}); err != nil {
				return err
			}
		}
		_, err = net.Decode(ctx, sound, p.ids, show)
		return err
	}, nil
}

// Metrics of transcripts.
const (
	WordErrors Metric = "word_error_rate" // of the result's transcript against the original's
	LogProb    Metric = "token_log_prob"  // mean difference over the tokens of the transcript, nats
)

// checkTranscript compares what both write. The result is given the original's
// transcript word for word: if it would choose the same token everywhere, it
// writes the same; where it would not, what it writes by itself is compared. A
// choice between logits that the limit m of checkOutputs allows to change places,
// because they are less than 2m apart, may change, and all words after it: the word
// error rate is told, but has no limit then. Without such a choice it is 0.
// Log-probabilities move by 3σ at most.
func checkTranscript(ctx context.Context, v *verifier) error {
	return v.withAnswers(ctx, func(r *runs) error {
		if len(v.agreement.kl) == 0 {
			v.leaveOut("the logits could not be compared, see the outputs check")
			return nil
		}
		p := &r.probes[0]
		d := p.writer.follow(p.ids, r.computed[0].at[logitsAt], v.answers[0], 2*v.agreement.maxLimit)
		own := p.ids
		if d.others > 0 {
			var err error
			if own, err = v.transcribe(ctx, r); err != nil {
				return err
			}
		}
		want, got := p.writer.text(p.ids), p.writer.text(own)
		f := Finding{Metric: WordErrors, Got: Number(wordErrors(strings.Fields(want), strings.Fields(got))), Expected: strconv.Quote(want), Found: strconv.Quote(got)}
		if d.unsure > 0 {
			f.Limit = Number(math.Inf(1)) // with insertions there is no greatest rate
		}
		v.findCaused(f)
		f.Metric, f.Got, f.Limit = LogProb, Number(math.Abs(d.moved)/float64(d.choices)), Number(3*v.agreement.rms())
		v.findCaused(f)
		return nil
	})
}

// text is the transcript in ids.
func (w *writer) text(ids []int32) string { return w.tokens.Decode(ids[w.start:]) }

// A dictation is what a model does that is given a transcript token by token.
type dictation struct {
	choices int
	others  int     // choices of another token
	unsure  int     // choices that an allowed error may change
	moved   float64 // sum of the differences of the tokens' log-probabilities
}

// follow compares the logits a of the original and b of the result after ids.
func (w *writer) follow(ids []int32, a, b *rows, margin float64) (d dictation) {
	for t := w.start - 1; t < len(ids); t++ {
		x, y := a.row(t), b.row(t)
		want, next := w.choose(x, t-w.start+1)
		got, _ := w.choose(y, t-w.start+1)
		d.choices++
		if got != want {
			d.others++
		}
		if next < 0 || float64(x[want]-x[next]) <= margin {
			d.unsure++
		}
		d.moved += logSoftmax(centred(x))[want] - logSoftmax(centred(y))[want]
	}
	return d
}

// transcribe lets the result write by itself.
func (v *verifier) transcribe(ctx context.Context, r *runs) ([]int32, error) {
	n, err := r.result(v.Result.Model, v.Backends[0])
	if err != nil {
		return nil, err
	}
	w := *r.probes[0].writer
	w.done = false
	p := &probe{mel: r.probes[0].mel, ids: slices.Clone(r.probes[0].ids[:w.start]), writer: &w}
	err = n(ctx, p, nil)
	return p.ids, err
}

// wordErrors is the word error rate: the least number of words to insert, delete
// and replace to make want of got, divided by the length of want.
func wordErrors(want, got []string) float64 {
	row := make([]int, len(got)+1)
	for j := range row {
		row[j] = j
	}
	for i, word := range want {
		before := row[0]
		row[0] = i + 1
		for j, other := range got {
			cost := before
			if word != other {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return float64(row[len(got)]) / float64(max(len(want), 1))
}

// writes reports whether the models write what they hear.
func writes(v *verifier) bool { return v.architecture() == "whisper" }
