package infer_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smelt-project/smelt/audio"
	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/tokenizer"
)

// whisperGolden is what openai/whisper computed with PyTorch in float32.
type whisperGolden struct {
	Greedy, Beam5 whisperTranscript
	Untimed       struct {
		Tokens   []int32
		Logprob  float64 `json:"avg_logprob"`
		NoSpeech float64 `json:"no_speech_prob"`
	} `json:"greedy_without_timestamps"`
	Languages [][]any `json:"language_probs_top5"`
	Forced    []int32 `json:"teacher_forced_tokens"`
}

type whisperTranscript struct {
	Text     string
	Segments []struct {
		Start, End  float64
		Text        string
		Tokens      []int32
		Logprob     float64 `json:"avg_logprob"`
		NoSpeech    float64 `json:"no_speech_prob"`
		Compression float64 `json:"compression_ratio"`
	}
}

var whispers = []struct{ name, file string }{{"tiny.en", "whisper-tiny.en.pt"}, {"base", "whisper-base.pt"}}

func whisper(t testing.TB, m *tensor.Model) *infer.Whisper {
	t.Helper()
	b, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := infer.NewWhisper(m, b)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func vocabulary(t testing.TB, m *tensor.Model) *tokenizer.Whisper {
	t.Helper()
	v, err := tokenizer.FromMeta(m.Meta.Get)
	if err != nil {
		t.Fatal(err)
	}
	w, err := v.Whisper()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// convertedTo returns the path of a file called name of that type.
func convertedTo(t testing.TB, path, name, recipe string) string {
	t.Helper()
	src, err := convert.Open(path, convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst := filepath.Join(t.TempDir(), name)
	plan, err := convert.NewPlan(t.Context(), src, dst, convert.Options{Type: recipe})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Run(t.Context(), dst, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	return dst
}

// recording decodes a file of the golden results.
func recording(t testing.TB, name string) []float32 {
	t.Helper()
	f, err := os.Open(outside(t, "SMELT_SHARED", filepath.Join("..", "..", "shared"), "audio", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, err := audio.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// window returns the spectrogram of the first 30 s.
func window(t testing.TB, n *infer.Whisper, samples []float32) []float32 {
	t.Helper()
	filters, err := tokenizer.MelFilters(n.Mels())
	if err != nil {
		t.Fatal(err)
	}
	mel, err := audio.NewMel(filters, n.Mels())
	if err != nil {
		t.Fatal(err)
	}
	return mel.LogMel(append(samples, make([]float32, n.Frames()*audio.Hop-len(samples))...))
}

// every returns each step-th row of x.
func every(x []float32, width, step int) []float32 {
	var out []float32
	for i := 0; i < len(x)/width; i += step {
		out = append(out, x[i*width:][:width]...)
	}
	return out
}

// residuals returns the stream after each layer.
func (s seen) residuals(part string, width, step int) (all []float32) {
	for i := 0; ; i++ {
		x, ok := s[strings.Join([]string{part, string(rune('0' + i)), "residual"}, ".")]
		if !ok {
			return all
		}
		all = append(all, every(x, width, step)...)
	}
}

// whisperLimit is between the error of float32 in PyTorch, some 1e-6, and that of
// any mistake.
const whisperLimit = 2e-5

func TestWhisperEqualsTheOriginal(t *testing.T) {
	for _, w := range whispers {
		files := []struct {
			name string
			path func(t *testing.T) string
		}{
			{"checkpoint", func(t *testing.T) string { return model(t, w.file) }},
			{"gguf", func(t *testing.T) string { return convertedTo(t, model(t, w.file), "model.gguf", "f16") }},
			{"bin", func(t *testing.T) string { return convertedTo(t, model(t, w.file), "model.bin", "f16") }},
		}
		for _, f := range files {
			t.Run(w.name+" "+f.name, func(t *testing.T) {
				equalsOriginal(t, w.name, f.path(t))
			})
		}
	}
}

func equalsOriginal(t *testing.T, name, path string) {
	var g whisperGolden
	readJSON(t, golden(t, "whisper", name, "golden.json"), &g)
	read := func(file string) []float32 { return readFloats(t, golden(t, "whisper", name, file)) }
	m := canonical(t, path)
	n, words := whisper(t, m), vocabulary(t, m)
	s := seen{}
	sound, err := n.Encode(t.Context(), window(t, n, recording(t, "jfk.wav")), s.see)
	if err != nil {
		t.Fatal(err)
	}
	defer sound.Close()
	last, err := n.Decode(t.Context(), sound, g.Forced, s.see)
	if err != nil {
		t.Fatal(err)
	}
	logits := s["decoder.logits"]
	width := len(s["encoder.final_norm"]) / (n.Frames() / 2)
	for _, c := range []struct {
		name string
		got  []float32
		file string
	}{
		{"encoder", s["encoder.final_norm"], "encoder.f32"},
		{"layers of the encoder", s.residuals("encoder", width, 150), "encoder_layers_every150th_row.f32"},
		{"layers of the decoder", s.residuals("decoder", width, 1), "decoder_layers.f32"},
		{"first logits", logits[:3*n.Vocab()], "logits_first3.f32"},
		{"last logits", logits[len(logits)-3*n.Vocab():], "logits_last3.f32"},
	} {
		e := relative(c.got, read(c.file))
		t.Logf("%s: relative error %.3g", c.name, e)
		if !(e <= whisperLimit) {
			t.Errorf("%s: relative error %.3g; want %g at most", c.name, e, whisperLimit)
		}
	}
	if !slices.Equal(last, logits[len(logits)-n.Vocab():]) {
		t.Error("Decode returns other logits than it shows")
	}
	untimed(t, n, words, sound, &g)
	language(t, n, words, sound, &g)
	recorded := recording(t, "jfk.wav")
	sameTranscript(t, transcribe(t, m, n, recorded, infer.TranscribeOptions{}), g.Greedy)
	sameTranscript(t, transcribe(t, m, n, recorded, infer.TranscribeOptions{Beam: 5, Language: "en"}), g.Beam5)
}

func untimed(t *testing.T, n *infer.Whisper, words *tokenizer.Whisper, sound *infer.Sound, g *whisperGolden) {
	t.Helper()
	start, err := words.Start("en", words.Transcribe)
	if err != nil {
		t.Fatal(err)
	}
	got, err := n.DecodeWindow(t.Context(), sound, words, infer.WindowOptions{Start: start, Untimed: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Tokens, g.Untimed.Tokens) {
		t.Errorf("without timestamps %v, want %v", got.Tokens, g.Untimed.Tokens)
	}
	close3(t, "log-probability", got.Logprob, g.Untimed.Logprob)
	close3(t, "probability of no speech", got.NoSpeech, g.Untimed.NoSpeech)
}

func language(t *testing.T, n *infer.Whisper, words *tokenizer.Whisper, sound *infer.Sound, g *whisperGolden) {
	t.Helper()
	code, p, err := n.Language(t.Context(), sound, words)
	if err != nil {
		t.Fatal(err)
	}
	want, probability := any("en"), any(1.0)
	if len(g.Languages) > 0 {
		want, probability = g.Languages[0][0], g.Languages[0][1]
	}
	if code != want {
		t.Errorf("language %s, want %s", code, want)
	}
	close3(t, "probability of the language", p, probability.(float64))
}

// close3 compares what follows from logits of the order of 30, which differ by
// whisperLimit.
func close3(t *testing.T, name string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-3) {
		t.Errorf("%s %.6f, want %.6f", name, got, want)
	}
}

func transcribe(t testing.TB, m *tensor.Model, n *infer.Whisper, samples []float32, opt infer.TranscribeOptions) *infer.Transcript {
	t.Helper()
	tr, err := infer.NewTranscriber(m, n)
	if err != nil {
		t.Fatal(err)
	}
	out, err := tr.Transcribe(t.Context(), samples, opt)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameTranscript(t *testing.T, got *infer.Transcript, want whisperTranscript) {
	t.Helper()
	if got.Text != want.Text {
		t.Errorf("text %q, want %q", got.Text, want.Text)
	}
	if len(got.Segments) != len(want.Segments) {
		t.Fatalf("%d segments, want %d", len(got.Segments), len(want.Segments))
	}
	for i, s := range got.Segments {
		w := want.Segments[i]
		if s.Text != w.Text || !slices.Equal(s.Tokens, w.Tokens) {
			t.Errorf("segment %d: %q %v, want %q %v", i, s.Text, s.Tokens, w.Text, w.Tokens)
		}
		if math.Abs(s.Start.Seconds()-w.Start) > 1e-9 || math.Abs(s.End.Seconds()-w.End) > 1e-9 {
			t.Errorf("segment %d: %v to %v, want %g to %g s", i, s.Start, s.End, w.Start, w.End)
		}
		if w.Logprob != 0 {
			close3(t, "log-probability of a segment", s.Logprob, w.Logprob)
		}
		if w.NoSpeech != 0 {
			close3(t, "probability of no speech", s.NoSpeech, w.NoSpeech)
		}
	}
}

// gettysburg is a speech of more than one window, at 44.1 kHz in stereo. The
// original heard what ffmpeg made of it: another resampler, rounded to 16 bits.
func TestLongRecordingIsTheOriginals(t *testing.T) {
	var g struct {
		Models map[string]whisperTranscript
	}
	readJSON(t, golden(t, "whisper", "gettysburg.json"), &g)
	samples := recording(t, "gettysburg.flac")
	for _, w := range whispers {
		t.Run(w.name, func(t *testing.T) {
			m := canonical(t, model(t, w.file))
			var streamed []string
			var done time.Duration
			got := transcribe(t, m, whisper(t, m), samples, infer.TranscribeOptions{
				Language: "en", Temperatures: []float64{0},
				Segment:  func(s infer.Segment) error { streamed = append(streamed, s.Text); return nil },
				Progress: func(d, _ time.Duration) { done = d },
			})
			e := wordErrors(got.Text, g.Models[w.name].Text)
			t.Logf("word error rate %.4f", e)
			if e > 0.03 {
				t.Errorf("word error rate %.3f, want at most 0.03:\n%s\n%s", e, got.Text, g.Models[w.name].Text)
			}
			if s := strings.Join(streamed, ""); s != got.Text {
				t.Errorf("the segments say %q, the text %q", s, got.Text)
			}
			if want := time.Duration(len(samples)/audio.Hop) * 10 * time.Millisecond; done != want {
				t.Errorf("%v are done, want %v", done, want)
			}
		})
	}
}

// wordErrors returns the word error rate: how many words of want were left out,
// put in or replaced, for each of its words.
func wordErrors(got, want string) float64 {
	a, b := strings.Fields(got), strings.Fields(want)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			replaced := diagonal
			if x != y {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return float64(row[len(b)]) / float64(max(1, len(b)))
}

// Quantized files run and hear the same words, but for a few.
func TestQuantizedWhisperRuns(t *testing.T) {
	samples := recording(t, "jfk.wav")
	for _, w := range whispers {
		var g whisperGolden
		readJSON(t, golden(t, "whisper", w.name, "golden.json"), &g)
		for i, c := range []struct{ file, recipe string }{{"model.gguf", "Q8_0"}, {"model.bin", "Q5_0"}, {"model.bin", "Q8_0"}, {"model.gguf", "Q5_0"}} {
			if i > 1 && w.name == "base" {
				break // the other two have the same numbers
			}
			t.Run(strings.Join([]string{w.name, c.file, c.recipe}, " "), func(t *testing.T) {
				m := canonical(t, convertedTo(t, model(t, w.file), c.file, c.recipe))
				got := transcribe(t, m, whisper(t, m), samples, infer.TranscribeOptions{})
				if e := wordErrors(plainWords(got.Text), plainWords(g.Greedy.Text)); e > 0.1 {
					t.Errorf("word error rate %.2f: %q, want %q", e, got.Text, g.Greedy.Text)
				}
			})
		}
	}
}

// plainWords leaves out what stands beside letters.
func plainWords(s string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if strings.ContainsRune(",.!?", r) {
			return -1
		}
		return r
	}, s))
}
