package ollama_test

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

func TestLookupIgnoresCasePerPart(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("hf.co/User/Repo:Q4_K_M")
	s.Model("smol")
	for _, tt := range []struct{ name, want string }{
		{"hf.co/user/repo:q4_k_m", "hf.co/User/Repo:Q4_K_M"},
		{"HF.CO/USER/REPO:Q4_K_M", "hf.co/User/Repo:Q4_K_M"},
		{"SMOL:Latest", "smol:latest"},
		{"smol", "smol:latest"},
	} {
		got, err := s.Open().Lookup(parse(t, tt.name))
		if err != nil || got.String() != tt.want {
			t.Errorf("Lookup(%s) = %v, %v; want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestLookupPrefersTheExactSpelling(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("two spellings side by side need a file system that tells them apart")
	}
	s := ollamatest.New(t)
	s.Model("Smol")
	s.Model("smol")
	for _, name := range []string{"Smol:latest", "smol:latest"} {
		if got, err := s.Open().Lookup(parse(t, name)); err != nil || got.String() != name {
			t.Errorf("Lookup(%s) = %v, %v", name, got, err)
		}
	}
	// Neither spelling: the first in order, so that the answer is always the same.
	if got, err := s.Open().Lookup(parse(t, "SMOL")); err != nil || got.String() != "Smol:latest" {
		t.Errorf("Lookup(SMOL) = %v, %v; want Smol:latest", got, err)
	}
}

func TestUnknownNameSuggestsTheClosest(t *testing.T) {
	s := ollamatest.New(t)
	for _, name := range []string{"llama3.2:1b", "llama3.1:8b", "qwen2.5:7b", "mistral", "phi4", "gemma3"} {
		s.Model(name)
	}
	_, err := s.Open().Resolve(parse(t, "lama3.2"))
	if !errors.Is(err, ollama.ErrNotFound) || !strings.Contains(err.Error(), "closest names in the store are llama3.2:1b, llama3.1:8b, ") {
		t.Errorf("Resolve = %v; want ErrNotFound with the closest names, the best first", err)
	}
	_, err = ollamatest.New(t).Open().Resolve(parse(t, "x"))
	if !errors.Is(err, ollama.ErrNotFound) || !strings.Contains(err.Error(), `"ollama pull x:latest"`) {
		t.Errorf("Resolve in an empty store = %v; want ErrNotFound with what to do", err)
	}
}

func TestClosestPrefersAnotherTagToAnotherModel(t *testing.T) {
	var names []ollama.Name
	for _, n := range []string{"smol:b", "smop:a", "x", "smol:a"} {
		names = append(names, parse(t, n))
	}
	got := ollama.Closest(parse(t, "smol:latest"), names, 3)
	want := []ollama.Name{parse(t, "smol:a"), parse(t, "smol:b"), parse(t, "smop:a")}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Closest = %v; want %v", got, want)
	}
	if got := ollama.Closest(parse(t, "smol"), nil, 3); len(got) != 0 {
		t.Errorf("Closest of none = %v", got)
	}
}
