package ollama_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

var config = &ollama.Config{Format: "gguf", Family: "llama", Architecture: "amd64", OS: "linux"}

// weightsFile writes a file of some megabytes that was last written an hour ago.
func weightsFile(t *testing.T, dir string) (path, content string) {
	t.Helper()
	content = "GGUF" + strings.Repeat("0123456789abcdef", 1<<17)
	path = filepath.Join(dir, "weights.gguf")
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(path, []byte(content), 0o644), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// add puts a model with the weights of path and a template into the store.
func add(s *ollama.Store, n ollama.Name, path string, opt ollama.AddOptions) (*ollama.Added, error) {
	ctx := context.Background()
	a, err := s.Add(n, opt)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(a.Import(ctx, ollama.RoleModel, path, nil), a.Write(ctx, ollama.RoleTemplate, []byte("{{ .Prompt }}"))); err != nil {
		return nil, errors.Join(err, a.Abort())
	}
	return a.Commit(ctx, config)
}

func mustAdd(t *testing.T, s *ollama.Store, name, path string, opt ollama.AddOptions) *ollama.Added {
	t.Helper()
	added, err := add(s, parse(t, name), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// wantClean fails if a check finds anything.
func wantClean(t *testing.T, s *ollama.Store) {
	t.Helper()
	c, err := s.Check(context.Background(), nil, ollama.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.Findings {
		t.Errorf("check finds %s %s: %v", f.Kind, f.Path, f.Err)
	}
}

// files lists everything below dir.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAddedModelIsTheFileUnchanged(t *testing.T) {
	for _, opt := range []ollama.AddOptions{{}, {Copy: true}, {Sums: t.TempDir()}} {
		s := ollamatest.New(t)
		path, content := weightsFile(t, t.TempDir())
		added := mustAdd(t, s.Open(), "mine:tiny", path, opt)
		m := s.Resolve("mine:tiny")
		if m.Template != "{{ .Prompt }}" || m.Config.Family != "llama" || m.Manifest.ID != added.ID {
			t.Errorf("template %q, family %q, ID %s; want those that were added, ID %s", m.Template, m.Config.Family, m.Manifest.ID, added.ID)
		}
		b, err := m.Weights()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(b.Path); err != nil || string(got) != content {
			t.Errorf("the blob has %d other bytes (%v)", len(got), err)
		}
		want := map[bool][]ollama.Storage{true: {ollama.Copied}, false: {ollama.Cloned, ollama.Linked}}[opt.Copy]
		if how := added.Blobs[0].Storage; how != want[0] && how != want[len(want)-1] {
			t.Errorf("with %+v the weights were %s (%s); want one of %v", opt, how, added.Blobs[0].Why, want)
		}
		wantClean(t, s.Open())
		if n := len(files(t, s.Dir)); n != 4 {
			t.Errorf("%d files in the store; want a manifest and 3 blobs: %v", n, files(t, s.Dir))
		}
	}
}

func TestDigestOfALinkedFileIsRememberedForTheNextModel(t *testing.T) {
	s, sums := ollamatest.New(t), t.TempDir()
	path, _ := weightsFile(t, t.TempDir())
	first := mustAdd(t, s.Open(), "one", path, ollama.AddOptions{Sums: sums})
	if first.Blobs[0].Storage == ollama.Cloned {
		t.Skip("the file system clones, so there is no link")
	}
	a, err := s.Open().Add(parse(t, "two"), ollama.AddOptions{Sums: sums})
	if err != nil {
		t.Fatal(err)
	}
	read := int64(0)
	if err := a.Import(context.Background(), ollama.RoleModel, path, func(n int64) { read = n }); err != nil {
		t.Fatal(err)
	}
	added, err := a.Commit(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	if read != 0 || added.Blobs[0].Storage != ollama.Present {
		t.Errorf("%d bytes were read, the blob is %s; want none, present", read, added.Blobs[0].Storage)
	}
}

func TestNameInUseIsRefusedUnlessReplaced(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	path, _ := weightsFile(t, t.TempDir())
	before := s.Resolve("smol").Manifest.ID
	if _, err := add(s.Open(), parse(t, "smol"), path, ollama.AddOptions{}); !errors.Is(err, ollama.ErrExists) {
		t.Errorf("adding over a model = %v; want ErrExists", err)
	}
	if _, err := add(s.Open(), parse(t, "SMOL"), path, ollama.AddOptions{}); !errors.Is(err, ollama.ErrExists) {
		t.Errorf("adding in other case over a model = %v; want ErrExists", err)
	}
	if got := s.Resolve("smol").Manifest.ID; got != before {
		t.Errorf("the model became %s", got)
	}
	if got := mustAdd(t, s.Open(), "SMOL", path, ollama.AddOptions{Replace: true}).Name.Model; got != "smol" {
		t.Errorf("the model is now spelled %s; want the spelling of the store", got)
	}
	if len(s.Resolve("smol").Template) != len("{{ .Prompt }}") {
		t.Error("the model was not replaced")
	}
}

func TestNamesThatCannotBeAdded(t *testing.T) {
	s := ollamatest.New(t)
	path, _ := weightsFile(t, t.TempDir())
	for _, n := range []ollama.Name{
		{Host: "registry.ollama.ai", Namespace: "library", Model: "..", Tag: "latest"},
		{Host: "registry.ollama.ai", Namespace: "library", Model: "a", Tag: "../../x"},
		{Host: "/", Namespace: "library", Model: "a", Tag: "latest"},
		{Host: "registry.ollama.ai", Namespace: "library", Model: "a", Tag: "cloud"},
		{Host: "registry.ollama.ai", Namespace: "library", Model: "a", Tag: "7b-cloud"},
		{Host: "registry.ollama.ai", Namespace: "library", Model: "a", Tag: "local"},
	} {
		if _, err := add(s.Open(), n, path, ollama.AddOptions{}); !errors.Is(err, ollama.ErrName) {
			t.Errorf("Add(%+v) = %v; want ErrName", n, err)
		}
	}
	if got := files(t, s.Dir); len(got) > 0 {
		t.Errorf("the store holds %v", got)
	}
}

func TestLinksOutOfTheStoreAreNotWrittenThrough(t *testing.T) {
	outside := t.TempDir()
	path, _ := weightsFile(t, t.TempDir())
	for _, link := range []string{"registry.ollama.ai", "registry.ollama.ai/library", "registry.ollama.ai/library/mine"} {
		s := ollamatest.New(t)
		at := filepath.Join(s.Dir, "manifests", filepath.FromSlash(link))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(outside, at)); err != nil {
			t.Fatal(err)
		}
		if _, err := add(s.Open(), parse(t, "mine"), path, ollama.AddOptions{}); err == nil {
			t.Errorf("a model was added through the link %s", link)
		}
		if got := files(t, outside); len(got) > 0 {
			t.Fatalf("%v appeared outside the store", got)
		}
	}
}

func TestWrongContentUnderTheDigestIsReplaced(t *testing.T) {
	path, content := weightsFile(t, t.TempDir())
	wrong := "X" + content[1:]
	for _, name := range []string{"a file", "a link out of the store"} {
		s := ollamatest.New(t)
		blob := s.BlobPath(ollamatest.Digest([]byte(content)))
		target := blob
		if name != "a file" {
			target = filepath.Join(t.TempDir(), "theirs")
			if err := os.Symlink(target, blob); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(target, []byte(wrong), 0o644); err != nil {
			t.Fatal(err)
		}
		mustAdd(t, s.Open(), "mine", path, ollama.AddOptions{})
		wantClean(t, s.Open())
		if target != blob {
			if got, err := os.ReadFile(target); err != nil || string(got) != wrong {
				t.Errorf("what the link led to was changed (%v)", err)
			}
		}
	}
}

func TestFileThatChangesWhileItIsReadIsRefused(t *testing.T) {
	for _, opt := range []ollama.AddOptions{{}, {Copy: true}} {
		s := ollamatest.New(t)
		path, _ := weightsFile(t, t.TempDir())
		a, err := s.Open().Add(parse(t, "mine"), opt)
		if err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		err = a.Import(context.Background(), ollama.RoleModel, path, func(int64) {
			once.Do(func() {
				if err := os.WriteFile(path, []byte("other"), 0o644); err != nil {
					t.Error(err)
				}
			})
		})
		if !errors.Is(err, ollama.ErrChanged) {
			t.Errorf("Import with %+v = %v; want ErrChanged", opt, err)
		}
		if err := a.Abort(); err != nil {
			t.Error(err)
		}
		if got := files(t, s.Dir); len(got) > 0 {
			t.Errorf("the store holds %v", got)
		}
	}
}

func TestBlobsMoveFromOneStoreToAnotherAsTheyAre(t *testing.T) {
	from, to := ollamatest.New(t), ollamatest.New(t)
	from.Example()
	m := from.Resolve("smol")
	a, err := to.Open().Add(parse(t, "smol"), ollama.AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Blobs {
		if err := a.ImportBlob(context.Background(), &m.Blobs[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Commit(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	got := to.Resolve("smol")
	if got.Manifest.Config != m.Manifest.Config {
		t.Errorf("the config is %+v; want %+v", got.Manifest.Config, m.Manifest.Config)
	}
	for i, l := range m.Manifest.Layers {
		if got.Manifest.Layers[i] != l {
			t.Errorf("layer %d is %+v; want %+v", i, got.Manifest.Layers[i], l)
		}
	}
	wantClean(t, to.Open())
}

func TestBlobThatIsNotItsDigestIsNotTakenOver(t *testing.T) {
	from, to := ollamatest.New(t), ollamatest.New(t)
	weights := from.Example()
	m := from.Resolve("smol")
	b, err := m.Weights()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.Path, []byte("X"+weights[1:]), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := to.Open().Add(parse(t, "smol"), ollama.AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.ImportBlob(context.Background(), b, nil); !errors.Is(err, ollama.ErrDigest) {
		t.Errorf("ImportBlob = %v; want ErrDigest", err)
	}
	if err := a.Abort(); err != nil {
		t.Error(err)
	}
	if got := files(t, to.Dir); len(got) > 0 {
		t.Errorf("the store holds %v", got)
	}
}

func TestWritersAtOnceLeaveWholeModels(t *testing.T) {
	s := ollamatest.New(t)
	path, _ := weightsFile(t, t.TempDir())
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for i := range 12 {
		wg.Go(func() {
			name := fmt.Sprintf("mine%d", i%3) // four writers each
			n, err := ollama.ParseName(name)
			if err == nil {
				_, err = add(s.Open(), n, path, ollama.AddOptions{Copy: i%2 == 0, Replace: i < 6})
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, ollama.ErrExists):
				refused++
			case err != nil:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 3 {
		s.Resolve(fmt.Sprintf("mine%d", i))
	}
	wantClean(t, s.Open())
	if refused > 6 {
		t.Errorf("%d writers were refused, but 6 may replace", refused)
	}
}

func TestLeftoversOfKilledWritersAreRemoved(t *testing.T) {
	s := ollamatest.New(t)
	path, _ := weightsFile(t, t.TempDir())
	for _, left := range []string{"blobs/.blob.smelt-1-0", "blobs/.sha256-00.smelt-123", "manifests/.latest.smelt-77"} {
		if err := os.WriteFile(filepath.Join(s.Dir, left), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustAdd(t, s.Open(), "mine", path, ollama.AddOptions{})
	wantClean(t, s.Open())
	if n := len(files(t, s.Dir)); n != 4 {
		t.Errorf("%d files in the store; want 4: %v", n, files(t, s.Dir))
	}
}

func TestDownloadInProgressIsLeftAlone(t *testing.T) {
	s := ollamatest.New(t)
	path, content := weightsFile(t, t.TempDir())
	partial := s.BlobPath(ollamatest.Digest([]byte(content))) + "-partial"
	for _, p := range []string{partial, partial + "-0"} {
		if err := os.WriteFile(p, []byte(`{"N":0,"Size":10,"Completed":5}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustAdd(t, s.Open(), "mine", path, ollama.AddOptions{})
	c, err := s.Open().Collect(ollama.CollectOptions{Grace: ollama.DefaultGrace})
	if err != nil || len(c.Removed) != 0 || len(c.Spared) != 2 {
		t.Errorf("Collect = %+v, %v; want two files spared", c, err)
	}
	for _, p := range []string{partial, partial + "-0"} {
		if _, err := os.Stat(p); err != nil {
			t.Error(err)
		}
	}
}

func TestCreateMakesAStoreButOfNothingElse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "models")
	path, _ := weightsFile(t, t.TempDir())
	for range 2 {
		s, err := ollama.Create(dir)
		if err != nil {
			t.Fatal(err)
		}
		mustAdd(t, s, "mine", path, ollama.AddOptions{Replace: true})
		wantClean(t, s)
	}
	if _, err := ollama.Create(filepath.Dir(path)); !errors.Is(err, ollama.ErrNoStore) {
		t.Errorf("Create in a folder of other files = %v; want ErrNoStore", err)
	}
	if _, err := ollama.Create(filepath.Join(dir, "x", "y")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create below a folder that is not there = %v; want ErrNotExist", err)
	}
}
