package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFlagsMayFollowArguments(t *testing.T) {
	app := (&program{}).app()
	for _, c := range []struct{ name, in, want string }{
		{"before", "smelt convert --force a b", "smelt convert --force -- a b"},
		{"after", "smelt convert a b --force", "smelt convert --force -- a b"},
		{"between", "smelt convert a --type f16 b", "smelt convert --type f16 -- a b"},
		{"one dash", "smelt convert a b -type f16", "smelt convert -type f16 -- a b"},
		{"equals", "smelt convert a b --type=f16", "smelt convert --type=f16 -- a b"},
		{"value like a flag", "smelt convert a b --meta --x=y", "smelt convert --meta --x=y -- a b"},
		{"value like an argument", "smelt convert --workers 2 a b", "smelt convert --workers 2 -- a b"},
		{"arguments after dashes", "smelt convert --force -- -a --b", "smelt convert --force -- -a --b"},
		{"a dash alone", "smelt scan - --json", "smelt scan --json -- -"},
		{"value missing", "smelt convert a b --type", "smelt convert --type"},
		{"no arguments", "smelt scan --json", "smelt scan --json"},
		{"unknown flag", "smelt scan a --nope", "smelt scan --nope -- a"},
		{"no command", "smelt --version", "smelt --version"},
		{"unknown command", "smelt nope --x", "smelt nope --x"},
		{"completion", "smelt convert a --ty --generate-bash-completion", "smelt convert a --ty --generate-bash-completion"},
	} {
		got := reorder(app.Commands, strings.Fields(c.in))
		if want := strings.Fields(c.want); !slices.Equal(got, want) {
			t.Errorf("%s: reorder(%s) = %q; want %q", c.name, c.in, got, want)
		}
	}
}
