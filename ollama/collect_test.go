package ollama_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

func names(garbage []ollama.Garbage) map[string]bool {
	out := map[string]bool{}
	for _, g := range garbage {
		out[filepath.Base(g.Path)] = true
	}
	return out
}

func TestCollectRemovesWhatNothingRefersTo(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	orphan := filepath.Base(s.BlobPath(s.Layer(ollama.RoleLicense, "nobody's").Digest))
	foreign := filepath.Join(s.Dir, "blobs", "notes.txt")
	if err := os.WriteFile(foreign, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	store := s.Open()
	if c, err := store.Collect(ollama.CollectOptions{Grace: time.Hour}); err != nil || len(c.Removed) > 0 || !names(c.Spared)[orphan] {
		t.Errorf("within the grace time: %+v, %v; want the orphan spared", c, err)
	}
	if c, err := store.Collect(ollama.CollectOptions{DryRun: true}); err != nil || !names(c.Removed)[orphan] || len(c.Removed) != 1 {
		t.Errorf("dry run: %+v, %v; want the orphan", c, err)
	}
	if n := len(files(t, s.Dir)); n != 10 {
		t.Errorf("%d files after nothing was to be removed; want 10", n)
	}
	if c, err := store.Collect(ollama.CollectOptions{}); err != nil || !names(c.Removed)[orphan] || len(c.Removed) != 1 {
		t.Errorf("Collect = %+v, %v; want the orphan", c, err)
	}
	s.Resolve("smol")
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a file of another name was removed: %v", err)
	}
}

func TestNothingIsCollectedWhileAManifestCannotBeRead(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"not JSON": func(t *testing.T, path string) { writeFile(t, path, "{") },
		"1 GB": func(t *testing.T, path string) {
			writeFile(t, path, "{")
			if err := os.Truncate(path, 1<<30); err != nil {
				t.Fatal(err)
			}
		},
		"a name that is none": func(t *testing.T, path string) { writeFile(t, filepath.Join(filepath.Dir(path), "-x"), "{}") },
	} {
		t.Run(name, func(t *testing.T) {
			s := ollamatest.New(t)
			s.Example()
			s.Model("other", s.Layer(ollama.RoleModel, "GGUF other"))
			s.Layer(ollama.RoleLicense, "nobody's")
			spoil(t, s.ManifestPath("other"))
			before := len(files(t, s.Dir))
			if _, err := s.Open().Collect(ollama.CollectOptions{}); !errors.Is(err, ollama.ErrUncertain) {
				t.Errorf("Collect = %v; want ErrUncertain", err)
			}
			r, err := s.Open().Remove(parse(t, "smol"))
			if err != nil || r.Left == "" || len(r.Removed) > 0 {
				t.Errorf("Remove = %+v, %v; want the blobs left", r, err)
			}
			if n := len(files(t, s.Dir)); n != before-1 {
				t.Errorf("%d files; want %d without the manifest", n, before)
			}
		})
	}
}

func TestCollectRemovesTheLinkNotTheFile(t *testing.T) {
	s := ollamatest.New(t)
	target := filepath.Join(t.TempDir(), "theirs")
	writeFile(t, target, "theirs")
	link := s.BlobPath(ollamatest.Digest([]byte("theirs")))
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	c, err := s.Open().Collect(ollama.CollectOptions{})
	if err != nil || len(c.Removed) != 1 || !c.Removed[0].Shared {
		t.Errorf("Collect = %+v, %v; want one link", c, err)
	}
	if _, err := os.Stat(target); err != nil {
		t.Error(err)
	}
}

func TestRemoveKeepsWhatOtherModelsUse(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	weights := s.Resolve("smol").Blobs[1].Layer
	s.Model("copy", weights, s.Layer(ollama.RoleSystem, "Only here."))
	u, err := s.Open().Usage()
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Models[0]; got.Name.Model != "copy" || got.Own != int64(len("Only here.")) || got.Shared != weights.Size || len(got.With) != 1 || got.With[0] != "smol:latest" {
		t.Errorf("use of copy = %+v; want its system prompt of its own and the weights shared with smol", got)
	}
	r, err := s.Open().Remove(parse(t, "copy"))
	if err != nil || r.Kept != 1 || len(r.Removed) != 1 {
		t.Errorf("Remove = %+v, %v; want one blob removed, one kept", r, err)
	}
	s.Resolve("smol")
	if _, err := s.Open().Remove(parse(t, "copy")); !errors.Is(err, ollama.ErrNotFound) {
		t.Errorf("removing it again = %v; want ErrNotFound", err)
	}
	if _, err := s.Open().Remove(parse(t, "smol")); err != nil {
		t.Error(err)
	}
	if got := files(t, s.Dir); len(got) > 0 {
		t.Errorf("the store still holds %v", got)
	}
	if entries, err := os.ReadDir(filepath.Join(s.Dir, "manifests")); err != nil || len(entries) > 0 {
		t.Errorf("manifests holds %v (%v); want no empty folders", entries, err)
	}
}
