package main

import (
	"bytes"
	"io"
	"testing"
)

func TestTheBarNeverMovesBack(t *testing.T) {
	g := &progress{terminal: io.Discard}
	move := g.start(10)
	for _, done := range []int64{2, 7, 5} {
		move(done)
	}
	if got := g.bar.Current(); got != 7 {
		t.Errorf("the bar stands at %d; want 7", got)
	}
	g.stop()
}

func TestProgressIsLinesWhereThereIsNoTerminal(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags convertFlags
		want  string
	}{
		{"lines", convertFlags{}, "a\\u001bb\n"},
		{"quiet", convertFlags{silent: true}, ""},
		{"json", convertFlags{json: true}, ""},
	} {
		var lines bytes.Buffer
		p := &program{err: &lines, terminal: &lines}
		g := p.newProgress(&c.flags)
		if move := g.start(1); move != nil {
			t.Errorf("%s: there is a bar", c.name)
		}
		g.say("a%sb", "\x1b")
		g.stop()
		if lines.String() != c.want {
			t.Errorf("%s: %q; want %q", c.name, lines.String(), c.want)
		}
	}
}
