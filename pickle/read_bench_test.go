package pickle

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A benchFile is a checkpoint that the benchmarks list. Its twin, as PyTorch
// writes it, is read instead where SMELT_TORCH_FILES names a folder that has it.
var benchFiles = []struct {
	name, twin string
	tensors    int
	elems      int64 // of each
}{
	{"128MB", "large_128mb.pt", 32, 1 << 20},
	{"10000Tensors", "many_tensors.pt", 10_000, 6},
}

// BenchmarkList is what inspecting a checkpoint costs before a tensor is read.
func BenchmarkList(b *testing.B) {
	for _, file := range benchFiles {
		b.Run(file.name, func(b *testing.B) {
			path := filepath.Join(os.Getenv("SMELT_TORCH_FILES"), file.twin)
			if os.Getenv("SMELT_TORCH_FILES") == "" {
				path = benchFile(b, file.tensors, file.elems)
			}
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				m, err := Read(f, info.Size(), path, Options{Strict: true})
				if err != nil {
					b.Fatal(err)
				}
				if len(m.Tensors()) != file.tensors {
					b.Fatalf("%d tensors, want %d", len(m.Tensors()), file.tensors)
				}
			}
		})
	}
}

// benchFile writes a state dict of float32 vectors.
func benchFile(b *testing.B, tensors int, elems int64) string {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "bench.pt"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	member := func(name string, data io.Reader) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "bench/" + name, Method: zip.Store})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(w, data); err != nil {
			b.Fatal(err)
		}
	}
	var state strings.Builder
	for i := range tensors {
		state.WriteString(pyStr(fmt.Sprintf("layers.%d.part%d.weight", i/10, i%10)) + pyVector(fmt.Sprint(i), elems))
	}
	member("data.pkl", strings.NewReader(pyPickle(pyCall("collections.OrderedDict")+"("+state.String()+"u")))
	zeros := strings.Repeat("\x00", int(4*elems))
	for i := range tensors {
		member(fmt.Sprintf("data/%d", i), strings.NewReader(zeros))
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	return f.Name()
}
