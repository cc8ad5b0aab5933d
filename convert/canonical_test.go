package convert

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestCanonicalIsWhatIsWritten(t *testing.T) {
	path := filepath.Join("..", "testdata", "stories260K", "stories260K.pt")
	src, err := Open(path, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	got, err := Canonical(context.Background(), src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := Open(convertFile(t, path, "model.gguf", Options{}, RunOptions{}), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := file.Model
	if len(got.Tensors()) != len(want.Tensors()) || got.Meta.Len() != want.Meta.Len() {
		t.Fatalf("%d tensors and %d keys; the file has %d and %d", len(got.Tensors()), got.Meta.Len(), len(want.Tensors()), want.Meta.Len())
	}
	for i, x := range want.Tensors() {
		y := got.Tensors()[i]
		if same, err := tensor.Equal(context.Background(), x, y); err != nil || !same || x.Name != y.Name {
			t.Errorf("%s %v %v is %s %v %v in the file (%v)", y.Name, y.DType, y.Shape, x.Name, x.DType, x.Shape, err)
		}
	}
}
