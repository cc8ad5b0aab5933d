package convert

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/smelt-project/smelt/gguf"
)

// A name that is taken while the shards are written is found when the second
// gets its name: the first must not stay.
func TestShardsAppearAllOrNone(t *testing.T) {
	s := layered(t)
	dir := t.TempDir()
	dst := filepath.Join(dir, "x.gguf")
	p, err := NewPlan(context.Background(), s, dst, Options{Split: Split{Tensors: 2}})
	if err != nil {
		t.Fatal(err)
	}
	paths := p.Paths(dst)
	if len(paths) < 3 || paths[1] != filepath.Join(dir, gguf.ShardName("x", 1, len(paths))) {
		t.Fatalf("shards %v", paths)
	}
	var once sync.Once
	_, err = p.Run(context.Background(), dst, RunOptions{Progress: func(int64) {
		once.Do(func() {
			if err := os.WriteFile(paths[1], []byte("precious"), 0o600); err != nil {
				t.Error(err)
			}
		})
	}})
	if !errors.Is(err, os.ErrExist) {
		t.Errorf("Run: %v; want that a file exists", err)
	}
	if names := left(t, dir); len(names) != 1 {
		t.Errorf("left behind: %v; want %s alone", names, paths[1])
	}
	if b, err := os.ReadFile(paths[1]); string(b) != "precious" {
		t.Errorf("the file that was there: %q, %v", b, err)
	}
}
