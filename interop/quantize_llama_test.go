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

// quantizedFileTypes are the recipes whose files are compared whole. Rows of
// SmolLM2 are 576 and 1536 long: most tensors fall back.
var quantizedFileTypes = []string{"Q4_K_M", "Q3_K_L", "IQ4_XS", "Q8_0", "Q6_K", "Q2_K"}

// smollm2F16 converts SmolLM2 to an F16 GGUF.
func smollm2F16(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "f16.gguf")
	smelt(t, "convert", need(t, model("smollm2-bin")), out, "--type", "f16")
	return out
}

// A whole file is what llama.cpp makes: the bytes of every tensor, and the value
// of every key that both write.
func TestQuantizedFilesEqualThoseOfLlamaCpp(t *testing.T) {
	py, libraries := need(t, python), filepath.Dir(need(t, ggmlBase))
	source := smollm2F16(t)
	imatrix := filepath.Join(t.TempDir(), "imatrix.gguf")
	script(t, py, "make_imatrix.py", source, imatrix)
	for _, name := range quantizedFileTypes {
		recipe, err := quantize.ParseRecipe(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, weights := range [][]string{nil, {imatrix}} {
			t.Run(name+strings.Repeat(" with importance", len(weights)), func(t *testing.T) {
				dir := t.TempDir()
				got, want := filepath.Join(dir, "got.gguf"), filepath.Join(dir, "want.gguf")
				args := []string{"quantize", source, got, name}
				if weights != nil {
					args = append(args, "--imatrix", imatrix)
				}
				smelt(t, args...)
				script(t, py, "llama_quantize.py", append([]string{libraries, source, want, strconv.Itoa(int(recipe.FileType))}, weights...)...)
				sameQuantized(t, inspect(t, got), inspect(t, want))
			})
		}
	}
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
	if len(want.Tensors) == 0 || len(want.Metadata) < 20 {
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
