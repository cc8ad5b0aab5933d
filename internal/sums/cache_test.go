package sums

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// aged returns an open file that holds "one" and was written a while ago.
func aged(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func sumOf(t *testing.T, c Cache, f *os.File) Sum {
	t.Helper()
	s, err := c.Of(context.Background(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(content); s.Hex != hex.EncodeToString(want[:]) {
		t.Errorf("the sum of %q is %s; want %x", content, s.Hex, want)
	}
	return s
}

func needIdentity(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("sums are not remembered on " + runtime.GOOS)
	}
}

func TestSumIsRememberedUntilTheFileChanges(t *testing.T) {
	needIdentity(t)
	c := In(filepath.Join(t.TempDir(), "cache"))
	f := aged(t)
	if sumOf(t, c, f).Remembered {
		t.Error("the first sum is remembered")
	}
	if !sumOf(t, c, f).Remembered {
		t.Error("the second sum is not remembered")
	}
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("two"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(f.Name(), fi.ModTime(), fi.ModTime()); err != nil {
		t.Fatal(err)
	}
	if sumOf(t, c, f).Remembered {
		t.Error("a change is not noticed whose time of modification was set back")
	}
}

func TestFileThatWasJustWrittenIsNotRemembered(t *testing.T) {
	c := In(t.TempDir())
	f := aged(t)
	if err := os.Chtimes(f.Name(), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	sumOf(t, c, f)
	if sumOf(t, c, f).Remembered {
		t.Error("a file is remembered that could change without a new time")
	}
}

func TestLinkDoesNotLoseTheSum(t *testing.T) {
	needIdentity(t)
	c := In(t.TempDir())
	f := aged(t)
	s := sumOf(t, c, f)
	if err := os.Link(f.Name(), f.Name()+".link"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Renew(f, s); err != nil {
		t.Fatal(err)
	}
	if !sumOf(t, c, f).Remembered {
		t.Error("the sum is lost")
	}
	if _, err := f.WriteAt([]byte("two"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Renew(f, s); !errors.Is(err, ErrChanged) {
		t.Errorf("Renew after a write = %v; want ErrChanged", err)
	}
}

func TestZeroCacheAndBadRecordsRememberNothing(t *testing.T) {
	f := aged(t)
	sumOf(t, Cache{}, f)
	if sumOf(t, Cache{}, f).Remembered {
		t.Error("the zero Cache remembers")
	}
	dir := t.TempDir()
	c := In(dir)
	sumOf(t, c, f)
	records, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range records {
		if err := os.WriteFile(path, []byte(`{"sha256":"00"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if sumOf(t, c, f).Remembered {
		t.Error("a bad record is believed")
	}
}

func TestCacheThatCannotBeWrittenIsNoFailure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	sumOf(t, In(filepath.Join(file, "cache")), aged(t))
}

func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "f")
	const size = 64 << 20
	if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.SetBytes(size)
	for b.Loop() {
		if _, err := Read(context.Background(), f, nil); err != nil {
			b.Fatal(err)
		}
	}
}
