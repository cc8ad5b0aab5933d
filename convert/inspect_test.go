package convert

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestInspectSeesWhatWillAppearAndCanKeepItFromAppearing(t *testing.T) {
	for _, c := range []struct {
		name  string
		split Split
	}{{"one file", Split{}}, {"shards", Split{Tensors: 20}}} {
		t.Run(c.name, func(t *testing.T) {
			src, err := Open(filepath.Join("..", "testdata", "stories260K", "stories260K.pt"), OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			dir := t.TempDir()
			dst := filepath.Join(dir, "model.gguf")
			plan, err := NewPlan(context.Background(), src, dst, Options{Type: "f16", Split: c.split})
			if err != nil {
				t.Fatal(err)
			}
			refused, seen := errors.New("refused"), 0
			_, err = plan.Run(context.Background(), dst, RunOptions{Inspect: func(p *Plan, m *tensor.Model) error {
				for i, x := range m.Tensors() {
					if want := p.Steps[i].To; x.Name != want.Name || x.DType != want.DType || !x.Shape.Equal(want.Shape) {
						t.Errorf("tensor %d is %s %v %v, want %s %v %v", i, x.Name, x.DType, x.Shape, want.Name, want.DType, want.Shape)
					}
					if _, err := x.ReadAll(); err != nil {
						t.Error(err)
					}
					seen++
				}
				return refused
			}})
			if !errors.Is(err, refused) || seen != len(plan.Steps) {
				t.Errorf("error %v after %d tensors, want %v after %d", err, seen, refused, len(plan.Steps))
			}
			if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
				t.Errorf("%v and %v are left", names, err)
			}
		})
	}
}
