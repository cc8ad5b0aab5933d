package infer

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tokenizer"
)

func words(t testing.TB, vocab int) *tokenizer.Whisper {
	t.Helper()
	v, err := tokenizer.WhisperGGUF(vocab)
	if err != nil {
		t.Fatal(err)
	}
	w, err := v.Whisper()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// What may follow, of text, the end, and timestamps in steps of 20 ms.
func TestWhisperRules(t *testing.T) {
	w := words(t, 51865)
	first := w.TimestampBegin
	const hello, bracket = 2425, 58 // " Hello", "["
	space := w.Encode(" ", tokenizer.EncodeOptions{})[0]
	for _, c := range []struct {
		name    string
		untimed bool
		likely  int32 // its logit is 30, that of all others 0
		written []int32
		yes, no []int32
	}{
		{"first a timestamp, within a second", false, hello, nil, []int32{first, first + 50}, []int32{hello, w.EOT, first + 51}},
		{"after the first, text", false, hello, []int32{first}, []int32{hello}, []int32{first, first + 1, first + 1500}},
		{"the end needs no text", false, w.EOT, []int32{first}, []int32{w.EOT}, []int32{first + 7}},
		{"after text, text or a later timestamp", false, hello, []int32{first + 5, hello}, []int32{hello, first + 6, w.EOT}, []int32{first + 5, first}},
		{"after an end, a beginning or the end of all", false, w.EOT, []int32{first, hello, first + 9}, []int32{w.EOT, first + 9, first + 10}, []int32{hello, first + 8}},
		{"after a beginning, text", false, hello, []int32{first, hello, first + 9, first + 9}, []int32{hello}, []int32{first + 9, first + 10}},
		{"timestamps together are likelier", false, -1, []int32{first, hello}, []int32{first + 1}, []int32{hello, w.EOT}},
		{"never", false, hello, []int32{first, hello}, []int32{hello}, []int32{bracket, w.SOT, w.SOTPrev, w.NoSpeech, w.NoTimestamps, w.Transcribe, w.Translate}},
		{"untimed, no blank first", true, hello, nil, []int32{hello, w.NoTimestamps}, []int32{space, w.EOT, bracket}},
		{"untimed, blank later", true, hello, []int32{hello}, []int32{hello, space, w.EOT}, []int32{bracket}},
	} {
		logits := make([]float32, w.Len())
		if c.likely >= 0 {
			logits[c.likely] = 30
		}
		newWhisperRules(w, 1500, !c.untimed).apply(logits, c.written)
		for _, id := range c.yes {
			if math.IsInf(float64(logits[id]), -1) {
				t.Errorf("%s: %d is forbidden", c.name, id)
			}
		}
		for _, id := range c.no {
			if !math.IsInf(float64(logits[id]), -1) {
				t.Errorf("%s: %d is allowed", c.name, id)
			}
		}
	}
}

// A beam of two finds a text that begins with an unlikely token and is the likelier
// for it; the likeliest token each time does not.
func TestBeamSearchFindsWhatGreedyMisses(t *testing.T) {
	const a, b, c, end = 0, 1, 2, 3
	inf := math.Inf(-1)
	follows := map[string][]float64{ // logarithms of probabilities
		"":   {math.Log(0.6), math.Log(0.4), inf, inf},
		"a":  {math.Log(0.3), math.Log(0.3), math.Log(0.3), math.Log(0.1)},
		"b":  {inf, inf, math.Log(0.9), math.Log(0.1)},
		"bc": {inf, inf, inf, 0},
	}
	other := []float64{inf, math.Log(0.5), inf, math.Log(0.5)}
	for _, test := range []struct {
		beam int
		want []int32
	}{{1, []int32{a, a, b}}, {2, []int32{b, c}}} {
		s := newSearch(end, &WindowOptions{Beam: test.beam})
		for range 3 {
			var logits []float32
			for _, h := range s.alive {
				var name strings.Builder
				for _, id := range h.tokens {
					name.WriteByte("abc"[id])
				}
				row, ok := follows[name.String()]
				if !ok {
					row = other
				}
				for _, v := range row {
					logits = append(logits, float32(v))
				}
			}
			if s.extend(logits, 4); s.done() {
				break
			}
		}
		if got := s.best().tokens; !slices.Equal(got, test.want) {
			t.Errorf("beam of %d: %v, want %v", test.beam, got, test.want)
		}
	}
}

func TestChoicesAreTheLikeliest(t *testing.T) {
	s := newSearch(9, &WindowOptions{Beam: 3})
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, c := range []struct {
		logits []float32
		want   []int32
	}{
		{[]float32{1, 5, 3, 5, 2, 4}, []int32{1, 3, 5, 2}},
		{[]float32{2, 2, 2, 2, 2, 2}, []int32{0, 1, 2, 3}},
		{[]float32{inf, inf, 1, inf, inf}, []int32{2, 0, 1, 3}},
		{[]float32{1, 2}, []int32{1, 0}},
	} {
		if got := s.choices(c.logits); !slices.Equal(got, c.want) {
			t.Errorf("choices of %v = %v, want %v", c.logits, got, c.want)
		}
	}
	if got := s.choices([]float32{nan, nan, nan, nan, nan, 1}); len(got) != 4 {
		t.Errorf("%d choices among NaN, want 4", len(got))
	}
}

func TestDrawnTextsFollowTheSeed(t *testing.T) {
	draw := func(seed uint64) (ids []int32) {
		s := newSearch(-1, &WindowOptions{Temperature: 1, Seed: seed, Beam: 5})
		for range 20 {
			s.extend(make([]float32, 8*len(s.alive)), 8)
		}
		return s.best().tokens
	}
	if !slices.Equal(draw(1), draw(1)) || slices.Equal(draw(1), draw(2)) {
		t.Error("the same seed draws other tokens, or another the same")
	}
}

func TestAttemptFails(t *testing.T) {
	for _, c := range []struct {
		name                           string
		logprob, noSpeech, compression float64
		want                           bool
	}{
		{"good", -0.3, 0.1, 1.5, false},
		{"unlikely", -1.1, 0.1, 1.5, true},
		{"repeats itself", -0.1, 0.1, 2.5, true},
		{"silence", -1.1, 0.7, 1.5, false},
	} {
		a := attempt{Window: &Window{Logprob: c.logprob, NoSpeech: c.noSpeech}, compression: c.compression}
		if got := a.fails(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Python's zlib writes 75 bytes for this text of 104 (golden of openai/whisper).
func TestCompressionIsThatOfZlib(t *testing.T) {
	got := compression("And so my fellow Americans ask not what your country can do for you ask what you can do for your country")
	if want := 104.0 / 75; math.Abs(got-want) > 0.05*want {
		t.Errorf("%g, want %g within what deflaters differ by", got, want)
	}
	if got := compression(strings.Repeat("yes ", 100)); got < mostCompression {
		t.Errorf("a text that repeats itself: %g", got)
	}
}

// How the text of a window is cut (openai/whisper, whisper/transcribe.py).
func TestCut(t *testing.T) {
	w := words(t, 51865)
	r := &transcription{Transcriber: &Transcriber{text: w}, seek: 1000}
	ts := func(seconds float64) int32 { return w.TimestampBegin + int32(math.Round(seconds*50)) }
	const hello = 2425
	for _, c := range []struct {
		name    string
		ids     []int32
		times   []float64 // of segments, from 10 s on
		advance int       // frames
	}{
		{"one, ended", []int32{ts(0), hello, ts(2)}, []float64{0, 2}, 3000},
		{"one, not ended", []int32{ts(0), hello}, []float64{0, 30}, 3000},
		{"two, ended", []int32{ts(0), hello, ts(2), ts(2.5), hello, ts(4)}, []float64{0, 2, 2.5, 4}, 3000},
		{"the second is cut off", []int32{ts(0), hello, ts(2), ts(2.5), hello}, []float64{0, 2}, 200},
		{"ended by two timestamps", []int32{ts(0), hello, ts(2), ts(2)}, []float64{0, 2}, 200},
		{"nothing is written", []int32{ts(0), ts(0)}, []float64{0, 0}, 3000},
		{"nothing at all", nil, []float64{0, 30}, 3000},
	} {
		segments, advance := r.cut(&attempt{Window: &Window{Tokens: c.ids}}, 3000)
		var times []float64
		for _, s := range segments {
			times = append(times, s.Start.Seconds()-10, s.End.Seconds()-10)
		}
		if !slices.Equal(times, c.times) || advance != c.advance {
			t.Errorf("%s: %v and %d frames, want %v and %d", c.name, times, advance, c.times, c.advance)
		}
	}
}
