package arch

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestGenericKeepsNamesShapesScalarsAndBytes(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.add("a.weight", 3, 4)
	for _, c := range []struct {
		name  string
		dtype tensor.DType
		shape tensor.Shape
	}{
		{"f8", tensor.F8E4M3FN, tensor.Shape{2, 3}}, {"steps", tensor.I64, tensor.Shape{}},
		{"c64", tensor.C64, tensor.Shape{2, 3}}, {"c32", tensor.C32, tensor.Shape{}}, {"c128", tensor.C128, tensor.Shape{5}},
		{"mask", tensor.Bool, tensor.Shape{4}}, {"quint4x2", tensor.QUInt4x2, tensor.Shape{3, 8}}, {"bits16", tensor.Bits16, tensor.Shape{3}},
		{"bits16 scalar", tensor.Bits16, tensor.Shape{}}, {"fp4", tensor.F4E2M1FNx2, tensor.Shape{2, 2}},
	} {
		h.dtype = c.dtype
		h.add(c.name, c.shape...)
	}
	src := h.model(tensor.KV{Key: "epoch", Value: int64(3)}, tensor.KV{Key: "cfg.names", Value: []string{"x", "y"}})
	r, err := Generic(src)
	if err != nil {
		t.Fatal(err)
	}
	want := []tensor.Info{
		{Name: "a.weight", DType: tensor.F16, Shape: tensor.Shape{3, 4}}, {Name: "f8", DType: tensor.F8E4M3FN, Shape: tensor.Shape{2, 3}},
		{Name: "steps", DType: tensor.I64, Shape: tensor.Shape{}},
		{Name: "c64", DType: tensor.F32, Shape: tensor.Shape{2, 3, 2}}, {Name: "c32", DType: tensor.F16, Shape: tensor.Shape{2}},
		{Name: "c128", DType: tensor.F64, Shape: tensor.Shape{5, 2}}, {Name: "mask", DType: tensor.I8, Shape: tensor.Shape{4}},
		{Name: "quint4x2", DType: tensor.I8, Shape: tensor.Shape{3, 4}}, {Name: "bits16", DType: tensor.I8, Shape: tensor.Shape{6}},
		{Name: "bits16 scalar", DType: tensor.I8, Shape: tensor.Shape{2}}, {Name: "fp4", DType: tensor.I8, Shape: tensor.Shape{2, 2}},
	}
	for i, w := range want {
		got := r.Model.Tensors()[i]
		if got.Name != w.Name || got.DType != w.DType || !got.Shape.Equal(w.Shape) {
			t.Errorf("tensor %d is %s %v %v; want %s %v %v", i, got.Name, got.DType, got.Shape, w.Name, w.DType, w.Shape)
		}
		a, errA := got.ReadAll()
		b, errB := src.Tensors()[i].ReadAll()
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: bytes differ (%v, %v)", w.Name, errA, errB)
		}
	}
	if v, _ := r.Model.Meta.Get("generic.epoch"); v != int64(3) {
		t.Errorf("generic.epoch = %v; want 3", v)
	}
	if v, _ := r.Model.Meta.Get("generic.cfg.names"); !slices.Equal(v.([]string), []string{"x", "y"}) {
		t.Errorf("generic.cfg.names = %v; want [x y]", v)
	}
	if r.Model.Meta.Text("general.architecture") != "generic" || !strings.Contains(strings.Join(r.Model.Notes, " "), "No runtime can run it") {
		t.Errorf("architecture %q, notes %q", r.Model.Meta.Text("general.architecture"), r.Model.Notes)
	}
}

func TestGenericReportsAllThatGGUFCannotHold(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.add(strings.Repeat("n", 64), 2)
	h.add(strings.Repeat("m", 63), 2)
	h.add("deep", 1, 1, 1, 1, 2)
	for _, d := range []tensor.DType{tensor.U8, tensor.U16, tensor.U32, tensor.U64} {
		h.dtype = d
		h.add("ids."+d.String(), 3)
	}
	h.dtype = tensor.C64
	h.add("spectrum", 1, 2, 3, 4)
	_, err := Generic(h.model(tensor.KV{Key: strings.Repeat("k", 1<<16), Value: true}))
	var e *UnmappedError
	if !errors.As(err, &e) {
		t.Fatalf("%v; want an UnmappedError", err)
	}
	wantText(t, err, "64 bytes, at most 63 fit", "deep f16 [1 1 1 1 2]: it has 5 dimensions", "GGUF has no u8", "GGUF has no u16", "GGUF has no u32",
		"GGUF has no u64", "spectrum c64 [1 2 3 4]: it has 5 dimensions", "has 65544 bytes")
	if strings.Contains(err.Error(), "mmm") {
		t.Errorf("%v; a name of 63 bytes fits", err)
	}
	empty, err := tensor.NewModel("fixture", tensor.Meta{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Generic(empty); err == nil {
		t.Error("a model without tensors was kept")
	}
}
