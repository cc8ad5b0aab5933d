package convert

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/smelt-project/smelt/internal/atomicfile"
	"github.com/smelt-project/smelt/tensor"
)

// convertFile opens src, plans and runs, and returns the path of the result.
func convertFile(t *testing.T, src, name string, opt Options, run RunOptions) string {
	t.Helper()
	dst := filepath.Join(t.TempDir(), name)
	s, err := Open(src, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := NewPlan(context.Background(), s, dst, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(context.Background(), dst, run); err != nil {
		t.Fatal(err)
	}
	return dst
}

// digests returns what each tensor of a file is.
func digests(t *testing.T, path string) map[string]string {
	t.Helper()
	s, err := Open(path, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out := map[string]string{}
	for _, x := range s.Model.Tensors() {
		sum, err := x.Digest(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		out[x.Name] = fmt.Sprintf("%v %v %s", x.DType, x.Shape, hex.EncodeToString(sum[:]))
	}
	return out
}

// left lists what a failed conversion left in dir.
func left(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestOneModelInThreeLayoutsBecomesTheSameTensors(t *testing.T) {
	want := digests(t, convertFile(t, "testdata/tiny/hf", "a.gguf", Options{Type: "f16"}, RunOptions{}))
	if len(want) != 3+2*9 {
		t.Errorf("%d tensors; want 21", len(want))
	}
	for _, src := range []string{"testdata/tiny/train.pt", "testdata/tiny/meta", "testdata/tiny/hf/pytorch_model-00002-of-00002.bin", "testdata/tiny/meta/consolidated.01.pth"} {
		got := digests(t, convertFile(t, src, "b.gguf", Options{Type: "f16"}, RunOptions{}))
		for name, w := range want {
			if got[name] != w {
				t.Errorf("%s: %s is %s; want %s", src, name, got[name], w)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d tensors; want %d", src, len(got), len(want))
		}
	}
}

func TestOutputDoesNotDependOnWorkers(t *testing.T) {
	for _, c := range []struct{ src, name, recipe string }{
		{"../testdata/stories260K/stories260K.pt", "x.gguf", "f16"},
		{"../testdata/stories260K/stories260K.pt", "x.gguf", ""},
		{"testdata/tiny/whisper.pt", "x.bin", ""},
		{"testdata/tiny/whisper.pt", "x.gguf", "bf16"},
	} {
		var got [][]byte
		for _, workers := range []int{1, 16} {
			b, err := os.ReadFile(convertFile(t, c.src, c.name, Options{Type: c.recipe}, RunOptions{Workers: workers}))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b)
		}
		if !bytes.Equal(got[0], got[1]) {
			t.Errorf("%s to %s %s: 1 and 16 workers write different bytes", c.src, c.name, c.recipe)
		}
	}
}

func TestConvertingAGGUFAgainChangesNothing(t *testing.T) {
	a := convertFile(t, "../testdata/stories260K/stories260K.pt", "m.gguf", Options{Type: "f16"}, RunOptions{})
	b := convertFile(t, a, "m.gguf", Options{}, RunOptions{})
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		t.Error("a GGUF converted to GGUF differs from itself")
	}
}

func TestWhisperBinAndGGUFHoldTheSameTensors(t *testing.T) {
	bin := convertFile(t, "testdata/tiny/whisper.pt", "w.bin", Options{}, RunOptions{})
	direct := digests(t, convertFile(t, "testdata/tiny/whisper.pt", "w.gguf", Options{Type: "f16"}, RunOptions{}))
	again := convertFile(t, bin, "w.gguf", Options{}, RunOptions{})
	if got := digests(t, again); len(got) != len(direct) {
		t.Errorf("through .bin: %d tensors; want %d", len(got), len(direct))
	}
	back := convertFile(t, again, "w.bin", Options{}, RunOptions{})
	x, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	if y, err := os.ReadFile(back); err != nil || !bytes.Equal(x, y) {
		t.Errorf(".bin to GGUF to .bin is not the same file (%v)", err)
	}
}

func TestF32BinIsRefusedWithTheReason(t *testing.T) {
	s, err := Open("testdata/tiny/whisper.pt", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = NewPlan(context.Background(), s, "x.bin", Options{Type: "f32"})
	if !errors.Is(err, tensor.ErrUnsupported) || !bytes.Contains([]byte(err.Error()), []byte("F16")) {
		t.Errorf("f32 .bin: %v; want a reason that speaks of F16", err)
	}
}

func TestOverflowIsNamedAndRefused(t *testing.T) {
	s, err := Open("testdata/tiny/overflow.pt", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := t.TempDir()
	dst := filepath.Join(dir, "x.gguf")
	p, err := NewPlan(context.Background(), s, dst, Options{Type: "f16", Arch: "generic"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Run(context.Background(), dst, RunOptions{})
	var o *OverflowError
	if !errors.As(err, &o) {
		t.Fatalf("Run: %v; want an OverflowError", err)
	}
	want := []Overflow{{Tensor: "w.weight", DType: tensor.F16, Count: 2, First: 3*512 + 7, Value: 70000}}
	if !slices.Equal(o.Tensors, want) {
		t.Errorf("overflows %+v; want %+v", o.Tensors, want)
	}
	if names := left(t, dir); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	r, err := p.Run(context.Background(), dst, RunOptions{AllowOverflow: true})
	if err != nil || !slices.Equal(r.Overflows, want) {
		t.Errorf("with AllowOverflow: %+v, %v", r, err)
	}
}

// failing gives an error after some bytes.
type failing struct {
	io.ReaderAt
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// memorySource is a source whose one tensor is read from r.
func memorySource(t *testing.T, r io.ReaderAt, rows int) *Source {
	t.Helper()
	x, err := tensor.New(tensor.Info{Name: "w.weight", DType: tensor.F32, Shape: tensor.Shape{rows, 1024}}, r, tensor.Origin{File: "memory", Offset: -1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := tensor.NewModel("memory", tensor.NewMeta(tensor.KV{Key: "general.architecture", Value: "test"}), []*tensor.Tensor{x})
	if err != nil {
		t.Fatal(err)
	}
	return &Source{Path: "memory", Model: m, Canonical: true}
}

func TestFailureLeavesNothingBehind(t *testing.T) {
	const rows = 3000 // 12 MB: several units of work
	broken := errors.New("cable pulled")
	cancelled, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("interrupted"))
	for _, c := range []struct {
		name string
		ctx  context.Context
		r    io.ReaderAt
		opt  Options
		want string
	}{
		{"source fails while copying", context.Background(), failing{bytes.NewReader(make([]byte, rows*4096)), 5 << 20, broken}, Options{}, "cable pulled"},
		{"source fails while converting", context.Background(), failing{bytes.NewReader(make([]byte, rows*4096)), 5 << 20, broken}, Options{Type: "f16"}, "cable pulled"},
		{"source ends early", context.Background(), bytes.NewReader(make([]byte, rows*4096-1)), Options{}, "unexpected EOF"},
		{"cancelled", cancelled, bytes.NewReader(make([]byte, rows*4096)), Options{Type: "f16"}, "interrupted"},
	} {
		s := memorySource(t, c.r, rows)
		dir := t.TempDir()
		dst := filepath.Join(dir, "x.gguf")
		p, err := NewPlan(context.Background(), s, dst, c.opt)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Run(c.ctx, dst, RunOptions{Workers: 3})
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.want)) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
		if names := left(t, dir); len(names) != 0 {
			t.Errorf("%s: left behind: %v", c.name, names)
		}
	}
}

func TestExistingFileIsKeptUnlessReplaced(t *testing.T) {
	s := memorySource(t, bytes.NewReader(make([]byte, 4096)), 1)
	dir := t.TempDir()
	dst := filepath.Join(dir, "x.gguf")
	if err := os.WriteFile(dst, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(context.Background(), s, dst, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(context.Background(), dst, RunOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("Run over a file: %v; want ErrExists", err)
	}
	if b, _ := os.ReadFile(dst); string(b) != "precious" {
		t.Error("the existing file was changed")
	}
	if _, err := p.Run(context.Background(), dst, RunOptions{Replace: true}); err != nil {
		t.Error(err)
	}
	if st, _ := os.Stat(dst); st.Size() != p.Size() {
		t.Errorf("after Replace: %d bytes; want %d", st.Size(), p.Size())
	}
	if names := left(t, dir); len(names) != 1 {
		t.Errorf("in the folder: %v; want x.gguf alone", names)
	}
}

func TestSink(t *testing.T) {
	dir := t.TempDir()
	dst := filepath.Join(dir, "x")
	s, err := newSink(dst, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.write([]byte("abc"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dst); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("visible before commit (%v)", err)
	}
	if err := os.WriteFile(dst, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.commit(atomicfile.Keep); err == nil {
		t.Error("commit replaced a file that appeared meanwhile")
	}
	if b, _ := os.ReadFile(dst); string(b) != "theirs" || len(left(t, dir)) != 1 {
		t.Errorf("after the refused commit: %q, %v", b, left(t, dir))
	}
	if s, err = newSink(dst, 4); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.write([]byte("ours"), 0), s.commit(atomicfile.Replace)); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(dst); string(b) != "ours" || len(left(t, dir)) != 1 {
		t.Errorf("after commit: %q, %v", b, left(t, dir))
	}
	if s, err = newSink(filepath.Join(dir, "y"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.abort(); err != nil || len(left(t, dir)) != 1 {
		t.Errorf("after abort: %v, %v", err, left(t, dir))
	}
}

func TestMetadataOverrides(t *testing.T) {
	meta := tensor.NewMeta(tensor.KV{Key: "n", Value: uint32(1)}, tensor.KV{Key: "eps", Value: float32(1)}, tensor.KV{Key: "list", Value: []string{"a"}})
	for _, c := range []struct {
		pair string
		want any // nil: refused
	}{
		{"n=7", uint32(7)}, {"n=-7", nil}, {"n=x", nil}, {"eps=1e-5", float32(1e-5)}, {"new=text", "text"}, {"new=a=b:c", "a=b:c"},
		{"new=u8:255", uint8(255)}, {"new=u8:256", nil}, {"new=bool:true", true}, {"new=i64:-5", int64(-5)}, {"new=str:u8:1", "u8:1"},
		{"list=b", nil}, {"nokey", nil}, {"=v", nil},
	} {
		got, err := override(meta, []string{c.pair})
		if c.want == nil {
			if err == nil {
				t.Errorf("%q is accepted", c.pair)
			}
			continue
		}
		key, _, _ := bytes.Cut([]byte(c.pair), []byte("="))
		if v, _ := got.Get(string(key)); err != nil || v != c.want {
			t.Errorf("%q = %T %v, %v; want %T %v", c.pair, v, v, err, c.want, c.want)
		}
	}
}
