package gguf

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// keysWant is what testdata/make.py puts into keys_le.gguf and keys_be.gguf.
var keysWant = []tensor.KV{
	{Key: "general.architecture", Value: "smelt-test"},
	{Key: "one.uint8", Value: uint8(250)},
	{Key: "one.int8", Value: int8(-100)},
	{Key: "one.uint16", Value: uint16(65000)},
	{Key: "one.int16", Value: int16(-30000)},
	{Key: "one.uint32", Value: uint32(4000000000)},
	{Key: "one.int32", Value: int32(-2000000000)},
	{Key: "one.float32", Value: float32(1.5)},
	{Key: "one.bool", Value: true},
	{Key: "one.string", Value: "grüße"},
	{Key: "one.uint64", Value: uint64(1<<63 + 5)},
	{Key: "one.int64", Value: int64(-1<<62 - 7)},
	{Key: "one.float64", Value: 0.1},
	{Key: "many.uint8", Value: []uint8{0, 255}},
	{Key: "many.int8", Value: []int8{-128, 127}},
	{Key: "many.uint16", Value: []uint16{1, 65535}},
	{Key: "many.int16", Value: []int16{-32768, 5}},
	{Key: "many.uint32", Value: []uint32{7, 4294967295}},
	{Key: "many.int32", Value: []int32{-2147483648, 9}},
	{Key: "many.float32", Value: []float32{0.25, -3}},
	{Key: "many.bool", Value: []bool{true, false, true}},
	{Key: "many.string", Value: []string{"a", "", "ü€"}},
	{Key: "many.uint64", Value: []uint64{1, math.MaxUint64}},
	{Key: "many.int64", Value: []int64{math.MinInt64, math.MaxInt64}},
	{Key: "many.float64", Value: []float64{1e300, math.Copysign(0, -1)}},
}

func TestEveryValueTypeIsRead(t *testing.T) {
	for _, name := range []string{"keys_le.gguf", "keys_be.gguf"} {
		m, err := readBytes(fixture(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := m.Meta.All(); !reflect.DeepEqual(got, keysWant) {
			t.Errorf("%s: metadata\n got %#v\nwant %#v", name, got, keysWant)
		}
	}
}

func TestEveryUnpackedTypeIsReadLittleEndian(t *testing.T) {
	steps := []float64{0, 20, 40, 60, 80, 100}
	tests := []struct {
		name  string
		dtype tensor.DType
		shape tensor.Shape
		want  any
	}{
		{"t.float32", tensor.F32, tensor.Shape{2, 3}, convert[float32](steps)},
		{"t.float16", tensor.F16, tensor.Shape{2, 3}, []uint16{0, 0x4d00, 0x5100, 0x5380, 0x5500, 0x5640}},
		{"t.float64", tensor.F64, tensor.Shape{2, 3}, steps},
		{"t.int8", tensor.I8, tensor.Shape{2, 3}, convert[int8](steps)},
		{"t.int16", tensor.I16, tensor.Shape{2, 3}, convert[int16](steps)},
		{"t.int32", tensor.I32, tensor.Shape{2, 3}, convert[int32](steps)},
		{"t.int64", tensor.I64, tensor.Shape{2, 3}, convert[int64](steps)},
		{"t.bfloat16", tensor.BF16, tensor.Shape{1, 3}, []uint16{0x3f80, 0xc000, 0x7f80}},
		{"t.rank1", tensor.F32, tensor.Shape{1}, []float32{7}},
	}
	for _, file := range []string{"keys_le.gguf", "keys_be.gguf"} {
		m, err := readBytes(fixture(t, file))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, tt := range tests {
			x := m.Tensor(tt.name)
			if x == nil {
				t.Errorf("%s: no tensor %q", file, tt.name)
				continue
			}
			var want bytes.Buffer
			if err := binary.Write(&want, binary.LittleEndian, tt.want); err != nil {
				t.Fatal(err)
			}
			got, err := x.ReadAll()
			if x.DType != tt.dtype || !x.Shape.Equal(tt.shape) || err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Errorf("%s: %s is %v %v % x, %v; want %v %v % x", file, tt.name, x.DType, x.Shape, got, err, tt.dtype, tt.shape, want.Bytes())
			}
		}
	}
}

func convert[T int8 | int16 | int32 | int64 | float32](v []float64) []T {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x)
	}
	return out
}

func TestShapesAreOutermostFirst(t *testing.T) {
	m, err := readBytes(fixture(t, "keys_le.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Tensor("t.rank4").Shape, (tensor.Shape{4, 3, 2, 1}); !got.Equal(want) {
		t.Errorf("shape %v, want %v as numpy has it", got, want)
	}
}

func TestOldVersionsReadAlike(t *testing.T) {
	want := []tensor.KV{
		{Key: "general.architecture", Value: "smelt-test"},
		{Key: "test.words", Value: []string{"one", "two"}},
		{Key: "test.count", Value: uint32(7)},
	}
	for _, name := range []string{"v1.gguf", "v2.gguf"} {
		m, err := readBytes(fixture(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := m.Meta.All(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: metadata %v, want %v", name, got, want)
		}
		x, y := m.Tensor("x"), m.Tensor("y")
		if !x.Shape.Equal(tensor.Shape{2, 3}) || y.DType != tensor.F16 {
			t.Errorf("%s: x %v, y %v; want [2 3], f16", name, x.Shape, y.DType)
		}
		b, err := y.ReadAll()
		if want := []byte{0, 0, 0, 0x3c, 0, 0x40, 0, 0x42}; err != nil || !bytes.Equal(b, want) { // 0 1 2 3
			t.Errorf("%s: y holds % x, %v; want % x", name, b, err, want)
		}
	}
}

func TestDataIsASectionOfTheFile(t *testing.T) {
	file := fixture(t, "align64.gguf")
	r := bytes.NewReader(file)
	m, err := Read(r, r.Size(), "align64.gguf")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range m.Tensors() {
		s, ok := x.Data.(*io.SectionReader)
		if !ok {
			t.Fatalf("%s: Data is %T, want *io.SectionReader", x.Name, x.Data)
		}
		outer, off, n := s.Outer()
		if outer != io.ReaderAt(r) || off != x.Origin.Offset || n != x.Size() || off%64 != 0 {
			t.Errorf("%s: section of %T at %d of %d bytes; want the file at %d (a multiple of 64) of %d", x.Name, outer, off, n, x.Origin.Offset, x.Size())
		}
		if x.Origin.File != "align64.gguf" {
			t.Errorf("%s: origin %q, want the file's name", x.Name, x.Origin.File)
		}
	}
}

func TestGapsBetweenTensorsAreAllowed(t *testing.T) {
	b := build().head(2, 0).row("late", 24, 64, 3).row("early", 24, 0, 3).data(67).b
	copy(b[len(b)-3:], "\x01\x02\x03")
	m, err := readBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Tensor("late").ReadAll()
	if err != nil || !bytes.Equal(got, []byte{1, 2, 3}) {
		t.Errorf("late holds %v, %v; want [1 2 3]", got, err)
	}
}

func TestHeaderIsReadWithoutData(t *testing.T) {
	b := fixture(t, "blocks_le.gguf")
	h, err := ReadHeader(bytes.NewReader(b), int64(len(b)), "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	cut := b[:h.DataOffset]
	h, err = ReadHeader(bytes.NewReader(cut), int64(len(cut)), "m.gguf")
	if err != nil || len(h.Tensors) != 6 {
		t.Fatalf("header of a file without data: %v, %v; want 6 tensors", h, err)
	}
	if _, err := readBytes(cut); err == nil {
		t.Error("Read accepts a file without its data")
	}
}

func TestRealVocabularyIsRead(t *testing.T) {
	m, err := readBytes(fixture(t, "ggml-vocab-bert-bge.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	tokens, _ := m.Meta.Get("tokenizer.ggml.tokens")
	words, _ := tokens.([]string)
	types, _ := m.Meta.Get("tokenizer.ggml.token_type")
	kinds, _ := types.([]int32)
	if len(words) != 30522 || len(kinds) != 30522 || words[101] != "[CLS]" {
		t.Errorf("%d tokens, %d types; want 30522 of both and [CLS] at 101", len(words), len(kinds))
	}
	if id, ok := m.Meta.Int("tokenizer.ggml.cls_token_id"); ok && id != 101 {
		t.Errorf("cls_token_id %d, want 101", id)
	}
}

// vocabulary returns a file with n tokens, scores, types and twice as many merges.
func vocabulary(tb testing.TB, n int) []byte {
	tb.Helper()
	tokens, scores, kinds, merges := make([]string, n), make([]float32, n), make([]int32, n), make([]string, 2*n)
	for i := range tokens {
		tokens[i], scores[i], kinds[i] = string(rune('a'+i%26))+string(rune(0x100+i%5000)), float32(-i), 1
	}
	for i := range merges {
		merges[i] = tokens[i%n] + " " + tokens[(i*7)%n]
	}
	p, err := Place(tensor.NewMeta(
		tensor.KV{Key: "tokenizer.ggml.tokens", Value: tokens},
		tensor.KV{Key: "tokenizer.ggml.scores", Value: scores},
		tensor.KV{Key: "tokenizer.ggml.token_type", Value: kinds},
		tensor.KV{Key: "tokenizer.ggml.merges", Value: merges},
	), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return write(p, nil)
}

func BenchmarkReadVocabulary128k(b *testing.B) {
	file := vocabulary(b, 128256)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readBytes(file); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead10000Tensors(b *testing.B) {
	infos := make([]tensor.Info, 10000)
	for i := range infos {
		infos[i] = tensor.Info{Name: "blk.weight." + string(rune('a'+i%26)) + string(rune(0x4e00+i)), DType: tensor.F32, Shape: tensor.Shape{2, 4}}
	}
	p, err := Place(tensor.Meta{}, infos)
	if err != nil {
		b.Fatal(err)
	}
	file := write(p, nil)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readBytes(file); err != nil {
			b.Fatal(err)
		}
	}
}

// A file that llama.cpp and the gguf package both accept, where it has been fetched.
func TestPublishedModelIsRead(t *testing.T) {
	home, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	path := filepath.Join(home, "smelt", "models", "smollm2-135m-instruct.Q4_1.gguf")
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("the published model is not here: %v", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Read(f, st.Size(), path)
	if err != nil {
		t.Fatal(err)
	}
	if arch, n := m.Meta.Text("general.architecture"), len(m.Tensors()); arch != "llama" || n != 272 {
		t.Errorf("architecture %q of %d tensors; want llama of 272", arch, n)
	}
	if got, want := m.Tensor("token_embd.weight").Shape, (tensor.Shape{49152, 576}); !got.Equal(want) {
		t.Errorf("token_embd.weight is %v, want %v", got, want)
	}
	var infos []tensor.Info
	for _, x := range m.Tensors() {
		infos = append(infos, x.Info)
	}
	if err := Check(f, st.Size(), m.Meta, infos); err != nil {
		t.Errorf("llama.cpp's file does not keep the rules that Check holds ours to: %v", err)
	}
	if _, err := m.Tensor("output_norm.weight").Digest(context.Background()); err != nil {
		t.Error(err)
	}
}
