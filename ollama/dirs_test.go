package ollama_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

func TestDefaultDirsFollowEnvironmentAndSystem(t *testing.T) {
	const service = "/usr/share/ollama/.ollama/models"
	for _, tt := range []struct {
		name, env, goos, home string
		want                  []string
	}{
		{"Linux", "", "linux", "/home/u", []string{"/home/u/.ollama/models", service}},
		{"Linux without home", "", "linux", "", []string{service}},
		{"macOS", "", "darwin", "/Users/u", []string{"/Users/u/.ollama/models"}},
		{"Windows", "", "windows", `C:\Users\u`, []string{`C:\Users\u\.ollama\models`}},
		{"home with separator", "", "darwin", "/Users/u/", []string{"/Users/u/.ollama/models"}},
		{"OLLAMA_MODELS alone", "/data/models", "linux", "/home/u", []string{"/data/models"}},
		{"quotes and space", " \"/my data\" \n", "linux", "/home/u", []string{"/my data"}},
		{"single quotes", `'D:\m'`, "windows", `C:\Users\u`, []string{`D:\m`}},
		{"only quotes", `""`, "darwin", "/Users/u", []string{"/Users/u/.ollama/models"}},
		{"nothing known", "", "plan9", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := func(key string) string {
				if key != "OLLAMA_MODELS" {
					t.Errorf("asked for %s", key)
				}
				return tt.env
			}
			var got []string
			for _, c := range ollama.DefaultDirs(env, tt.goos, tt.home) {
				if c.From == "" {
					t.Errorf("%s has no reason", c.Path)
				}
				got = append(got, c.Path)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("DefaultDirs = %q; want %q", got, tt.want)
			}
		})
	}
}

func TestLocateTakesTheFirstStoreThatHoldsTheModel(t *testing.T) {
	first, second := ollamatest.New(t), ollamatest.New(t)
	first.Model("only", first.Layer(ollama.RoleModel, "1"))
	first.Model("both", first.Layer(ollama.RoleModel, "1"))
	second.Model("both", second.Layer(ollama.RoleModel, "2"))
	second.Model("late", second.Layer(ollama.RoleModel, "2"))
	dirs := []ollama.Candidate{{Path: filepath.Join(first.Dir, "absent"), From: "a"}, {Path: first.Dir, From: "b"}, {Path: second.Dir, From: "c"}}
	for _, tt := range []struct{ name, want string }{{"only", "1"}, {"both", "1"}, {"late", "2"}} {
		m, err := ollama.Locate(dirs, parse(t, tt.name))
		if err != nil {
			t.Fatal(err)
		}
		if got := readBlob(t, weightsOf(t, m)); got != tt.want {
			t.Errorf("Locate(%s) found that of store %s; want %s", tt.name, got, tt.want)
		}
	}
	_, err := ollama.Locate(dirs, parse(t, "none"))
	var search *ollama.SearchError
	if !errors.As(err, &search) || len(search.Tried) != 3 || !errors.Is(err, ollama.ErrNotFound) {
		t.Fatalf("Locate(none) = %v; want three attempts", err)
	}
	for _, d := range dirs {
		if !strings.Contains(err.Error(), d.Path+" ("+d.From+"): ") {
			t.Errorf("Locate(none) = %v; want it to tell of %s", err, d.Path)
		}
	}
}

func TestLocateDoesNotHideABrokenModel(t *testing.T) {
	first, second := ollamatest.New(t), ollamatest.New(t)
	second.Example()
	remove(t, first.BlobPath(ollamatest.Digest([]byte(first.Example()))))
	m, err := ollama.Locate([]ollama.Candidate{{Path: first.Dir}, {Path: second.Dir}}, parse(t, "smol"))
	if !errors.Is(err, ollama.ErrMissing) || m == nil || m.System == "" {
		t.Errorf("Locate = %v, %v; want the first store's model and what it lacks", m, err)
	}
}

func TestFindOpensTheFirstStore(t *testing.T) {
	s := ollamatest.New(t)
	got, err := ollama.Find([]ollama.Candidate{{Path: filepath.Join(s.Dir, "x")}, {Path: s.Dir}})
	if err != nil || got.String() != s.Dir {
		t.Errorf("Find = %v, %v; want %s", got, err, s.Dir)
	}
	if _, err := ollama.Find(nil); err == nil || !strings.Contains(err.Error(), "OLLAMA_MODELS") {
		t.Errorf("Find(nil) = %v; want what to set", err)
	}
}
