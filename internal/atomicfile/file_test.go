package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Nameless and named files keep the same promises.
var creators = map[string]func(dir, base string) (*File, error){"platform": Create, "named": CreateNamed}

func TestFileAppearsWhenPublishedOnly(t *testing.T) {
	for name, create := range creators {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := create(dir, "a")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString("new"); err != nil {
				t.Fatal(err)
			}
			wantNoResult(t, dir)
			if err := errors.Join(f.Sync(), f.Publish("b", Keep), SyncDir(dir)); err != nil {
				t.Fatal(err)
			}
			if err := f.Discard(); err != nil {
				t.Errorf("Discard after Publish = %v", err)
			}
			wantFiles(t, dir, map[string]string{"b": "new"})
		})
	}
}

func TestDiscardLeavesNothing(t *testing.T) {
	for name, create := range creators {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := create(dir, "a")
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Discard(); err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, nil)
		})
	}
}

func TestExistingFileIsKeptOrReplaced(t *testing.T) {
	for name, create := range creators {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a"), []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := create(dir, "a")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString("new"); err != nil {
				t.Fatal(err)
			}
			if err := f.Publish("a", Keep); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Publish(Keep) over a file = %v; want ErrExist", err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(got) != "old" {
				t.Errorf("the file holds %q (%v); want the old content", got, err)
			}
			if err := f.Publish("a", Replace); err != nil {
				t.Fatal(err)
			}
			if err := f.Discard(); err != nil {
				t.Error(err)
			}
			wantFiles(t, dir, map[string]string{"a": "new"})
		})
	}
}

func TestLinkKeepsOrReplaces(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(t.TempDir(), "src")
	for path, content := range map[string]string{src: "new", filepath.Join(dir, "a"): "old"} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Link(src, dir, "a", Keep); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Link(Keep) over a file = %v; want ErrExist", err)
	}
	for range 2 { // the second time, both are one file already
		if err := Link(src, dir, "a", Replace); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dir, map[string]string{"a": "new"})
	}
	if err := Link(src, dir, "b", Keep); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, map[string]string{"a": "new", "b": "new"})
}

func TestCloneCopiesOrSaysThatItCannot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "src")
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	src, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	f, err := Create(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Clone(src); err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Clone = %v; want ErrUnsupported if it cannot", err)
		}
		if err := f.Discard(); err != nil {
			t.Error(err)
		}
		return
	}
	if err := errors.Join(f.Publish("a", Keep), f.Discard()); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, map[string]string{"src": "content", "a": "content"})
}

func TestTemporaryNameIsLockedWhileItsWriterLives(t *testing.T) {
	dir := t.TempDir()
	f, err := CreateNamed(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if locked, err := TryLock(other); locked || err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("this system cannot lock files")
		}
		t.Errorf("TryLock = %v, %v; want false while the writer lives", locked, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if locked, err := TryLock(other); !locked || err != nil {
		t.Errorf("TryLock = %v, %v; want true after the writer has gone", locked, err)
	}
}

// wantNoResult fails if dir holds anything but temporary names.
func wantNoResult(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.Contains(e.Name(), TempMark) {
			t.Errorf("%s is there before it is complete", e.Name())
		}
	}
}

func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Errorf("the folder holds %v; want %v", entries, want)
	}
	for name, content := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != content {
			t.Errorf("%s holds %q (%v); want %q", name, got, err, content)
		}
	}
}
