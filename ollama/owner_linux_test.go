package ollama_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

// asNobody runs f in a thread that the file system does not take for root.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody = 65534
	if err := syscall.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setfsuid(0); err != nil {
			t.Error(err)
		}
	}()
	f()
}

// newShared returns a store whose folder others can enter, as t.TempDir's they
// cannot.
func newShared(t *testing.T) *ollamatest.Store {
	t.Helper()
	s := ollamatest.New(t)
	for _, dir := range []string{filepath.Dir(s.Dir), s.Dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// seal makes path unreadable, and another user's if that can be done.
func seal(t *testing.T, path string) (user string) {
	t.Helper()
	mode := fs.FileMode(0)
	user = "user "
	if os.Geteuid() == 0 {
		mode, user = 0o700, "user #54321"
		if err := os.Chown(path, 54321, 54321); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(path, 0o700); err != nil {
			t.Error(err)
		}
	})
	return user
}

func TestUnreadableStoreSaysWhoseItIs(t *testing.T) {
	for _, tt := range []struct {
		name, sealed string
		use          func(*ollama.Store) error
	}{
		{"the store", "", nil},
		{"manifests", "manifests", func(s *ollama.Store) error { _, err := s.List(); return err }},
		{"a folder in manifests", "manifests/registry.ollama.ai", resolveSmol},
		{"a manifest", "manifests/registry.ollama.ai/library/smol/latest", resolveSmol},
		{"blobs", "blobs", resolveSmol},
		{"a blob", "blobs/sha256-" + strings.TrimPrefix(ollamatest.Digest([]byte("You are a helpful AI assistant.")), "sha256:"), resolveSmol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShared(t)
			s.Example()
			sealed := filepath.Join(s.Dir, tt.sealed)
			user := seal(t, sealed)
			var err error
			asNobody(t, func() {
				var store *ollama.Store
				if store, err = ollama.Dir(s.Dir); err == nil {
					err = tt.use(store)
				}
			})
			if !errors.Is(err, fs.ErrPermission) {
				t.Fatalf("got %v; want permission denied", err)
			}
			for _, want := range []string{sealed + " belongs to " + user, "mode "} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v; want %q in it", err, want)
				}
			}
		})
	}
}

func TestStoreThatCannotBeWrittenIsLeftAsItIs(t *testing.T) {
	for _, sealed := range []string{"blobs", "manifests"} {
		t.Run(sealed, func(t *testing.T) {
			s := newShared(t)
			path, _ := weightsFile(t, s.Dir)
			dir := filepath.Join(s.Dir, sealed)
			if err := os.Chmod(dir, 0o555); err != nil {
				t.Fatal(err)
			}
			other := filepath.Join(s.Dir, map[string]string{"blobs": "manifests", "manifests": "blobs"}[sealed])
			if err := os.Chmod(other, 0o777); err != nil {
				t.Fatal(err)
			}
			store, n := s.Open(), parse(t, "mine")
			asNobody(t, func() {
				_, err := add(store, n, path, ollama.AddOptions{Copy: true})
				if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), " belongs to user ") {
					t.Errorf("adding a model = %v; want permission denied, and whose the store is", err)
				}
			})
			if got := files(t, dir); len(got) > 0 {
				t.Errorf("%s holds %v", sealed, got)
			}
			c, err := store.Check(t.Context(), nil, ollama.CheckOptions{})
			if err != nil || len(c.Broken()) > 0 {
				t.Errorf("check = %+v, %v; want nothing broken", c, err)
			}
		})
	}
}

func resolveSmol(s *ollama.Store) error {
	n, err := ollama.ParseName("smol")
	if err == nil {
		_, err = s.Resolve(n)
	}
	return err
}

func TestLocateTellsOfUnreadableStoresToo(t *testing.T) {
	empty, service := newShared(t), newShared(t)
	empty.Model("other")
	service.Example()
	user := seal(t, service.Dir)
	dirs := []ollama.Candidate{{Path: empty.Dir, From: "the first"}, {Path: service.Dir, From: "the second"}}
	n := parse(t, "smol")
	asNobody(t, func() {
		_, err := ollama.Locate(dirs, n)
		if !errors.Is(err, ollama.ErrNotFound) || !errors.Is(err, fs.ErrPermission) {
			t.Fatalf("Locate = %v; want both reasons", err)
		}
		for _, want := range []string{empty.Dir + " (the first): ", "other:latest", service.Dir + " (the second): ", "belongs to " + user} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Locate = %v; want %q in it", err, want)
			}
		}
	})
}

func TestPipesAreNotWaitedFor(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	digest := ollamatest.Digest([]byte("You are a helpful AI assistant."))
	for _, path := range []string{s.BlobPath(digest), s.ManifestPath("pipe")} {
		if err := errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o755), syscall.Mkfifo(path, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, store := range []*ollama.Store{s.Open(), ollama.Open(os.DirFS(s.Dir))} {
		for _, name := range []string{"smol", "pipe"} {
			if _, err := store.Resolve(parse(t, name)); !errors.Is(err, ollama.ErrIrregular) {
				t.Errorf("Resolve(%s) = %v; want ErrIrregular", name, err)
			}
		}
	}
}
