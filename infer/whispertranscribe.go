package infer

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/smelt-project/smelt/audio"
	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/tokenizer"
)

// windowSeconds is the length of what is heard at a time, whatever the size of the
// encoder.
const windowSeconds = 30

// What makes the text of a window count as failed, and a window as silent
// (openai/whisper 20250625, whisper/transcribe.py, defaults of transcribe).
const (
	mostCompression = 2.4  // of the text by zlib: it repeats itself
	leastLogprob    = -1.0 // of a token on average
	mostSilence     = 0.6  // probability that nobody speaks
	coolest         = 0.5  // a text drawn at a higher temperature does not lead the next
)

// temperatures are tried one after the other until a text does not fail.
var temperatures = []float64{0, 0.2, 0.4, 0.6, 0.8, 1}

// A Transcriber writes down what is said in recordings of any length.
type Transcriber struct {
	model *Whisper
	text  *tokenizer.Whisper
	mel   *audio.Mel
}

// NewTranscriber returns a transcriber with the vocabulary and the filter bank of m,
// of which n is the network.
func NewTranscriber(m *tensor.Model, n *Whisper) (*Transcriber, error) {
	t := &Transcriber{model: n}
	fail := func(err error) (*Transcriber, error) {
		return nil, &tensor.Error{Op: "transcribe with", File: fileOf(m), Err: err}
	}
	v, err := tokenizer.FromMeta(m.Meta.Get)
	if err != nil {
		return fail(err)
	}
	if t.text, err = v.Whisper(); err != nil {
		return fail(err)
	}
	if err := n.fits(t.text); err != nil {
		return fail(err)
	}
	filters, err := melFilters(m)
	if err != nil {
		return fail(err)
	}
	if t.mel, err = audio.NewMel(filters, n.mels); err != nil {
		return fail(err)
	}
	return t, nil
}

// melFilters returns the tensor of that name.
func melFilters(m *tensor.Model) ([]float32, error) {
	const name = "mel_filters"
	t := m.Tensor(name)
	if t == nil {
		return nil, fmt.Errorf("tensor %q is missing: %w", name, tensor.ErrNotFound)
	}
	n, err := t.Shape.Elems()
	if err != nil {
		return nil, err
	}
	flat, err := t.Reshape(tensor.Shape{int(n)})
	if err != nil {
		return nil, err
	}
	return numbers(flat, int(n))
}

// TranscribeOptions say how a recording is written down. The zero value is what the
// original does by default.
type TranscribeOptions struct {
	Language string // code; "": the one that is likeliest in the first 30 s
	Beam     int    // as in WindowOptions
	// Temperatures are tried until a text does not fail; nil: 0, 0.2 … 1.
	Temperatures []float64
	// Segment, if not nil, is given each segment when its window is done.
	Segment func(Segment) error
	// Progress, if not nil, is told how much of the recording is done.
	Progress func(done, total time.Duration)
}

// A Transcript is what is said in a recording.
type Transcript struct {
	Text     string
	Language string // code
	Segments []Segment
}

// A Segment is a part of a transcript, in time from the beginning of the recording.
type Segment struct {
	Start, End time.Duration
	Text       string  // begins with a space where a word does
	Tokens     []int32 // with timestamps
	// Of the window that the segment is in; Compression is the length of its text
	// over that by zlib.
	Logprob, NoSpeech, Compression, Temperature float64
}

// Transcribe writes down samples, mono at audio.SampleRate, 30 s at a time from
// where the text of the last 30 s ended (openai/whisper 20250625,
// whisper/transcribe.py, transcribe).
func (t *Transcriber) Transcribe(ctx context.Context, samples []float32, opt TranscribeOptions) (*Transcript, error) {
	frames := t.model.Frames()
	mel := t.mel.LogMel(append(samples[:len(samples):len(samples)], make([]float32, frames*audio.Hop)...))
	r := &transcription{
		Transcriber: t, TranscribeOptions: opt,
		mel: mel, frames: len(mel) / t.model.mels, content: len(samples) / audio.Hop,
	}
	if r.Temperatures == nil {
		r.Temperatures = temperatures
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	for r.seek < r.content {
		if err := r.next(ctx); err != nil {
			return nil, err
		}
		if r.Progress != nil {
			r.Progress(frameTime(min(r.seek, r.content)), frameTime(r.content))
		}
	}
	r.out.Text = text(t.text, r.written)
	return &r.out, nil
}

// transcription is a recording that is being written down.
type transcription struct {
	*Transcriber
	TranscribeOptions
	mel     []float32 // [mels, frames]
	frames  int
	content int // frames of the recording; silence follows

	start   []int32 // of every text
	seek    int     // the frame that the next window begins with
	written []int32 // all tokens so far
	fresh   int     // how many of them do not lead the next
	out     Transcript
}

// frameTime is the time of n frames.
func frameTime(n int) time.Duration {
	return time.Duration(n) * audio.Hop * time.Second / audio.SampleRate
}

// window returns n frames from one on, and as many of zeros as the encoder wants:
// [mels, Frames].
func (r *transcription) window(from, n int) []float32 {
	size := r.model.Frames()
	x := make([]float32, r.model.mels*size)
	for i := range r.model.mels {
		copy(x[i*size:][:n], r.mel[i*r.frames+from:])
	}
	return x
}

// begin finds the language.
func (r *transcription) begin(ctx context.Context) (err error) {
	r.out.Language = r.Language
	if r.out.Language == "" {
		sound, err := r.model.Encode(ctx, r.window(0, r.model.Frames()), nil)
		if err != nil {
			return err
		}
		defer sound.Close()
		if r.out.Language, _, err = r.model.Language(ctx, sound, r.text); err != nil {
			return err
		}
	}
	r.start, err = r.text.Start(r.out.Language, r.text.Transcribe)
	return err
}

// next writes down a window.
func (r *transcription) next(ctx context.Context) error {
	size := min(r.model.Frames(), r.content-r.seek)
	a, err := r.decode(ctx, size)
	if err != nil {
		return err
	}
	if a.NoSpeech > mostSilence && a.Logprob <= leastLogprob {
		r.seek += size
		return nil
	}
	segments, advance := r.cut(a, size)
	r.seek += advance
	for _, s := range segments {
		if s.Start == s.End || strings.TrimSpace(s.Text) == "" {
			continue
		}
		r.out.Segments = append(r.out.Segments, s)
		r.written = append(r.written, s.Tokens...)
		if r.Segment != nil {
			if err := r.Segment(s); err != nil {
				return err
			}
		}
	}
	if a.temperature > coolest {
		r.fresh = len(r.written)
	}
	return nil
}

// An attempt is the text of a window, found at a temperature.
type attempt struct {
	*Window
	temperature, compression float64
}

// fails reports whether the text repeats itself or is unlikely; not so in silence.
func (a *attempt) fails() bool {
	unlikely := a.Logprob < leastLogprob
	if unlikely && a.NoSpeech > mostSilence {
		return false
	}
	return unlikely || a.compression > mostCompression
}

// decode finds the text of size frames, at the first temperature at which it does
// not fail, or else at the last.
func (r *transcription) decode(ctx context.Context, size int) (a *attempt, err error) {
	sound, err := r.model.Encode(ctx, r.window(r.seek, size), nil)
	if err != nil {
		return nil, err
	}
	defer sound.Close()
	for _, temperature := range r.Temperatures {
		w, err := r.model.DecodeWindow(ctx, sound, r.text, WindowOptions{
			Start: r.start, Previous: r.written[r.fresh:], Beam: r.Beam, Temperature: temperature,
		})
		if err != nil {
			return nil, err
		}
		a = &attempt{Window: w, temperature: temperature, compression: compression(strings.TrimSpace(text(r.text, w.Tokens)))}
		if !a.fails() {
			break
		}
	}
	return a, nil
}

// cut returns the segments of a window of size frames, and how many frames it is to
// the next window: where two timestamps follow each other a segment ends, and the
// last such place is where text that was cut off begins.
func (r *transcription) cut(a *attempt, size int) (segments []Segment, advance int) {
	ids, from := a.Tokens, frameTime(r.seek)
	n := len(ids)
	timed := func(i int) bool { return i >= 0 && i < n && ids[i] >= r.text.TimestampBegin }
	var ends []int
	for i := 1; i < n; i++ {
		if timed(i-1) && timed(i) {
			ends = append(ends, i)
		}
	}
	complete := n > 1 && timed(n-1) && !timed(n-2) // nobody speaks after the last timestamp
	if len(ends) == 0 {
		end := from + frameTime(size)
		if at := r.lastTime(ids); at > 0 {
			end = from + at
		}
		return append(segments, r.segment(a, ids, from, end)), size
	}
	if complete {
		ends = append(ends, n)
	}
	begin := 0
	for _, end := range ends {
		part := ids[begin:end]
		segments = append(segments, r.segment(a, part, from+r.time(part[0]), from+r.time(part[len(part)-1])))
		begin = end
	}
	advance = int(r.time(ids[begin-1]) / frameTime(1))
	if complete || advance == 0 { // nothing was written in the latter case
		advance = size
	}
	return segments, advance
}

// time is that of a timestamp from the beginning of the window, 0 of another token.
func (r *transcription) time(id int32) time.Duration {
	at, _ := r.text.Timestamp(id)
	return at
}

// lastTime returns that of the last timestamp, 0 if there is none.
func (r *transcription) lastTime(ids []int32) time.Duration {
	for i := len(ids) - 1; i >= 0; i-- {
		if at, ok := r.text.Timestamp(ids[i]); ok {
			return at
		}
	}
	return 0
}

func (r *transcription) segment(a *attempt, ids []int32, start, end time.Duration) Segment {
	return Segment{
		Start: start, End: end, Text: text(r.text, ids), Tokens: ids,
		Logprob: a.Logprob, NoSpeech: a.NoSpeech, Compression: a.compression, Temperature: a.temperature,
	}
}

// text returns that of ids as UTF-8; timestamps have none.
func text(w *tokenizer.Whisper, ids []int32) string {
	return strings.ToValidUTF8(w.Decode(ids), "\ufffd")
}

// emptyBlock is what compress/flate ends a stream with and zlib does not.
const emptyBlock = 5

// compression returns the length of s over that of s by zlib, of which Go's deflate
// differs by some hundredths.
func compression(s string) float64 {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(s)) // a bytes.Buffer takes everything
	_ = z.Close()
	return float64(len(s)) / float64(b.Len()-emptyBlock)
}
