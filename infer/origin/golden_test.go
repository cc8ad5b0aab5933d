package origin_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer/origin"
	"github.com/smelt-project/smelt/infer/trace"
)

// relative is the bar for real models: the goldens' own error against float64
// is 3e-6 (float32 sums in PyTorch), and float32 activations here add as much
// in every layer.
const relative = 2e-5

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// goldenDir is the folder of results that the original programs gave.
func goldenDir(t *testing.T, model string) string {
	t.Helper()
	return exists(t, filepath.Join(env("SMELT_SHARED", filepath.Join("..", "..", "..", "shared")), "golden", model))
}

// realModel is the path of a downloaded model.
func realModel(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("models of that size run without -short")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	return exists(t, filepath.Join(env("SMELT_CACHE", filepath.Join(home, ".cache", "smelt")), "models", name))
}

func exists(t *testing.T, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
	return path
}

func openSource(t *testing.T, path string) *convert.Source {
	t.Helper()
	src, err := convert.Open(path, convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src
}

func options(src *convert.Source) origin.Options {
	var opt origin.Options
	for _, c := range src.Configs {
		opt.Configs = append(opt.Configs, c.Meta)
	}
	return opt
}

func open[N origin.Network](t *testing.T, path string) N {
	t.Helper()
	src := openSource(t, path)
	n, err := origin.Open(src.Model, options(src))
	if err != nil {
		t.Fatal(err)
	}
	net, ok := n.(N)
	if !ok {
		t.Fatalf("%s is a %T", path, n)
	}
	return net
}

func readFloats(t *testing.T, path string) []float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

func readGolden(t *testing.T, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// streams collects what a trace shows at one operation.
type streams map[trace.Place][]float32

func (s streams) show(at trace.Place, x []float32, _ int) error {
	s[at] = slices.Clone(x)
	return nil
}

// sameWithin fails if the relative L2 difference is more than limit.
func sameWithin(t *testing.T, what string, got, want []float32, limit float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers, want %d", what, len(got), len(want))
		return
	}
	var difference, size float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		difference += d * d
		size += float64(w) * float64(w)
	}
	if r := math.Sqrt(difference / size); !(r <= limit) {
		t.Errorf("%s: relative difference %.3g, want at most %.3g", what, r, limit)
	} else {
		t.Logf("%s: relative difference %.3g", what, r)
	}
}

func largest(x []float32) int32 { return int32(slices.Index(x, slices.Max(x))) }

// greedy continues prompt until there are n tokens.
func greedy(t *testing.T, l *origin.Llama, prompt []int32, n int) []int32 {
	t.Helper()
	c := l.NewContext()
	all, next := slices.Clone(prompt), prompt
	for len(all) < n {
		logits, err := c.Forward(t.Context(), next, nil)
		if err != nil {
			t.Fatal(err)
		}
		next = []int32{largest(logits[len(logits)-l.Vocab():])}
		all = append(all, next...)
	}
	return all
}

func TestStories260KIsWhatLlama2cComputes(t *testing.T) {
	dir := filepath.Join("..", "testdata", "stories260K")
	var golden struct {
		Tokens       []int32 `json:"tokens"`
		GreedyTokens []int32 `json:"greedy_tokens"`
	}
	readGolden(t, filepath.Join(dir, "golden.json"), &golden)
	l := open[*origin.Llama](t, filepath.Join("..", "..", "testdata", "stories260K", "stories260K.pt"))
	seen := streams{}
	logits, err := l.NewContext().Forward(t.Context(), golden.Tokens, seen.show)
	if err != nil {
		t.Fatal(err)
	}
	hidden := slices.Clone(seen[trace.Place{Part: trace.Decoder, Layer: -1, Op: trace.Embedding}])
	for i := range l.Layers() {
		hidden = append(hidden, seen[trace.Place{Part: trace.Decoder, Layer: i, Op: trace.Residual}]...)
	}
	for _, c := range []struct {
		file string
		got  []float32
	}{{"hidden.f32", hidden}, {"logits.f32", logits}} {
		want := readFloats(t, filepath.Join(dir, c.file))
		if len(c.got) != len(want) {
			t.Fatalf("%s: %d numbers, want %d", c.file, len(c.got), len(want))
		}
		var worst float64
		for i, w := range want {
			worst = max(worst, math.Abs(float64(c.got[i])-float64(w)))
		}
		if !(worst <= 2e-5) {
			t.Errorf("%s: largest difference %.3g, want at most 2e-5", c.file, worst)
		}
	}
	if got := greedy(t, l, golden.GreedyTokens[:5], len(golden.GreedyTokens)); !slices.Equal(got, golden.GreedyTokens) {
		t.Errorf("greedy tokens %v, want %v", got, golden.GreedyTokens)
	}
}

func TestSmolLM2IsWhatTransformersComputes(t *testing.T) {
	dir := goldenDir(t, "smollm2")
	var golden struct {
		Prompts []struct {
			IDs []int32 `json:"ids"`
			Top struct {
				IDs    []int32   `json:"ids"`
				Logits []float32 `json:"logits"`
			} `json:"last_top20"`
			NLL    []float64 `json:"nll_per_token"`
			Greedy []int32   `json:"greedy"`
		} `json:"prompts"`
	}
	readGolden(t, filepath.Join(dir, "golden.json"), &golden)
	residual := readFloats(t, filepath.Join(dir, "residual.f32"))
	last := readFloats(t, filepath.Join(dir, "last_logits.f32"))
	for _, name := range []string{"smollm2.pt", "smollm2-bin", "smollm2-hf", "smollm2-meta"} {
		t.Run(name, func(t *testing.T) {
			l := open[*origin.Llama](t, realModel(t, name))
			seen := streams{}
			first := golden.Prompts[0]
			logits, err := l.NewContext().Forward(t.Context(), first.IDs, seen.show)
			if err != nil {
				t.Fatal(err)
			}
			inputs := slices.Clone(seen[trace.Place{Part: trace.Decoder, Layer: -1, Op: trace.Embedding}])
			for i := range l.Layers() - 1 {
				inputs = append(inputs, seen[trace.Place{Part: trace.Decoder, Layer: i, Op: trace.Residual}]...)
			}
			sameWithin(t, "residual stream", inputs, residual, relative)
			sameWithin(t, "logits", logits[len(logits)-l.Vocab():], last, relative)
			if got := greedy(t, l, first.IDs, len(first.Greedy)); !slices.Equal(got, first.Greedy) {
				t.Errorf("greedy tokens %v, want %v", got, first.Greedy)
			}
			for _, p := range golden.Prompts[1:] {
				logits, err := l.NewContext().Forward(t.Context(), p.IDs, nil)
				if err != nil {
					t.Fatal(err)
				}
				tail := logits[len(logits)-l.Vocab():]
				var top []float32
				for _, id := range p.Top.IDs {
					top = append(top, tail[id])
				}
				sameWithin(t, "top logits", top, p.Top.Logits, relative)
			}
		})
	}
}

func TestWhisperIsWhatOpenAIComputes(t *testing.T) {
	for _, name := range []string{"tiny.en", "base"} {
		t.Run(name, func(t *testing.T) {
			dir := goldenDir(t, filepath.Join("whisper", name))
			var golden struct {
				Tokens []int32 `json:"teacher_forced_tokens"`
			}
			readGolden(t, filepath.Join(dir, "golden.json"), &golden)
			w := open[*origin.Whisper](t, realModel(t, "whisper-"+name+".pt"))
			seen := streams{}
			audio, err := w.Encode(t.Context(), readFloats(t, filepath.Join(dir, "mel.f32")), seen.show)
			if err != nil {
				t.Fatal(err)
			}
			logits, err := w.NewContext(audio).Forward(t.Context(), golden.Tokens, seen.show)
			if err != nil {
				t.Fatal(err)
			}
			var encoder, decoder []float32
			encoderLayers, decoderLayers := w.Layers()
			for i := range encoderLayers {
				x := seen[trace.Place{Part: trace.Encoder, Layer: i, Op: trace.Residual}]
				width := len(x) / (w.Frames() / 2)
				for t := 0; t < w.Frames()/2; t += 150 {
					encoder = append(encoder, x[t*width:(t+1)*width]...)
				}
			}
			for i := range decoderLayers {
				decoder = append(decoder, seen[trace.Place{Part: trace.Decoder, Layer: i, Op: trace.Residual}]...)
			}
			for _, c := range []struct {
				file string
				got  []float32
			}{
				{"encoder.f32", audio.States},
				{"encoder_layers_every150th_row.f32", encoder},
				{"decoder_layers.f32", decoder},
				{"logits_first3.f32", logits[:3*w.Vocab()]},
				{"logits_last3.f32", logits[len(logits)-3*w.Vocab():]},
			} {
				sameWithin(t, c.file, c.got, readFloats(t, filepath.Join(dir, c.file)), relative)
			}
		})
	}
}
