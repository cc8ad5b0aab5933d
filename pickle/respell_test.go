package pickle

import (
	"math"
	"testing"
)

func TestRespellAvoidsWhatTheMachineGetsWrong(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"GLOBAL", "ccollections\nOrderedDict\n.", "Pcollections\x00OrderedDict\n."},
		{"STACK_GLOBAL", "\x8c\x01m\x8c\x01n\x93.", "\x8c\x01m\x8c\x01n\x86Q."},
		{"INST", "(K\x01im\nn\n.", "(K\x01tPm\x00n\n\x86Q."},
		{"BINPERSID", "K\x01Q.", "K\x01\x85Q."},
		{"PERSID", "Pabc\n.", "X\x03\x00\x00\x00abc\x85Q."},
		{"set", "\x8f(K\x01\x90.", "](K\x01e."},
		{"frozenset", "(K\x01\x91.", "(K\x01l."},
		{"LONG1 of nothing", "\x8a\x00.", "K\x00."},
		{"LONG4 of nothing", "\x8b\x00\x00\x00\x00.", "K\x00."},
		{"LONG1 of something", "\x8a\x01\x00.", "\x8a\x01\x00."},
		{"STRING", `S'a\'b\x41\n\\\101\q'` + "\n.", "T\x09\x00\x00\x00a'bA\n\\A\\q."},
		{"UNICODE", `V\u00e9\\u0041\U0001f642` + "\xe9\n.", "X\x0f\x00\x00\x00é\\\\u0041🙂é."},
		{"UNICODE of a narrow Python 2", `V\ud83d\ude42` + "\n.", "X\x04\x00\x00\x00🙂."},
		{"FRAME", "\x95\x01\x00\x00\x00\x00\x00\x00\x00.", "."},
		{"text that looks like instructions", "X\x02\x00\x00\x00Qc.", "X\x02\x00\x00\x00Qc."},
	} {
		got, used, err := respell([]byte(c.in), math.MaxInt)
		if err != nil || string(got) != c.want || used != len(c.in) {
			t.Errorf("%s: respell(%q) = %q, %d, %v; want %q, %d", c.name, c.in, got, used, err, c.want, len(c.in))
		}
	}
}

func TestRespellRefusesTextThatIsNone(t *testing.T) {
	for name, in := range map[string]string{
		"STRING without quotes":           "Sabc\n.",
		"STRING with one quote":           "S'\n.",
		"UNICODE with half of a pair":     `V\ud83d` + "\n.",
		"UNICODE with a pair that is not": `V\ud83dA` + "\n.",
		"UNICODE past the last character": `V\U00110000` + "\n.",
	} {
		if got, _, err := respell([]byte(in), math.MaxInt); err == nil {
			t.Errorf("%s: respell(%q) = %q, want an error", name, in, got)
		}
	}
}

func TestOffsetOfAFailureIsThatOfTheFile(t *testing.T) {
	in := []byte("\x80\x02ccollections\nOrderedDict\n)RK\x05.")
	out, _, err := respell(in, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	for back, want := range map[int]int{0: len(in) - 1, 1: len(in) - 3, 3: len(in) - 4, 4: len(in) - 5, 5: 2} {
		if got := original(in, len(out)-back); got != want {
			t.Errorf("original(%d) = %d, want %d", len(out)-back, got, want)
		}
	}
}
