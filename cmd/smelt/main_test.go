package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the expected output in the scripts anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"smelt": main})
}

func TestScripts(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Cmds:          scriptCommands,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("STORIES", filepath.Join(root, "testdata", "stories260K"))
			env.Setenv("RECITER", filepath.Join(root, "testdata", "reciter"))
			env.Setenv("OLLAMA_MODELS", filepath.Join(env.WorkDir, "no-store"))
			return nil
		},
	})
}

// smelt runs a command line in this process and returns what it did.
func smelt(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), append([]string{"smelt"}, args...), &out, &err)
	return code, out.String(), err.String()
}

// A cancelling writer ends a context at the first line that holds what.
type cancelling struct {
	all    bytes.Buffer
	what   string
	cancel context.CancelFunc
}

func (c *cancelling) Write(b []byte) (int, error) {
	if strings.Contains(string(b), c.what) {
		c.cancel()
	}
	return c.all.Write(b)
}

func TestAnInterruptedConversionLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &cancelling{what: "→", cancel: cancel}
	args := []string{"smelt", "convert", filepath.Join("..", "..", "testdata", "stories260K", "stories260K.pt"), filepath.Join(dir, "out.gguf")}
	if code := run(ctx, args, &bytes.Buffer{}, stderr); code != 1 || !strings.Contains(stderr.all.String(), "smelt: interrupted, nothing was written\n") {
		t.Errorf("exit %d, %q; want 1 and a word about the interruption", code, stderr.all.String())
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the folder holds %v, %v; want nothing", left, err)
	}
}

func TestWithJSONAFailureIsOneObject(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		word string
	}{
		{"inspect, no file", []string{"inspect", "no-such-file", "--json"}, 1, "no-such-file"},
		{"inspect, no argument", []string{"inspect", "--json"}, 2, "PATH"},
		{"convert, wrong type", []string{"convert", "--json", "a", "b.gguf", "--type", "nope"}, 2, "nope"},
	} {
		code, stdout, stderr := smelt(t, c.args...)
		var got failure
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Errorf("%s: %v in %q", c.name, err, stdout)
		}
		if code != c.code || got.Exit != c.code || !strings.Contains(got.Error, c.word) || stderr != "smelt: "+got.Error+"\n" {
			t.Errorf("%s: exit %d, %+v, stderr %q; want exit %d and %q in both", c.name, code, got, stderr, c.code, c.word)
		}
	}
}

func TestEveryExampleInHelpHasKnownFlags(t *testing.T) {
	app := (&program{}).app()
	for _, command := range app.Commands {
		examples := strings.Split(command.UsageText, "\n")
		for _, line := range examples[min(2, len(examples)):] {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "smelt" || words[1] != command.Name {
				t.Errorf("help of %s has the example %q", command.Name, line)
				continue
			}
			flags, _ := split(command, words[2:])
			for _, word := range flags {
				if name, ok := strings.CutPrefix(word, "--"); ok && !hasFlag(command.Flags, name) {
					t.Errorf("example %q has the unknown flag %s", line, word)
				}
			}
		}
	}
}
