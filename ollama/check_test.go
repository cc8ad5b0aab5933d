package ollama_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

func check(t *testing.T, s *ollamatest.Store, opt ollama.CheckOptions, names ...ollama.Name) *ollama.Checkup {
	t.Helper()
	c, err := s.Open().Check(context.Background(), names, opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckFindsEveryKindOfDamageAndWhatItBreaks(t *testing.T) {
	smol := []string{"smol:latest"}
	for _, tt := range []struct {
		name   string
		spoil  func(t *testing.T, s *ollamatest.Store, weights string)
		kind   ollama.FindingKind
		breaks []string
	}{
		{"missing", func(t *testing.T, _ *ollamatest.Store, weights string) { remove(t, weights) }, ollama.FindingMissing, smol},
		{"partial", func(t *testing.T, _ *ollamatest.Store, weights string) {
			remove(t, weights)
			writeFile(t, weights+"-partial", "GG")
		}, ollama.FindingPartial, smol},
		{"truncated", func(t *testing.T, _ *ollamatest.Store, weights string) { truncate(t, weights, 3) }, ollama.FindingTruncated, smol},
		{"oversize", func(t *testing.T, _ *ollamatest.Store, weights string) { truncate(t, weights, 1<<20) }, ollama.FindingOversize, smol},
		{"corrupt", func(t *testing.T, _ *ollamatest.Store, weights string) {
			b, err := os.ReadFile(weights)
			if err != nil {
				t.Fatal(err)
			}
			b[100] ^= 1
			writeFile(t, weights, string(b))
		}, ollama.FindingCorrupt, smol},
		{"zeroed", func(t *testing.T, _ *ollamatest.Store, weights string) {
			fi, err := os.Stat(weights)
			if err != nil {
				t.Fatal(err)
			}
			truncate(t, weights, 0)
			truncate(t, weights, fi.Size())
		}, ollama.FindingCorrupt, smol},
		{"a link to nothing", func(t *testing.T, _ *ollamatest.Store, weights string) {
			remove(t, weights)
			if err := os.Symlink("nowhere", weights); err != nil {
				t.Fatal(err)
			}
		}, ollama.FindingMissing, smol},
		{"a folder", func(t *testing.T, _ *ollamatest.Store, weights string) {
			remove(t, weights)
			if err := os.Mkdir(weights, 0o755); err != nil {
				t.Fatal(err)
			}
		}, ollama.FindingUnreadable, smol},
		{"manifest that does not parse", func(t *testing.T, s *ollamatest.Store, _ string) { writeFile(t, s.ManifestPath("smol"), "{") }, ollama.FindingManifest, smol},
		{"manifest of no name", func(t *testing.T, s *ollamatest.Store, _ string) {
			writeFile(t, filepath.Join(filepath.Dir(s.ManifestPath("smol")), ".DS_Store"), "")
		}, ollama.FindingManifest, nil},
		{"orphan", func(_ *testing.T, s *ollamatest.Store, _ string) { s.Layer(ollama.RoleLicense, "nobody's") }, ollama.FindingOrphan, nil},
		{"leftover", func(t *testing.T, s *ollamatest.Store, _ string) {
			writeFile(t, filepath.Join(s.Dir, "blobs", ".blob.smelt-1-1"), "")
		}, ollama.FindingLeftover, nil},
		{"foreign", func(t *testing.T, s *ollamatest.Store, _ string) {
			writeFile(t, filepath.Join(s.Dir, "blobs", "notes.txt"), "")
		}, ollama.FindingForeign, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ollamatest.New(t)
			weights := s.BlobPath(ollamatest.Digest([]byte(s.Example())))
			s.Model("healthy", s.Layer(ollama.RoleModel, "GGUF healthy"))
			tt.spoil(t, s, weights)
			c := check(t, s, ollama.CheckOptions{})
			if tt.name == "manifest that does not parse" {
				c.Findings = c.Findings[:1] // its blobs are orphans then
			}
			if len(c.Findings) != 1 || c.Findings[0].Kind != tt.kind || !reflect.DeepEqual(c.Findings[0].Breaks, tt.breaks) {
				t.Errorf("findings %+v; want one of kind %s that breaks %v", c.Findings, tt.kind, tt.breaks)
			}
			if got, want := len(c.Broken()) > 0, tt.kind != ollama.FindingOrphan && tt.kind != ollama.FindingLeftover && tt.kind != ollama.FindingForeign; got != want {
				t.Errorf("broken: %v; want %v", got, want)
			}
			if c := check(t, s, ollama.CheckOptions{}, parse(t, "healthy")); len(c.Findings) > 0 || c.Blobs != 1 {
				t.Errorf("the check of another model reads %d blobs and finds %v; want 1 and nothing", c.Blobs, c.Findings)
			}
		})
	}
}

func TestCheckDoesNotDependOnWorkers(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	for _, name := range []string{"a", "b", "c", "d"} {
		l := s.Layer(ollama.RoleModel, "GGUF"+name)
		s.Model(name, l)
		writeFile(t, s.BlobPath(l.Digest), "fugg"+name)
	}
	one, many := check(t, s, ollama.CheckOptions{Workers: 1}), check(t, s, ollama.CheckOptions{Workers: 16})
	if len(one.Findings) != 4 || text(one) != text(many) {
		t.Errorf("one worker finds\n%s\nsixteen\n%s\nwant four findings, the same", text(one), text(many))
	}
}

func text(c *ollama.Checkup) string {
	var b strings.Builder
	for _, f := range c.Findings {
		b.WriteString(string(f.Kind) + " " + f.Path + " " + strings.Join(f.Breaks, ",") + " " + f.Err.Error() + "\n")
	}
	return b.String()
}

func TestCheckStopsWhenItIsCancelled(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Open().Check(ctx, nil, ollama.CheckOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Check = %v; want Canceled", err)
	}
}
