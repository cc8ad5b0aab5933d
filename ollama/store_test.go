package ollama_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

func TestListShowsEveryManifestGoodOrBad(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	s.Model("hf.co/user/repo:Q4_K_M", s.Layer(ollama.RoleModel, "GGUF"))
	s.Model("smol:broken")
	writeFile(t, s.ManifestPath("smol:broken"), `{"layers":`)
	writeFile(t, filepath.Join(filepath.Dir(s.ManifestPath("smol")), "bad name"), "{}")
	writeFile(t, filepath.Join(s.Dir, "manifests", "registry.ollama.ai", ".DS_Store"), "x")
	if err := os.MkdirAll(filepath.Join(filepath.Dir(s.ManifestPath("smol")), "folder", "deeper"), 0o755); err != nil {
		t.Fatal(err)
	}

	entries, err := s.Open().List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		state := "good"
		switch {
		case errors.Is(e.Err, ollama.ErrName):
			state = "bad name " + filepath.Base(e.Path)
		case errors.Is(e.Err, ollama.ErrMalformed):
			state = "malformed"
		case e.Err != nil:
			state = e.Err.Error()
		case e.Manifest == nil || time.Since(e.Modified) > time.Hour:
			state = "incomplete"
		}
		got = append(got, e.Name.String()+" "+state)
	}
	want := []string{" bad name bad name", "hf.co/user/repo:Q4_K_M good", "smol:broken malformed", "smol:latest good"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("List:\n got %q\nwant %q", got, want)
	}
}

func writeFile(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDirExplainsWhatIsNotAStore(t *testing.T) {
	home := t.TempDir()
	models := filepath.Join(home, "models")
	writeFile(t, filepath.Join(models, "manifests", "x"), "")
	writeFile(t, filepath.Join(home, "odd", "manifests"), "")
	for _, tt := range []struct {
		name, dir string
		class     error
		want      string
	}{
		{"absent", filepath.Join(home, "no"), fs.ErrNotExist, filepath.Join(home, "no")},
		{"one level too high", home, ollama.ErrNoStore, "use " + models},
		{"a file", filepath.Join(models, "manifests", "x"), ollama.ErrNoStore, "not a directory"},
		{"manifests is a file", filepath.Join(home, "odd"), ollama.ErrNoStore, "not a directory"},
		{"one level too low", filepath.Join(models, "manifests"), ollama.ErrNoStore, "neither manifests nor blobs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ollama.Dir(tt.dir)
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Dir(%s) = %v; want %v with %q", tt.dir, err, tt.class, tt.want)
			}
		})
	}
	if _, err := ollama.Dir(models); err != nil {
		t.Errorf("Dir of a store without blobs = %v", err)
	}
}

func TestMessagesDoNotCarryControlCharacters(t *testing.T) {
	s := ollamatest.New(t)
	bad := filepath.Join(s.Dir, "manifests", "a", "b", "c", "\x1b[2J\nfake")
	if err := os.MkdirAll(filepath.Dir(bad), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, nil, 0o644); err != nil {
		t.Skip("this file system refuses the name: ", err)
	}
	entries, err := s.Open().List()
	if err != nil || len(entries) != 1 || entries[0].Err == nil {
		t.Fatalf("List = %v, %v; want one bad entry", entries, err)
	}
	if got := entries[0].Err.Error(); strings.ContainsAny(got, "\x1b\n") || !strings.Contains(got, `\x1b[2J\nfake`) {
		t.Errorf("error = %q; want the name quoted", got)
	}
}

func TestEmptyStoreListsNothing(t *testing.T) {
	s := ollamatest.New(t)
	if err := os.Remove(filepath.Join(s.Dir, "manifests")); err != nil {
		t.Fatal(err)
	}
	if entries, err := s.Open().List(); err != nil || len(entries) != 0 {
		t.Errorf("List = %v, %v; want nothing", entries, err)
	}
}

func TestManifestsCannotLeadOutOfTheStore(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	outside := ollamatest.New(t)
	outside.Example()
	symlink(t, outside.ManifestPath("smol"), s.ManifestPath("smol:out"))
	symlink(t, filepath.Dir(outside.ManifestPath("smol")), filepath.Dir(s.ManifestPath("folder")))
	symlink(t, filepath.Base(s.ManifestPath("smol")), s.ManifestPath("smol:in"))

	for _, tag := range []string{"smol:out", "folder:latest"} {
		m, err := s.Open().Resolve(parse(t, tag))
		if err == nil || m != nil {
			t.Errorf("Resolve(%s) = %v, %v; want no model", tag, m, err)
		}
	}
	if m := s.Resolve("smol:in"); m.System == "" {
		t.Error("a link inside of manifests is not followed")
	}
}

func symlink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link); err != nil {
		if runtime.GOOS == "windows" {
			t.Skip("links need a privilege here: ", err)
		}
		t.Fatal(err)
	}
}

func parse(t *testing.T, name string) ollama.Name {
	t.Helper()
	n, err := ollama.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestHugeManifestIsRefusedUnread(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("huge")
	if err := os.Truncate(s.ManifestPath("huge"), 1<<30); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := s.Open().Resolve(parse(t, "huge"))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ollama.ErrTooLarge) || !strings.Contains(err.Error(), "1073741824 bytes, at most 16777216") {
		t.Errorf("Resolve = %v; want ErrTooLarge with both sizes", err)
	}
	// 1 MiB is far more than names and messages take and far less than the file.
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("Resolve took %d bytes", got)
	}
}

func TestOpenReadsAnyFileSystem(t *testing.T) {
	s := ollamatest.New(t)
	weights := s.Example()
	files := fstest.MapFS{}
	err := filepath.WalkDir(s.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(s.Dir, p)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(p)
		files[filepath.ToSlash(rel)] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	store := ollama.Open(files)
	m, err := store.Resolve(parse(t, "smol"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Weights()
	if err != nil {
		t.Fatal(err)
	}
	if got := readBlob(t, b); got != weights {
		t.Errorf("weights differ: %d bytes; want %d", len(got), len(weights))
	}
	if want := "blobs/sha256-"; !strings.HasPrefix(b.Path, want) {
		t.Errorf("Path = %q; want it to begin with %q", b.Path, want)
	}
}
