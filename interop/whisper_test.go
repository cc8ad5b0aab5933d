//go:build interop

package interop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// A whisperBin describes a whisper.cpp model file: peers/whisper_bin.py and the golden results use the same names.
type whisperBin struct {
	HParams     []int   `json:"hparams"`
	Mel         []int   `json:"mel"`
	MelSHA256   string  `json:"mel_sha256"`
	Vocab       int     `json:"vocab"`
	VocabSHA256 string  `json:"vocab_sha256_len_prefixed"`
	Tensors     [][]any `json:"tensors"` // name, ggml type, ne fastest first, SHA-256
	FileSHA256  string  `json:"file_sha256"`
	Size        int64   `json:"size"`
}

type segment [3]any // start and end in units of 10 ms, text

type whisperGolden struct {
	F16        whisperBin `json:"f16"`
	Transcript struct {
		Segments []segment `json:"segments_10ms"`
	} `json:"transcript_of_jfk"`
}

var whisperModels = []struct{ name, checkpoint, golden string }{
	{"tiny.en", "whisper-tiny.en.pt", "tiny.en"},
	{"base", "whisper-base.pt", "base"},
}

func TestWhisperBinEqualsWhatItsOwnConverterWrites(t *testing.T) {
	for _, m := range whisperModels {
		t.Run(m.name, func(t *testing.T) {
			var want whisperGolden
			golden(t, &want, "whisper", m.golden, "whispercpp_bin.json")
			py, out := need(t, python), filepath.Join(t.TempDir(), "out.bin")
			smelt(t, "convert", need(t, model(m.checkpoint)), out)
			var got whisperBin
			decode(t, script(t, py, "whisper_bin.py", out), &got)
			sameBin(t, got, want.F16)
		})
	}
}

// sameBin compares part by part, so that a difference in the file's digest says where it comes from.
func sameBin(t *testing.T, got, want whisperBin) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		if name != "Tensors" && !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s = %v, want %v", name, g.Field(i), w.Field(i))
		}
	}
	if len(got.Tensors) != len(want.Tensors) {
		t.Fatalf("%d tensors, want %d", len(got.Tensors), len(want.Tensors))
	}
	for i := range want.Tensors {
		if !reflect.DeepEqual(got.Tensors[i], want.Tensors[i]) {
			t.Errorf("tensor %d = %v, want %v", i, got.Tensors[i], want.Tensors[i])
		}
	}
}

func TestWhisperCppTranscribesWithTheConvertedModel(t *testing.T) {
	for _, m := range whisperModels {
		t.Run(m.name, func(t *testing.T) {
			var want whisperGolden
			golden(t, &want, "whisper", m.golden, "whispercpp_bin.json")
			out := filepath.Join(t.TempDir(), "out.bin")
			smelt(t, "convert", need(t, model(m.checkpoint)), out)
			got := want
			got.Transcript.Segments = whisperCpp(t, out, filepath.Join(need(t, shared), "audio", "jfk.wav"))
			if !reflect.DeepEqual(got.Transcript, want.Transcript) {
				t.Errorf("segments = %v, want %v", got.Transcript.Segments, want.Transcript.Segments)
			}
		})
	}
}

// whisperCpp transcribes a recording.
func whisperCpp(t *testing.T, model, audio string) []segment {
	t.Helper()
	py, transcript := need(t, python), filepath.Join(t.TempDir(), "transcript.json")
	script(t, py, "whispercpp_transcribe.py", model, audio, transcript)
	b, err := os.ReadFile(transcript)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Segments []segment `json:"segments_10ms"`
	}
	decode(t, b, &got)
	return got.Segments
}

// Reading our own .bin gives what the Python reader of the same file gives: digests and shapes outermost first.
func TestInspectDescribesAWhisperBinAsAnIndependentReaderDoes(t *testing.T) {
	py, out := need(t, python), filepath.Join(t.TempDir(), "out.bin")
	smelt(t, "convert", need(t, model("whisper-tiny.en.pt")), out)
	var bin whisperBin
	decode(t, script(t, py, "whisper_bin.py", out), &bin)
	var want []tensorInfo
	for _, row := range bin.Tensors {
		i := tensorInfo{Name: row[0].(string), DType: map[string]string{"0": "f32", "1": "f16"}[row[1].(json.Number).String()], SHA256: row[3].(string)}
		for _, d := range row[2].([]any) {
			n, err := d.(json.Number).Int64()
			if err != nil {
				t.Fatal(err)
			}
			i.Shape = append([]int{int(n)}, i.Shape...)
		}
		want = append(want, i)
	}
	got := inspect(t, out).Tensors
	withoutMel := got[:0:0]
	for _, i := range got {
		if i.Name != "mel_filters" { // a section of its own in the file, not one of its tensors
			withoutMel = append(withoutMel, i)
		}
	}
	sameTensors(t, withoutMel, want)
}
