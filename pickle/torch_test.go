package pickle

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// A torchFile is what interop/peers/make_torch_files.py says of a file that
// PyTorch wrote.
type torchFile struct {
	File    string `json:"file"`
	Tensors map[string]struct {
		DType  string `json:"dtype"`
		Shape  []int  `json:"shape"`
		SHA256 string `json:"sha256"`
	} `json:"tensors"`
	WithoutData []string `json:"without_data"`
	MayRefuse   string   `json:"may_refuse"`
}

// torchFiles lists the descriptions in testdata/torch, and in the folder that
// SMELT_TORCH_FILES names: everything that the generator can write.
func torchFiles(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, dir := range []string{"testdata/torch/2.11", "testdata/torch/1.13", os.Getenv("SMELT_TORCH_FILES")} {
		if dir == "" {
			continue
		}
		found, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		list = append(list, slices.DeleteFunc(found, func(p string) bool { return filepath.Base(p) == "index.json" })...)
	}
	return list
}

func TestTensorsOfPyTorchFilesAreBitExact(t *testing.T) {
	for _, description := range torchFiles(t) {
		name := filepath.Base(filepath.Dir(description)) + "/" + strings.TrimSuffix(filepath.Base(description), ".json")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(description)
			if err != nil {
				t.Fatal(err)
			}
			var want torchFile
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(filepath.Dir(description), want.File)
			m, err := readPath(t, path, Options{})
			if err != nil && want.MayRefuse != "" && errors.Is(err, tensor.ErrUnsupported) && strings.Contains(err.Error(), path) {
				t.Skipf("refused (%s): %v", want.MayRefuse, err)
			}
			if err != nil {
				t.Fatal(err)
			}
			compareTorch(t, m, want)
		})
	}
}

// readPath reads a file or folder that stays open until the test ends.
func readPath(t testing.TB, path string, opt Options) (*tensor.Model, error) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		return ReadDistributed(memoryFiles(readDir(t, path)), path, opt)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return Read(f, info.Size(), path, opt)
}

func compareTorch(t *testing.T, m *tensor.Model, want torchFile) {
	t.Helper()
	var names []string
	for _, g := range m.Tensors() {
		names = append(names, g.Name)
	}
	slices.Sort(names)
	if all := slices.Sorted(maps.Keys(want.Tensors)); !slices.Equal(names, all) {
		t.Fatalf("names\n%v\nwant\n%v", names, all)
	}
	for name, w := range want.Tensors {
		g := m.Tensor(name)
		sum, err := g.Digest(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if g.DType.String() != w.DType || !slices.Equal(g.Shape, w.Shape) || hex.EncodeToString(sum[:]) != w.SHA256 {
			t.Errorf("%s = %v %v %x, want %s %v %s", name, g.DType, g.Shape, sum, w.DType, w.Shape, w.SHA256)
		}
	}
	for _, name := range want.WithoutData {
		if !strings.Contains(strings.Join(m.Notes, "\n"), name) {
			t.Errorf("no note on %s, which has no data: %v", name, m.Notes)
		}
	}
}

// memoryFiles is a folder in memory.
type memoryFiles map[string][]byte

// Open implements tensor.Files.
func (f memoryFiles) Open(name string) (io.ReaderAt, int64, error) {
	b, ok := f[name]
	if !ok {
		return nil, 0, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return bytes.NewReader(b), int64(len(b)), nil
}

// Names implements tensor.Files.
func (f memoryFiles) Names() ([]string, error) { return slices.Sorted(maps.Keys(f)), nil }

func readDir(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
