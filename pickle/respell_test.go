package pickle

import (
	"io"
	"strings"
	"testing"
)

func TestSpellerAvoidsWhatTheMachineGetsWrong(t *testing.T) {
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
		got, err := io.ReadAll(&speller{b: []byte(c.in)})
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q is spelled %q, %v; want %q", c.name, c.in, got, err, c.want)
		}
	}
}

func TestSpellerRefusesTextThatIsNone(t *testing.T) {
	for name, in := range map[string]string{
		"STRING without quotes":           "Sabc\n.",
		"STRING with one quote":           "S'\n.",
		"UNICODE with half of a pair":     `V\ud83d` + "\n.",
		"UNICODE with a pair that is not": `V\ud83dA` + "\n.",
		"UNICODE past the last character": `V\U00110000` + "\n.",
	} {
		if got, err := io.ReadAll(&speller{b: []byte(in)}); err == nil {
			t.Errorf("%s: %q is spelled %q, want an error", name, in, got)
		}
	}
}

func TestOffsetOfAFailureIsThatOfTheFile(t *testing.T) {
	in := "\x80\x02ccollections\nOrderedDict\n)RK\x05."
	for _, c := range []struct{ read, want int }{{1, 0}, {2, 0}, {3, 2}, {27, 2}, {28, 27}, {29, 28}, {30, 29}, {31, 29}, {32, 31}} {
		s := &speller{b: []byte(in)}
		if _, err := io.ReadFull(s, make([]byte, c.read)); err != nil {
			t.Fatal(err)
		}
		if got := s.at(); got != c.want {
			t.Errorf("after %d bytes the machine is at %d, want %d", c.read, got, c.want)
		}
	}
}

func TestOffsetOfTextThatIsNone(t *testing.T) {
	s := &speller{b: []byte("K\x01Sabc\n.")}
	if _, err := io.ReadAll(s); err == nil || s.at() != 2 {
		t.Errorf("at %d: %v; want an error at 2", s.at(), err)
	}
}

func TestLongStringsAreReadFromThePickleItself(t *testing.T) {
	long := "B\x00\x00\x01\x00" + strings.Repeat("b", 1<<16)
	in := []byte("N" + long + "0" + long + "\x8f.")
	want := "N" + long + "0" + long + "]."
	s := &speller{b: in}
	var got []byte
	one := testing.AllocsPerRun(1, func() {
		s = &speller{b: in, own: make([]byte, 0, 2*spellAhead)}
		got = make([]byte, 0, len(want))
		for {
			c, err := s.ReadByte()
			if err != nil {
				break
			}
			got = append(got, c)
		}
	})
	if string(got) != want {
		t.Errorf("spelled %d bytes, want %d, or others", len(got), len(want))
	}
	if one > 4 {
		t.Errorf("%v allocations, want only those of this test", one)
	}
}
