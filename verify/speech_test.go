package verify

import (
	"strings"
	"testing"

	"github.com/smelt-project/smelt/convert"
)

func TestWhisperWritesTheSame(t *testing.T) {
	p := pairOf(t, modelOf(t, "whisper-tiny.en.pt"), convert.Options{Type: "Q8_0"})
	report := run(t, p, Options{Backends: backend(t)})
	for _, f := range report.Failures() {
		t.Errorf("%+v", f)
	}
	for _, f := range report.Findings {
		if f.Metric == WordErrors {
			if !strings.Contains(f.Expected, "ask not what your country can do for you") || f.Got > 0.1 {
				t.Errorf("the original hears %s, the result %s", f.Expected, f.Found)
			}
			return
		}
	}
	t.Error("no transcripts were compared")
}

func TestWordErrorRate(t *testing.T) {
	for _, c := range []struct {
		want, got string
		rate      float64
	}{
		{"a b c d", "a b c d", 0},
		{"a b c d", "a x c d", 0.25},
		{"a b c d", "a b d", 0.25},
		{"a b c d", "a b c c d", 0.25},
		{"a b c d", "", 1},
		{"", "", 0},
	} {
		if got := wordErrors(strings.Fields(c.want), strings.Fields(c.got)); got != c.rate {
			t.Errorf("wordErrors(%q, %q) = %v, want %v", c.want, c.got, got, c.rate)
		}
	}
}
