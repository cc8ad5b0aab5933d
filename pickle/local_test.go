package pickle

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// dirFiles serves a folder from memory.
type dirFiles string

func (d dirFiles) Open(name string) (io.ReaderAt, int64, error) {
	b, err := os.ReadFile(filepath.Join(string(d), filepath.FromSlash(name)))
	return bytes.NewReader(b), int64(len(b)), err
}

func (d dirFiles) Names() ([]string, error) {
	list, err := os.ReadDir(string(d))
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names, err
}

func TestLocal(t *testing.T) {
	dir := os.Getenv("TORCH_FILES")
	if dir == "" {
		t.Skip("no TORCH_FILES")
	}
	js, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, j := range js {
		if filepath.Base(j) == "index.json" {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(j), ".json"), func(t *testing.T) {
			b, _ := os.ReadFile(j)
			var want struct {
				File    string
				Tensors map[string]struct {
					Dtype  string
					Shape  []int
					Sha256 string
				}
				Without_data []string
				May_refuse   *string
			}
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, want.File)
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			var m *tensor.Model
			if st.IsDir() {
				m, err = ReadDistributed(dirFiles(path), path, Options{})
			} else {
				f, _ := os.Open(path)
				defer f.Close()
				m, err = Read(f, st.Size(), path, Options{})
			}
			if err != nil {
				if want.May_refuse != nil {
					t.Skip(err)
				}
				t.Fatal(err)
			}
			if os.Getenv("TORCH_SHOW") != "" {
				t.Log(m.Format, m.Notes)
				for _, kv := range m.Meta.All() {
					t.Log(kv)
				}
			}
			var names []string
			for n := range want.Tensors {
				names = append(names, n)
			}
			sort.Strings(names)
			for _, n := range names {
				w := want.Tensors[n]
				if n == "" {
					n = "tensor"
				}
				if n[0] == '.' {
					n = n[1:]
				}
				g := m.Tensor(n)
				if g == nil {
					t.Errorf("no %q", n)
					continue
				}
				sum, err := g.Digest(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if g.DType.String() != w.Dtype || len(g.Shape) != len(w.Shape) || hex.EncodeToString(sum[:]) != w.Sha256 {
					t.Errorf("%s: %v %v %x want %v", n, g.DType, g.Shape, sum[:4], w)
				}
				for i := range w.Shape {
					if w.Shape[i] != g.Shape[i] {
						t.Errorf("%s: %v want %v", n, g.Shape, w)
						break
					}
				}
			}
			for _, g := range m.Tensors() {
				n := g.Name
				if n == "tensor" && len(want.Tensors) == 1 {
					n = ""
				}
				_, ok := want.Tensors[n]
				_, ok2 := want.Tensors["tensor"]
				_, ok3 := want.Tensors["."+n]
				if !ok && !ok2 && !ok3 {
					t.Errorf("extra %q", g.Name)
				}
			}
		})
	}
}
