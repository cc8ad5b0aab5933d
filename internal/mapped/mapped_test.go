package mapped

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadAtEqualsPread(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 5000)
	f, err := Open(write(t, want))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unmapped := &File{f: f.f, size: f.size}
	for _, c := range []struct {
		off int64
		n   int
	}{{0, 16}, {1, 70000}, {79990, 10}, {79990, 11}, {80000, 1}, {90000, 4}} {
		a, b := make([]byte, c.n), make([]byte, c.n)
		na, ea := f.ReadAt(a, c.off)
		nb, eb := unmapped.ReadAt(b, c.off)
		if na != nb || !errors.Is(ea, eb) || !bytes.Equal(a[:na], b[:nb]) {
			t.Errorf("ReadAt(%d, %d): mapped %d %v, pread %d %v", c.n, c.off, na, ea, nb, eb)
		}
	}
}

func TestShrinkingFileIsAnErrorNotACrash(t *testing.T) {
	path := write(t, make([]byte, 1<<20))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*File{f, {f: f.f, size: f.size}} {
		if _, err := r.ReadAt(make([]byte, 8192), 1<<19); !errors.Is(err, ErrShrunk) {
			t.Errorf("mapped %v: ReadAt past the new end: %v; want %v", r.mem != nil, err, ErrShrunk)
		}
	}
}

func TestEmptyFileReadsEOF(t *testing.T) {
	f, err := Open(write(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.ReadAt(make([]byte, 1), 0); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt = %d, %v; want 0, EOF", n, err)
	}
}

func TestDirectoryIsRefused(t *testing.T) {
	if f, err := Open(t.TempDir()); err == nil {
		f.Close()
		t.Error("a directory was opened")
	}
}
