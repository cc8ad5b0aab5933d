package ollama_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

func readBlob(t *testing.T, b *ollama.Blob) string {
	t.Helper()
	r, err := b.Reader()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func weightsOf(t *testing.T, m *ollama.Model) *ollama.Blob {
	t.Helper()
	b, err := m.Weights()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBlobGivesItsContentAndFile(t *testing.T) {
	s := ollamatest.New(t)
	want := s.Example()
	b := weightsOf(t, s.Resolve("smol"))
	if got := readBlob(t, b); got != want {
		t.Errorf("Reader gives %d bytes that differ from the %d written", len(got), len(want))
	}
	f, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, 8)
	if _, err := f.ReadAt(part, 4); err != nil || string(part) != want[4:12] {
		t.Errorf("ReadAt(4) = %q, %v; want %q", part, err, want[4:12])
	}
	if f.Size() != int64(len(want)) || f.OS() == nil || f.OS().Name() != s.BlobPath(b.Digest) || b.Path != f.OS().Name() {
		t.Errorf("Size %d, OS %v, Path %s; want %d and %s", f.Size(), f.OS(), b.Path, len(want), s.BlobPath(b.Digest))
	}
	var seen []int64
	if err := f.Verify(context.Background(), func(n int64) { seen = append(seen, n) }); err != nil {
		t.Error(err)
	}
	if len(seen) == 0 || seen[len(seen)-1] != f.Size() {
		t.Errorf("progress = %v; want it to end with %d", seen, f.Size())
	}
	if err := errors.Join(f.Unchanged(), f.Close()); err != nil {
		t.Error(err)
	}
}

func TestBrokenBlobsAreToldApart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, path string)
		class  error
		want   []string
	}{
		{"missing", func(t *testing.T, p string) { remove(t, p) }, ollama.ErrMissing,
			[]string{"4004 bytes", `run "ollama pull smol:latest"`}},
		{"truncated", func(t *testing.T, p string) { truncate(t, p, 4003) }, ollama.ErrTruncated,
			[]string{"4003 bytes, the manifest says 4004", "remove the file"}},
		{"emptied", func(t *testing.T, p string) { truncate(t, p, 0) }, ollama.ErrTruncated, []string{"has 0 bytes"}},
		{"too long", func(t *testing.T, p string) { truncate(t, p, 4005) }, ollama.ErrOversize,
			[]string{"4005 bytes, the manifest says 4004"}},
		{"a folder", func(t *testing.T, p string) { remove(t, p); writeFile(t, p+"/x", "") }, ollama.ErrIrregular, []string{"drwx"}},
		{"download in progress", func(t *testing.T, p string) {
			remove(t, p)
			writeFile(t, p+"-partial", "")
			writeFile(t, p+"-partial-0", `{"N":0,"Offset":0,"Size":1000,"Completed":1000}`)
			writeFile(t, p+"-partial-1", `{"N":1,"Offset":1000,"Size":3004,"Completed":234}`)
			writeFile(t, p+"-partial-2", `{"Size":`)
			writeFile(t, p+"-partial-3", `{"N":3,"Offset":0,"Size":5,"Completed":-9000}`)
			writeFile(t, p+"-partial-4", `{"N":4,"Offset":0,"Size":5,"Completed":9000}`)
		}, ollama.ErrPartial, []string{"1239 of 4004 bytes have arrived", "resume"}},
		{"transfer in progress", func(t *testing.T, p string) { remove(t, p); writeFile(t, p+".tmp", "12345") },
			ollama.ErrPartial, []string{"5 of 4004 bytes"}},
		{"link to nothing", func(t *testing.T, p string) { remove(t, p); symlink(t, "/nowhere/x", p) },
			ollama.ErrMissing, []string{"a link to /nowhere/x, which is not there"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ollamatest.New(t)
			digest := ollamatest.Digest([]byte(s.Example()))
			tt.damage(t, s.BlobPath(digest))
			m, err := s.Open().Resolve(parse(t, "smol"))
			var e *ollama.Error
			if !errors.Is(err, tt.class) || !errors.As(err, &e) {
				t.Fatalf("Resolve = %v; want %v", err, tt.class)
			}
			if e.Model != "smol:latest" || e.Role != ollama.RoleModel || e.Digest != digest || e.Path != s.BlobPath(digest) {
				t.Errorf("error names %+v; want model, role, digest and path", e)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Resolve = %v; want %q in it", err, want)
				}
			}
			if _, err := weightsOf(t, m).Open(); !errors.Is(err, tt.class) {
				t.Errorf("Open = %v; want %v", err, tt.class)
			}
			if _, err := weightsOf(t, m).Reader(); !errors.Is(err, tt.class) {
				t.Errorf("Reader = %v; want %v", err, tt.class)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func TestWrongContentIsFoundHoweverItIsRead(t *testing.T) {
	s := ollamatest.New(t)
	weights := s.Example()
	digest := ollamatest.Digest([]byte(weights))
	wrong := "X" + weights[1:]
	writeFile(t, s.BlobPath(digest), wrong)
	b := weightsOf(t, s.Resolve("smol"))

	r, err := b.Reader()
	if err != nil {
		t.Fatal(err)
	}
	_, readErr := io.ReadAll(r)
	for how, err := range map[string]error{
		"Reader": errors.Join(readErr, r.Close()),
		"Verify": b.Verify(context.Background(), nil),
	} {
		if !errors.Is(err, ollama.ErrDigest) {
			t.Fatalf("%s = %v; want ErrDigest", how, err)
		}
		for _, want := range []string{digest, ollamatest.Digest([]byte(wrong)), s.BlobPath(digest), "smol:latest", "remove the file"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s = %v; want %q in it", how, err, want)
			}
		}
	}
}

func TestVerifyStopsWhenCancelled(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("big", s.Layer(ollama.RoleModel, strings.Repeat("x", 3<<20)))
	ctx, cancel := context.WithCancel(context.Background())
	var calls int
	err := weightsOf(t, s.Resolve("big")).Verify(ctx, func(int64) { calls++; cancel() })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("Verify = %v after %d reads; want Canceled after 1", err, calls)
	}
}

func TestFileThatIsWrittenToWhileReadIsFound(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, path string)
	}{
		{"shrinks", func(t *testing.T, p string) { truncate(t, p, 10) }},
		{"grows", func(t *testing.T, p string) { truncate(t, p, 1<<20) }},
		{"is rewritten", func(t *testing.T, p string) { writeFile(t, p, strings.Repeat("y", 4004)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ollamatest.New(t)
			s.Example()
			b := weightsOf(t, s.Resolve("smol"))
			f, err := b.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}()
			if err := f.Unchanged(); err != nil {
				t.Errorf("Unchanged = %v before anything happened", err)
			}
			tt.change(t, b.Path)
			for how, err := range map[string]error{"Unchanged": f.Unchanged(), "Verify": f.Verify(context.Background(), nil)} {
				if !errors.Is(err, ollama.ErrChanged) {
					t.Errorf("%s = %v; want ErrChanged", how, err)
				}
			}
		})
	}
}

func TestBlobRemovedAfterResolveIsToldAsChange(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	b := weightsOf(t, s.Resolve("smol"))
	remove(t, b.Path)
	if _, err := b.Open(); !errors.Is(err, ollama.ErrChanged) {
		t.Errorf("Open = %v; want ErrChanged", err)
	}
	writeFile(t, b.Path, "short")
	if _, err := b.Open(); !errors.Is(err, ollama.ErrTruncated) {
		t.Errorf("Open = %v; want ErrTruncated", err)
	}
}

func TestLinkedBlobIsFollowedAndReported(t *testing.T) {
	s := ollamatest.New(t)
	want := s.Example()
	path := s.BlobPath(ollamatest.Digest([]byte(want)))
	elsewhere, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere = filepath.Join(elsewhere, "smol.gguf")
	if err := os.Rename(path, elsewhere); err != nil {
		t.Fatal(err)
	}
	symlink(t, elsewhere, path)
	m := s.Resolve("smol")
	b := weightsOf(t, m)
	if b.Link != elsewhere {
		t.Errorf("Link = %q; want %q", b.Link, elsewhere)
	}
	if got := readBlob(t, b); got != want {
		t.Errorf("the linked content differs")
	}
	if notes := strings.Join(m.Notes, "\n"); !strings.Contains(notes, "symbolic link to "+elsewhere) {
		t.Errorf("Notes = %q; want the link in them", notes)
	}
}

func TestBlobIsFoundUnderItsOldName(t *testing.T) {
	s := ollamatest.New(t)
	want := s.Example()
	digest := ollamatest.Digest([]byte(want))
	old := filepath.Join(s.Dir, "blobs", digest)
	if err := os.Rename(s.BlobPath(digest), old); err != nil {
		t.Skip("this file system has no ':' in names: ", err)
	}
	if b := weightsOf(t, s.Resolve("smol")); b.Path != old || readBlob(t, b) != want {
		t.Errorf("Path = %s; want %s with its content", b.Path, old)
	}
}

func TestDigestInUpperCaseMeansTheSame(t *testing.T) {
	s := ollamatest.New(t)
	l := s.Layer(ollama.RoleModel, "GGUF")
	l.Digest = "sha256:" + strings.ToUpper(strings.TrimPrefix(l.Digest, "sha256:"))
	s.Model("upper", l)
	if got := readBlob(t, weightsOf(t, s.Resolve("upper"))); got != "GGUF" {
		t.Errorf("content = %q; want GGUF", got)
	}
}

func TestOpenWithoutRandomAccessSaysSo(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	store := ollama.Open(sequentialFS{os.DirFS(s.Dir)})
	m, err := store.Resolve(parse(t, "smol"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := weightsOf(t, m).Open(); !errors.Is(err, ollama.ErrUnsupported) {
		t.Errorf("Open = %v; want ErrUnsupported", err)
	}
	if err := fstest.TestFS(os.DirFS(s.Dir), "manifests"); err != nil {
		t.Error(err)
	}
}

func TestSummaryExplainsTheBlob(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	got := weightsOf(t, s.Resolve("smol")).Summary()
	if want := "the model itself: weights, hyperparameters and tokenizer"; !strings.Contains(got, want) || !strings.Contains(got, "4004 bytes") {
		t.Errorf("Summary() = %q; want %q and its size in it", got, want)
	}
}
