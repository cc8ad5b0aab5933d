package verify

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/tensor"
)

var stories = filepath.Join("..", "testdata", "stories260K", "stories260K.pt")

// pairOf converts the model at path in memory of the test's own folder, and
// returns both sides.
func pairOf(t *testing.T, path string, opt convert.Options) Pair {
	t.Helper()
	ctx := context.Background()
	src, err := convert.Open(path, convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	dst := filepath.Join(t.TempDir(), "model.gguf")
	plan, err := convert.NewPlan(ctx, src, dst, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Run(ctx, dst, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	return openPair(t, src, dst)
}

func openPair(t *testing.T, src *convert.Source, dst string) Pair {
	t.Helper()
	got, err := convert.Open(dst, convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = got.Close() })
	canonical, err := convert.Mapped(context.Background(), src, convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return Pair{Original: sideOf(src), Canonical: canonical, Configs: src.Configs, Result: sideOf(got)}
}

func sideOf(s *convert.Source) Side {
	side := Side{Name: s.Path, Model: s.Model}
	for _, f := range s.Files {
		side.Files = append(side.Files, File{Path: f.Path, Size: f.Size})
	}
	return side
}

// changed returns p with another result.
func changed(t *testing.T, p Pair, meta tensor.Meta, tensors []*tensor.Tensor) Pair {
	t.Helper()
	m, err := tensor.NewModel(p.Result.Model.Format, meta, tensors)
	if err != nil {
		t.Fatal(err)
	}
	p.Result.Model = m
	return p
}

// withBytes returns p with the bytes of one tensor changed.
func withBytes(t *testing.T, p Pair, name string, change func(b []byte, info tensor.Info) []byte) Pair {
	t.Helper()
	var tensors []*tensor.Tensor
	for _, x := range p.Result.Model.Tensors() {
		if x.Name == name {
			b, err := x.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if x, err = tensor.New(x.Info, bytes.NewReader(change(b, x.Info)), tensor.Origin{Offset: -1}); err != nil {
				t.Fatal(err)
			}
		}
		tensors = append(tensors, x)
	}
	return changed(t, p, p.Result.Model.Meta, tensors)
}

func run(t *testing.T, p Pair, opt Options) *Report {
	t.Helper()
	r, err := Run(context.Background(), p, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// modelOf returns the path of a model of the cache that .ci/setup fills.
func modelOf(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("models of that size run without -short")
	}
	cache := os.Getenv("SMELT_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Skip(err)
		}
		cache = filepath.Join(home, ".cache", "smelt")
	}
	path := filepath.Join(cache, "models", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is missing; .ci/setup makes it", path)
	}
	return path
}
