package ollama_test

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/ollama"
)

func TestParseNameFillsInDefaults(t *testing.T) {
	for _, tt := range []struct{ name, in, path, short string }{
		{"model", "llama3", "registry.ollama.ai/library/llama3/latest", "llama3:latest"},
		{"tag", "llama3:8b-instruct-q4_K_M", "registry.ollama.ai/library/llama3/8b-instruct-q4_K_M", "llama3:8b-instruct-q4_K_M"},
		{"namespace", "me/mine", "registry.ollama.ai/me/mine/latest", "me/mine:latest"},
		{"host", "hf.co/user/repo:Q4_K_M", "hf.co/user/repo/Q4_K_M", "hf.co/user/repo:Q4_K_M"},
		{"port", "localhost:5000/a/b", "localhost:5000/a/b/latest", "localhost:5000/a/b:latest"},
		{"scheme", "https://example.com/a/b:c", "example.com/a/b/c", "example.com/a/b:c"},
		{"dots", "qwen2.5-coder:1.5b", "registry.ollama.ai/library/qwen2.5-coder/1.5b", "qwen2.5-coder:1.5b"},
		{"default host in other case", "Registry.Ollama.AI/Library/x", "Registry.Ollama.AI/Library/x/latest", "x:latest"},
		{"underscore first", "_x:_y", "registry.ollama.ai/library/_x/_y", "_x:_y"},
		{"longest parts", strings.Repeat("h", 350) + "/" + strings.Repeat("n", 80) + "/" + strings.Repeat("m", 80) + ":" + strings.Repeat("t", 80),
			strings.Repeat("h", 350) + "/" + strings.Repeat("n", 80) + "/" + strings.Repeat("m", 80) + "/" + strings.Repeat("t", 80),
			strings.Repeat("h", 350) + "/" + strings.Repeat("n", 80) + "/" + strings.Repeat("m", 80) + ":" + strings.Repeat("t", 80)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := ollama.ParseName(tt.in)
			if err != nil {
				t.Fatalf("ParseName(%q): %v", tt.in, err)
			}
			if got := n.Path(); got != tt.path {
				t.Errorf("ParseName(%q).Path() = %q; want %q", tt.in, got, tt.path)
			}
			if got := n.String(); got != tt.short {
				t.Errorf("ParseName(%q).String() = %q; want %q", tt.in, got, tt.short)
			}
		})
	}
}

func TestParseNameSaysWhichPartIsWrong(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", "the model is empty"},
		{"only tag", ":latest", "the model is empty"},
		{"empty tag", "llama3:", "the tag is empty"},
		{"empty namespace", "/llama3", "the namespace is empty"},
		{"empty host", "/a/b", "the host is empty"},
		{"up", "..", `the model ".." has "."`},
		{"up in namespace", "../llama3", `the namespace ".." has "."`},
		{"up in host", "../../../etc/passwd", `the host "../../.." has "."`},
		{"up in tag", "llama3:..", `the tag ".." has "."`},
		{"dot in namespace", "a.b/c", `the namespace "a.b" has "."`},
		{"slash in tag", "a:b/c", `the namespace "a:b" has ":"`},
		{"backslash", `a\b`, `has "\\"`},
		{"NUL", "a\x00b", `has "\x00"`},
		{"newline", "a\nb", `has "\n"`},
		{"space", "a b", `has " "`},
		{"not ASCII", "modèle", `has "\xc3"`},
		{"digest", "a@sha256:00", `has "@"`},
		{"hyphen first", "-rf", `the model "-rf" has "-" at position 1`},
		{"absolute", "/etc/x/y", `the host "/etc" has "/"`},
		{"drive", `C:\models`, `the tag "\\models" has "\\"`},
		{"five parts", "a/b/c/d/e", `the host "a/b/c" has "/"`},
		{"long model", strings.Repeat("m", 81), "the model has 81 characters, at most 80"},
		{"long host", strings.Repeat("h", 351) + "/a/b", "the host has 351 characters, at most 350"},
		{"scheme", "file://x/a/b", `scheme "file"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := ollama.ParseName(tt.in)
			if !errors.Is(err, ollama.ErrName) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseName(%q) = %v, %v; want ErrName with %q", tt.in, n, err, tt.want)
			}
		})
	}
}

func TestNameMadeByHandCannotEscape(t *testing.T) {
	n := ollama.Name{Host: "..", Namespace: "..", Model: "..", Tag: "passwd"}
	if got := n.Path(); got != "" {
		t.Errorf("Path() = %q; want none", got)
	}
	store := ollama.Open(emptyFS{})
	if _, err := store.Resolve(n); !errors.Is(err, ollama.ErrName) {
		t.Errorf("Resolve = %v; want ErrName", err)
	}
}

// emptyFS holds nothing and fails the test of whoever asks for a bad path.
type emptyFS struct{}

func (emptyFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		panic("asked for " + name)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func TestEqualFoldComparesEachPart(t *testing.T) {
	a := ollama.Name{Host: "H.co", Namespace: "Ns", Model: "Model", Tag: "Q4"}
	for _, tt := range []struct {
		name string
		b    ollama.Name
		want bool
	}{
		{"case", ollama.Name{Host: "h.CO", Namespace: "nS", Model: "mODEL", Tag: "q4"}, true},
		{"host", ollama.Name{Host: "g.co", Namespace: "Ns", Model: "Model", Tag: "Q4"}, false},
		{"namespace", ollama.Name{Host: "H.co", Namespace: "N", Model: "Model", Tag: "Q4"}, false},
		{"model", ollama.Name{Host: "H.co", Namespace: "Ns", Model: "Models", Tag: "Q4"}, false},
		{"tag", ollama.Name{Host: "H.co", Namespace: "Ns", Model: "Model", Tag: "Q5"}, false},
	} {
		if got := a.EqualFold(tt.b); got != tt.want {
			t.Errorf("%s: EqualFold(%v, %v) = %v; want %v", tt.name, a, tt.b, got, tt.want)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"llama3", "a/b:c", "hf.co/u/r:Q4", "localhost:5000/a/b", "https://h/n/m:t", "../..", "a\x00", ":", "/", "a//b", "-", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ollama.ParseName(s)
		if err != nil {
			if n != (ollama.Name{}) || !errors.Is(err, ollama.ErrName) {
				t.Fatalf("ParseName(%q) = %v, %v; want no name and ErrName", s, n, err)
			}
			return
		}
		p := n.Path()
		if !fs.ValidPath(p) || path.Clean(p) != p || strings.Count(p, "/") != 3 || strings.ContainsAny(p, "\\\x00") {
			t.Fatalf("ParseName(%q).Path() = %q, which is not four plain elements", s, p)
		}
		again, err := ollama.ParseName(n.String())
		if err != nil || !again.EqualFold(n) {
			t.Fatalf("ParseName(%q) = %v, whose short form %q parses as %v, %v", s, n, n.String(), again, err)
		}
	})
}
