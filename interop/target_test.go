//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// A quantizedReport is what smelt quantize --json says about size and error.
type quantizedReport struct {
	Bytes int64   `json:"bytes"`
	Bits  float64 `json:"bits_per_weight"`
	Loss  struct {
		Errors float64 `json:"squared_error"`
	} `json:"loss"`
}

// quantizedTo runs smelt quantize, and checks the size that it reports.
func quantizedTo(t *testing.T, src, dst string, args ...string) (r quantizedReport) {
	t.Helper()
	decode(t, []byte(smelt(t, append([]string{"quantize", src, dst, "--json"}, args...)...)), &r)
	if st, err := os.Stat(dst); err != nil || st.Size() != r.Bytes {
		t.Fatalf("%s: %v bytes reported, %v", dst, r.Bytes, err)
	}
	return r
}

// betterThan quantizes source by a recipe, and then to the bytes and to the bits
// per weight of that file; the error of all tensors together has to be less.
func betterThan(t *testing.T, source, recipe, ext string) (solved string) {
	t.Helper()
	dir := t.TempDir()
	ruled, solved := filepath.Join(dir, "ruled"+ext), filepath.Join(dir, "solved"+ext)
	want := quantizedTo(t, source, ruled, recipe)
	got := quantizedTo(t, source, solved, "--target-size", strconv.FormatInt(want.Bytes, 10))
	t.Logf("%s: squared error %g in %d bytes, solved %g in %d", recipe, want.Loss.Errors, want.Bytes, got.Loss.Errors, got.Bytes)
	if got.Bytes > want.Bytes || got.Loss.Errors >= want.Loss.Errors {
		t.Errorf("solved: error %g in %d bytes; %s has %g in %d", got.Loss.Errors, got.Bytes, recipe, want.Loss.Errors, want.Bytes)
	}
	got = quantizedTo(t, source, filepath.Join(dir, "bits"+ext), "--target-bpw", strconv.FormatFloat(want.Bits, 'g', -1, 64))
	if got.Bits > want.Bits || got.Loss.Errors >= want.Loss.Errors {
		t.Errorf("solved: error %g with %g bits per weight; %s has %g with %g", got.Loss.Errors, got.Bits, recipe, want.Loss.Errors, want.Bits)
	}
	return solved
}

func TestSmolLM2OfASizeIsBetterThanQ4KMAndRuns(t *testing.T) {
	var want smollm2Golden
	golden(t, &want, "smollm2", "golden.json")
	need(t, llamaCpp)
	out := betterThan(t, smollm2F16(t), "Q4_K_M", ".gguf")
	p := want.Prompts[0]
	got := llama(t, out, []prompt{{Text: p.Text, Predict: 4}})[0]
	if all := slices.Concat(got.IDs, got.Continued); !slices.Equal(all, p.Greedy[:len(all)]) {
		t.Errorf("%q continues as %v, want %v", p.Text, all, p.Greedy[:len(all)])
	}
}

func TestGeneratedModelOfASizeIsBetterThanQ4KM(t *testing.T) {
	source := filepath.Join(t.TempDir(), "dense.gguf")
	script(t, need(t, python), "make_dense.py", source)
	betterThan(t, source, "Q4_K_M", ".gguf")
}

func TestWhisperOfASizeIsBetterThanOfAType(t *testing.T) {
	source, py := need(t, model("whisper-base.pt")), need(t, python)
	speech := filepath.Join(need(t, shared), "audio", "jfk.wav")
	betterThan(t, source, "Q4_K_M", ".gguf")
	transcript := filepath.Join(t.TempDir(), "transcript.json")
	script(t, py, "whispercpp_transcribe.py", betterThan(t, source, "Q5_0", ".bin"), speech, transcript)
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
}
