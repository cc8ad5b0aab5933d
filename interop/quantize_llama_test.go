//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/quantize"
)

// smollm2F16 converts SmolLM2 to an F16 GGUF.
func smollm2F16(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "f16.gguf")
	smelt(t, "convert", need(t, model("smollm2-bin")), out, "--type", "f16")
	return out
}

// Rows of SmolLM2 are 576 and 1536 long, so that most tensors fall back; those of
// the mixture are 256 long, and its experts are stacked.
var quantizedWhole = []struct {
	name   string
	source func(*testing.T) string
	types  []string
	needs  []string // types that need an importance matrix
}{
	{"SmolLM2", smollm2F16, []string{"Q4_K_M", "Q3_K_L", "IQ4_XS"}, nil},
	{"mixture", mixture, []string{"Q4_K_M", "Q5_K_S", "Q6_K", "Q8_0", "IQ4_XS", "Q2_K", "MXFP4_MOE", "Q4_0", "TQ2_0"}, []string{"IQ2_XS", "IQ3_XXS", "Q2_K_S"}},
}

// mixture is a small model with eight experts, of f32, f16 and bf16.
func mixture(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "mixture.gguf")
	script(t, need(t, python), "make_mixture.py", out)
	return out
}

// A whole file is what llama.cpp makes: the bytes of every tensor, and the value
// of every key that it writes.
func TestQuantizedFilesEqualThoseOfLlamaCpp(t *testing.T) {
	py := need(t, python)
	need(t, ggmlBase)
	for _, m := range quantizedWhole {
		t.Run(m.name, func(t *testing.T) {
			source, imatrix := m.source(t), filepath.Join(t.TempDir(), "imatrix.gguf")
			script(t, py, "make_imatrix.py", source, imatrix)
			for _, recipe := range m.types {
				t.Run(recipe, func(t *testing.T) { sameAsLlamaCpp(t, source, recipe) })
			}
			for _, recipe := range slices.Concat(m.types, m.needs) {
				t.Run(recipe+" with importance", func(t *testing.T) { sameAsLlamaCpp(t, source, recipe, imatrix) })
			}
		})
	}
}

// sameAsLlamaCpp quantizes with smelt and with llama.cpp and compares.
func sameAsLlamaCpp(t *testing.T, source, name string, imatrix ...string) {
	t.Helper()
	recipe, err := quantize.ParseRecipe(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	got, want := filepath.Join(dir, "got.gguf"), filepath.Join(dir, "want.gguf")
	var flags []string
	for _, path := range imatrix {
		flags = append(flags, "--imatrix", path)
	}
	smelt(t, append([]string{"quantize", source, got, name}, flags...)...)
	script(t, need(t, python), "llama_quantize.py", append([]string{filepath.Dir(need(t, ggmlBase)), source, want, strconv.Itoa(int(recipe.FileType))}, flags...)...)
	sameQuantized(t, inspect(t, got), inspect(t, want))
}

// sameQuantized compares two files of one model; the order of tensors may differ.
func sameQuantized(t *testing.T, got, want inspection) {
	t.Helper()
	sameTensors(t, got.Tensors, want.Tensors)
	for key, w := range want.Metadata {
		if g := got.Metadata[key]; !reflect.DeepEqual(g, w) {
			t.Errorf("%s = %v, want %v", key, g, w)
		}
	}
	if len(want.Tensors) == 0 || len(want.Metadata) < 15 {
		t.Errorf("%d tensors and %d keys to compare with", len(want.Tensors), len(want.Metadata))
	}
}

// From the checkpoint in one pass: the same tensors as through an F16 file.
func TestQuantizingACheckpointNeedsNoFileBetween(t *testing.T) {
	dir, source := t.TempDir(), smollm2F16(t)
	direct, through := filepath.Join(dir, "direct.gguf"), filepath.Join(dir, "through.gguf")
	smelt(t, "quantize", need(t, model("smollm2-bin")), direct, "Q4_K_M")
	smelt(t, "quantize", source, through, "Q4_K_M")
	sameTensors(t, inspect(t, direct).Tensors, inspect(t, through).Tensors)
}

// The most likely token is a matter of small differences after a few words, so
// that only the beginning of an answer has to stay.
func TestLlamaRunsTheQuantizedSmolLM2(t *testing.T) {
	var want smollm2Golden
	golden(t, &want, "smollm2", "golden.json")
	need(t, llamaCpp)
	source := smollm2F16(t)
	for _, name := range []string{"Q8_0", "Q6_K", "Q4_K_M", "IQ4_XS"} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.gguf")
			smelt(t, "quantize", source, out, name)
			p := want.Prompts[0]
			got := llama(t, out, []prompt{{Text: p.Text, Predict: 4}})[0]
			all := slices.Concat(got.IDs, got.Continued)
			if !slices.Equal(all, p.Greedy[:len(all)]) {
				t.Errorf("%q continues as %v, want %v", p.Text, all, p.Greedy[:len(all)])
			}
		})
	}
}

func TestWhisperCppTranscribesWithQuantizedModels(t *testing.T) {
	py := need(t, python)
	speech := filepath.Join(need(t, shared), "audio", "jfk.wav")
	for _, name := range []string{"Q8_0", "Q5_0", "Q4_K"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			out, transcript := filepath.Join(dir, "out.bin"), filepath.Join(dir, "transcript.json")
			smelt(t, "quantize", need(t, model("whisper-base.pt")), out, name)
			script(t, py, "whispercpp_transcribe.py", out, speech, transcript)
			b, err := os.ReadFile(transcript)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Segments []segment `json:"segments_10ms"`
			}
			decode(t, b, &got)
			if text, want := wordsOf(got.Segments), "and so my fellow americans ask not what your country can do for you ask what you can do for your country"; text != want {
				t.Errorf("transcript %q, want %q", text, want)
			}
		})
	}
}

// wordsOf joins segments without case and punctuation.
func wordsOf(segments []segment) string {
	var text strings.Builder
	for _, s := range segments {
		text.WriteString(" " + s[2].(string))
	}
	letters := strings.Map(func(r rune) rune {
		if strings.ContainsRune(".,;:!?", r) {
			return -1
		}
		return r
	}, strings.ToLower(text.String()))
	return strings.Join(strings.Fields(letters), " ")
}
