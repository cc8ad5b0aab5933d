//go:build interop

package interop

import (
	"path/filepath"
	"strings"
	"testing"
)

// smelt and whisper.cpp hear the same words with the same file. Where a segment ends and whether there is a comma
// may differ: whisper.cpp searches with five beams over activations in f16, and has rules of its own.
func TestTranscribeHearsWhatWhisperCppHears(t *testing.T) {
	for _, m := range whisperModels {
		t.Run(m.name, func(t *testing.T) {
			audio := filepath.Join(need(t, shared), "audio")
			checkpoint, bin := need(t, model(m.checkpoint)), filepath.Join(t.TempDir(), "out.bin")
			smelt(t, "convert", checkpoint, bin)
			var theirs []string
			for _, s := range whisperCpp(t, bin, filepath.Join(audio, "jfk.wav")) {
				theirs = append(theirs, s[2].(string))
			}
			want := words(strings.Join(theirs, " "))
			for _, c := range []struct{ model, audio string }{{bin, "jfk.wav"}, {checkpoint, "jfk.wav"}, {bin, "jfk.mp3"}} {
				got := words(smelt(t, "transcribe", c.model, filepath.Join(audio, c.audio), "--quiet"))
				if got != want {
					t.Errorf("%s: %q, want %q", c.audio, got, want)
				}
			}
		})
	}
}

// words returns those of a text in lower case, without punctuation.
func words(s string) string {
	f := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return strings.ContainsRune(" \n,.!?", r) })
	return strings.Join(f, " ")
}
