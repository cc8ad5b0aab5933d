package gguf

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// The gguf package wrote these files; laying their contents out again gives
// the same bytes.
func TestPlaceWritesTheBytesOfThePythonWriter(t *testing.T) {
	for _, name := range []string{"keys_le.gguf", "blocks_le.gguf", "align64.gguf", "ggml-vocab-bert-bge.gguf"} {
		want := fixture(t, name)
		m, err := readBytes(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := rewrite(t, m); !bytes.Equal(got, want) {
			at := 0
			for at < len(got) && at < len(want) && got[at] == want[at] {
				at++
			}
			t.Errorf("%s: %d bytes, want %d; first difference at byte 0x%x", name, len(got), len(want), at)
		}
	}
}

func TestOffsetsAreContiguousAndPadded(t *testing.T) {
	infos := []tensor.Info{
		{Name: "a", DType: tensor.I8, Shape: tensor.Shape{1}},
		{Name: "empty", DType: tensor.F32, Shape: tensor.Shape{0, 4}},
		{Name: "b", DType: tensor.I8, Shape: tensor.Shape{33}},
		{Name: "c", DType: tensor.Q8_0, Shape: tensor.Shape{2, 32}},
	}
	tests := []struct {
		name  string
		meta  tensor.Meta
		align int64
		want  []int64 // from the first tensor
		data  int64   // bytes, padding included
	}{
		{"default", tensor.Meta{}, 32, []int64{0, 32, 32, 96}, 192},
		{"declared", tensor.NewMeta(tensor.KV{Key: "general.alignment", Value: uint32(256)}), 256, []int64{0, 256, 256, 512}, 768},
		{"one", tensor.NewMeta(tensor.KV{Key: "general.alignment", Value: uint32(1)}), 1, []int64{0, 1, 1, 34}, 102},
	}
	for _, tt := range tests {
		p, err := Place(tt.meta, infos)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		start := p.Offsets[0]
		if head := int64(len(p.Pieces[0].Bytes)); start < head || start-head >= tt.align || start%tt.align != 0 {
			t.Errorf("%s: data starts at %d after a header of %d; want the next multiple of %d", tt.name, start, head, tt.align)
		}
		for i, off := range p.Offsets {
			if off-start != tt.want[i] {
				t.Errorf("%s: %s starts at %d of the data, want %d", tt.name, infos[i].Name, off-start, tt.want[i])
			}
		}
		if p.Size-start != tt.data {
			t.Errorf("%s: %d bytes of data, want %d", tt.name, p.Size-start, tt.data)
		}
	}
}

func TestFileWithoutTensorsEndsWithItsMetadata(t *testing.T) {
	p, err := Place(tensor.NewMeta(tensor.KV{Key: "k", Value: "v"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Size != int64(len(p.Pieces[0].Bytes)) {
		t.Errorf("file of %d bytes for a header of %d; padding is for tensors only", p.Size, len(p.Pieces[0].Bytes))
	}
}

func TestScalarIsWrittenAsOneDimension(t *testing.T) {
	infos := []tensor.Info{{Name: "s", DType: tensor.F32}}
	p, err := Place(tensor.Meta{}, infos)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readBytes(write(p, [][]byte{{0, 0, 0x80, 0x3f}}))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Tensor("s").Shape; !got.Equal(tensor.Shape{1}) {
		t.Errorf("shape %v, want [1]", got)
	}
}

func TestEmptyValuesAreLeftOut(t *testing.T) {
	meta := tensor.NewMeta(
		tensor.KV{Key: "a", Value: ""},
		tensor.KV{Key: "b", Value: []string{}},
		tensor.KV{Key: "c", Value: []float32(nil)},
		tensor.KV{Key: "d", Value: []string{""}},
		tensor.KV{Key: "e", Value: uint8(0)},
	)
	p, err := Place(meta, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readBytes(write(p, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Meta.All(), meta.All()[3:]; !reflect.DeepEqual(got, want) {
		t.Errorf("metadata %v, want %v", got, want)
	}
}

func TestPlaceNamesEveryTensorThatDoesNotFit(t *testing.T) {
	infos := []tensor.Info{
		{Name: strings.Repeat("n", 63), DType: tensor.F32, Shape: tensor.Shape{1}}, // fits
		{Name: strings.Repeat("n", 64), DType: tensor.F32, Shape: tensor.Shape{1}},
		{Name: "five", DType: tensor.F32, Shape: tensor.Shape{1, 1, 1, 1, 1}},
		{Name: "complex", DType: tensor.C64, Shape: tensor.Shape{1}},
		{Name: "removed", DType: 31, Shape: tensor.Shape{1}},
		{Name: "row", DType: tensor.Q4K, Shape: tensor.Shape{2, 255}},
		{Name: "twice", DType: tensor.F32, Shape: tensor.Shape{1}},
		{Name: "twice", DType: tensor.F32, Shape: tensor.Shape{1}},
		{Name: "", DType: tensor.F32, Shape: tensor.Shape{1}},
		{Name: "huge", DType: tensor.F32, Shape: tensor.Shape{math.MaxInt, 2}},
	}
	_, err := Place(tensor.Meta{}, infos)
	if err == nil {
		t.Fatal("Place accepts tensors that GGUF cannot hold")
	}
	for _, want := range []string{"64 bytes long", `"five": shape [1 1 1 1 1] has 5 dimensions`, `"complex": type c64`, "Q4_0_4_4", `"row": rows of 255`, `"twice": name occurs twice`, "without a name", `"huge"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 8 {
		t.Errorf("%d problems, want 8:\n%v", n, err)
	}
}

func TestPlaceRefusesMetadataThatGGUFCannotHold(t *testing.T) {
	tests := []struct {
		name string
		kv   tensor.KV
		want error
	}{
		{"alignment of the wrong type", tensor.KV{Key: "general.alignment", Value: int32(32)}, tensor.ErrCorrupt},
		{"alignment not a power of two", tensor.KV{Key: "general.alignment", Value: uint32(48)}, tensor.ErrCorrupt},
		{"alignment of zero", tensor.KV{Key: "general.alignment", Value: uint32(0)}, tensor.ErrCorrupt},
		{"alignment of gigabytes", tensor.KV{Key: "general.alignment", Value: uint32(1 << 31)}, tensor.ErrTooLarge},
		{"nested", tensor.KV{Key: "k", Value: [][]string{{"a"}}}, tensor.ErrUnsupported},
		{"int", tensor.KV{Key: "k", Value: 1}, tensor.ErrUnsupported},
		{"no key", tensor.KV{Key: "", Value: "v"}, tensor.ErrUnsupported},
		{"long key", tensor.KV{Key: strings.Repeat("k", 1<<16), Value: "v"}, tensor.ErrUnsupported},
	}
	for _, tt := range tests {
		if _, err := Place(tensor.NewMeta(tt.kv), nil); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestDataBeyondTheLargestFileIsRefused(t *testing.T) {
	infos := []tensor.Info{
		{Name: "a", DType: tensor.I8, Shape: tensor.Shape{math.MaxInt64 / 2}},
		{Name: "b", DType: tensor.I8, Shape: tensor.Shape{math.MaxInt64 / 2}},
	}
	if _, err := Place(tensor.Meta{}, infos); !errors.Is(err, tensor.ErrTooLarge) {
		t.Errorf("Place of 2⁶³ bytes: %v, want %v", err, tensor.ErrTooLarge)
	}
}
