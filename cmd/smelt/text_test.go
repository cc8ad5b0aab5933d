package main

import (
	"bytes"
	"fmt"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestNothingThatMovesATerminalIsPrinted(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text", "Ärger 模型 🙂\n\tx", "Ärger 模型 🙂\n\tx"},
		{"colour", "\x1b[31mred", `\u001b[31mred`},
		{"return", "a\rb\x00", `a\u000db\u0000`},
		{"C1", "a\u009b2J", `a\u009b2J`},
		{"not UTF-8", "a\xff\x9b", `a\xff\x9b`},
		{"right to left", "abc\u202etxt", `abc\u202etxt`},
		{"beyond 16 bits", "\U000e0001", `\udb40\udc01`},
	} {
		var b bytes.Buffer
		if _, err := fmt.Fprint(plain{&b, lineBreaks}, c.in); err != nil || b.String() != c.want {
			t.Errorf("%s: %q becomes %s, %v; want %s", c.name, c.in, b.String(), err, c.want)
		}
	}
	const persian = "می\u200cخواهم"
	for keep, want := range map[string]string{lineBreaks: `می\u200cخواهم`, lineBreaks + joiners: persian} {
		if got := printable(persian, keep); got != want {
			t.Errorf("%q becomes %q, want %q", persian, got, want)
		}
	}
	if got, want := inline("a\n\tb"), `a\u000a\u0009b`; got != want {
		t.Errorf("inline = %s; want %s", got, want)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\x07\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s, "\n")
		if !utf8.ValidString(got) {
			t.Fatalf("%q is not UTF-8", got)
		}
		for _, r := range got {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q holds %U", got, r)
			}
		}
		if again := printable(got, "\n"); again != got {
			t.Fatalf("%q becomes %q when it is printed again", got, again)
		}
	})
}

func TestCountsAreShort(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want string
	}{{0, "0"}, {999, "999"}, {1000, "1.00 K"}, {260032, "260 K"}, {134515008, "135 M"}, {7241732096, "7.24 B"}, {46702792704, "46.7 B"}, {1e12, "1.00 T"}} {
		if got := humanCount(c.n); got != c.want {
			t.Errorf("humanCount(%d) = %q; want %q", c.n, got, c.want)
		}
	}
}
