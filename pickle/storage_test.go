package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestStorageThatDoesNotHoldItsTensorIsRefused(t *testing.T) {
	whole := pyStorage("torch.FloatStorage", "0", 6)
	for _, c := range []struct {
		name  string
		value string
		class error
		says  string
	}{
		{"record short", pyVector("0", 7), tensor.ErrCorrupt, "storage 0 holds 24 bytes, the pickle says 7 elements of 4 bytes, 28"},
		{"record long", pyVector("0", 5), tensor.ErrCorrupt, "holds 24 bytes"},
		{"numel -1", pyVector("0", -1), tensor.ErrCorrupt, "has -1 elements"},
		{"numel 2^50", pyVector("0", 1<<50), tensor.ErrCorrupt, "holds 24 bytes"},
		{"numel that wraps to 6", pyVector("0", 1<<62+6), tensor.ErrCorrupt, "elements of 4 bytes"},
		{"two element sizes on a key", pyDict(pyStr("a"), pyVector("0", 6), pyStr("b"), pyTensor(pyStorage("torch.DoubleStorage", "0", 6), 0, []int64{6}, []int64{1})), tensor.ErrCorrupt, "6 elements of 8 bytes"},
		{"two lengths of a key", pyDict(pyStr("a"), pyVector("0", 6), pyStr("b"), pyVector("0", 4)), tensor.ErrCorrupt, "4 elements"},
		{"offset past the end", pyTensor(whole, 6, []int64{1}, []int64{1}), tensor.ErrCorrupt, "reach element 6, storage holds 6"},
		{"negative offset", pyTensor(whole, -1, []int64{1}, []int64{1}), tensor.ErrCorrupt, "offset -1"},
		{"size past the end", pyTensor(whole, 0, []int64{7}, []int64{1}), tensor.ErrCorrupt, "reach element 6"},
		{"stride past the end", pyTensor(whole, 0, []int64{2, 3}, []int64{4, 1}), tensor.ErrCorrupt, "reach element 6"},
		{"negative size", pyTensor(whole, 0, []int64{-1}, []int64{1}), tensor.ErrCorrupt, "argument 3"},
		{"negative stride", pyTensor(whole, 5, []int64{3}, []int64{-1}), tensor.ErrCorrupt, "argument 4"},
		{"rank mismatch", pyTensor(whole, 0, []int64{2, 3}, []int64{1}), tensor.ErrCorrupt, "size [2 3], 1 strides"},
		{"sizes that overflow", pyTensor(whole, 0, []int64{1 << 40, 1 << 40}, []int64{0, 0}), tensor.ErrTooLarge, "overflows"},
		{"strides that overflow", pyTensor(whole, 0, []int64{4, 1}, []int64{math.MaxInt64 / 2, 1}), tensor.ErrCorrupt, "overflow"},
		{"offset that overflows", pyTensor(whole, math.MaxInt64, []int64{2}, []int64{1}), tensor.ErrCorrupt, "overflow"},
		{"expanded beyond reason", pyTensor(whole, 0, []int64{1 << 30}, []int64{0}), tensor.ErrTooLarge, "AllowExpand"},
		{"nine dimensions", pyTensor(whole, 0, []int64{1, 1, 1, 1, 1, 1, 1, 1, 1}, []int64{1, 1, 1, 1, 1, 1, 1, 1, 1}), tensor.ErrTooLarge, "9 dimensions"},
		{"a storage without a type", pyTensor(pyStorage("torch.UntypedStorage", "0", 24), 0, []int64{6}, []int64{1}), tensor.ErrUnsupported, "no element type"},
		{"no storage of the key", pyVector("1", 6), tensor.ErrNotFound, `storage "1"`},
		{"key with a slash", pyVector("../data.pkl", 6), tensor.ErrCorrupt, "storage key"},
		{"key of dots", pyVector("..", 6), tensor.ErrCorrupt, "storage key"},
		{"empty key", pyVector("", 6), tensor.ErrCorrupt, "storage key"},
		{"key with a control character", pyVector("0\n", 6), tensor.ErrCorrupt, "storage key"},
		{"numel that is a float", pyTuple(pyStr("storage"), pyGlobal("torch.FloatStorage"), pyStr("0"), pyStr("cpu"), pyFloat(6)) + "Q", tensor.ErrCorrupt, "6.0 elements"},
		{"class that is no storage", pyTuple(pyStr("storage"), pyGlobal("argparse.Namespace"), pyStr("0"), pyStr("cpu"), pyInt(6)) + "Q", tensor.ErrUnsupported, "storage of class argparse.Namespace"},
		{"persistent id of another kind", pyTuple(pyStr("tensor"), pyStr("0")) + "Q", tensor.ErrUnsupported, `"tensor" of 2 parts`},
		{"persistent id that is text", pyStr("0") + "Q", tensor.ErrUnsupported, "not of the zip container"},
		{"view of a storage in a zip", pyTuple(pyStr("storage"), pyGlobal("torch.FloatStorage"), pyStr("0"), pyStr("cpu"), pyInt(6), pyTuple(pyStr("1"), pyInt(0), pyInt(2))) + "Q", tensor.ErrUnsupported, "not of the zip container"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readBytes(torchZip(t, pyDict(pyStr("w"), c.value), zipPart{"0", counting(6)}), Options{})
			wantError(t, err, c.class, c.says)
		})
	}
}

func TestOneStorageCanBeReadAsTwoTypesOfOneLength(t *testing.T) {
	b := torchZip(t, pyDict(pyStr("f"), pyVector("0", 6), pyStr("i"), pyTensor(pyStorage("torch.IntStorage", "0", 6), 2, []int64{2}, []int64{1})), zipPart{"0", counting(6)})
	m := mustRead(t, b, Options{})
	wantTensor(t, m, "f", tensor.F32, tensor.Shape{6}, counting(6))
	wantTensor(t, m, "i", tensor.I32, tensor.Shape{2}, f32s(2, 3))
	if f, i := m.Tensor("f").Origin, m.Tensor("i").Origin; f.Storage != i.Storage || strings.Contains(i.Note, "tied") {
		t.Errorf("origins %+v and %+v, want one storage and no tie", f, i)
	}
}

func TestExpandedViewIsReadWhenAllowed(t *testing.T) {
	value := pyDict(pyStr("w"), pyTensor(pyStorage("torch.ByteStorage", "0", 1), 0, []int64{1 << 31}, []int64{0}))
	m := mustRead(t, torchZip(t, value, zipPart{"0", "\x07"}), Options{AllowExpand: true})
	var b [3]byte
	if err := m.Tensor("w").ReadFull(b[:], 1<<31-3); err != nil || b != [3]byte{7, 7, 7} {
		t.Errorf("last bytes %v, %v; want 7 7 7", b, err)
	}
}

// Any view of any storage has the elements that PyTorch's definition gives:
// storage[offset + Σ index·stride].
func TestViewHasTheElementsOfItsDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const held = 60
	data := counting(held)
	for range 500 {
		shape, strides := make([]int64, rng.IntN(5)), []int64(nil)
		offset := rng.Int64N(8)
		last := offset
		for i := range shape {
			shape[i] = rng.Int64N(4)
			stride := rng.Int64N(12)
			if shape[i] > 1 && last+(shape[i]-1)*stride >= held {
				stride = 0
			}
			last += max(shape[i]-1, 0) * stride
			strides = append(strides, stride)
		}
		want := viewBytes(data, shape, strides, offset)
		m := mustRead(t, torchZip(t, pyDict(pyStr("w"), pyTensor(pyStorage("torch.FloatStorage", "0", held), offset, shape, strides)), zipPart{"0", data}), Options{})
		dims := make(tensor.Shape, len(shape))
		for i, d := range shape {
			dims[i] = int(d)
		}
		wantTensor(t, m, "w", tensor.F32, dims, want)
	}
}

func viewBytes(data string, shape, strides []int64, at int64) string {
	if len(shape) == 0 {
		return data[4*at : 4*at+4]
	}
	var b strings.Builder
	for i := range shape[0] {
		b.WriteString(viewBytes(data, shape[1:], strides[1:], at+i*strides[0]))
	}
	return b.String()
}

func TestContiguousTensorIsASectionOfTheFile(t *testing.T) {
	b := torchZip(t, pyDict(pyStr("w"), pyTensor(pyStorage("torch.FloatStorage", "0", 6), 2, []int64{2, 2}, []int64{2, 1})), zipPart{"0", counting(6)})
	file := bytes.NewReader(b)
	m, err := Read(file, int64(len(b)), "file.pt", Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := m.Tensor("w")
	section, ok := w.Data.(*io.SectionReader)
	if !ok {
		t.Fatalf("data is a %T", w.Data)
	}
	r, off, n := section.Outer()
	if r != io.ReaderAt(file) || n != 16 || off != w.Origin.Offset || string(b[off:off+n]) != f32s(2, 3, 4, 5) {
		t.Errorf("section of %T at %d of %d bytes, origin at %d", r, off, n, w.Origin.Offset)
	}
}

// failing is a file whose storages cannot be read.
type failing struct {
	io.ReaderAt
	from, to int64
	t        *testing.T
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off < f.to && off+int64(len(p)) > f.from {
		f.t.Errorf("%d bytes at %d were read", len(p), off)
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestStorageBytesAreNotReadUntilATensorIs(t *testing.T) {
	marker := strings.Repeat("\xa5", 1<<20)
	for name, b := range map[string][]byte{
		"zip":    torchZip(t, pyDict(pyStr("w"), pyVector("0", 1<<18)), zipPart{"0", marker}),
		"legacy": legacyFile(pyDict(pyStr("w"), pyVector("0", 1<<18)), legacyStorage{"0", 1 << 18, marker}),
	} {
		t.Run(name, func(t *testing.T) {
			at := int64(bytes.Index(b, []byte(marker)))
			// The first window of a legacy file may reach a little into the storage.
			f := failing{bytes.NewReader(b), at + firstWindow, at + 1<<20 - firstWindow, t}
			if _, err := Read(f, int64(len(b)), "file.pt", Options{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestLazyBitsAreCarriedOut(t *testing.T) {
	value := func(class string, numel int64, meta string) string {
		return pyDict(pyStr("w"), pyCall("torch._utils._rebuild_tensor_v2", pyStorage(class, "0", numel), pyInt(0), pyInts(numel), pyInts(1), "\x89", pyCall("collections.OrderedDict"), meta))
	}
	for _, c := range []struct {
		name, class, meta string
		numel             int64
		dtype             tensor.DType
		data, want        string
	}{
		{"neg", "torch.FloatStorage", pyDict(pyStr("neg"), "\x88"), 2, tensor.F32, f32s(1, -2), f32s(-1, 2)},
		{"conj", "torch.ComplexFloatStorage", pyDict(pyStr("conj"), "\x88"), 1, tensor.C64, f32s(1, 2), f32s(1, -2)},
		{"both", "torch.ComplexFloatStorage", pyDict(pyStr("conj"), "\x88", pyStr("neg"), "\x88"), 1, tensor.C64, f32s(1, 2), f32s(-1, 2)},
		{"neither", "torch.FloatStorage", pyDict(pyStr("neg"), "\x89"), 2, tensor.F32, f32s(1, -2), f32s(1, -2)},
		{"no metadata", "torch.FloatStorage", "N", 2, tensor.F32, f32s(1, -2), f32s(1, -2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustRead(t, torchZip(t, value(c.class, c.numel, c.meta), zipPart{"0", c.data}), Options{})
			wantTensor(t, m, "w", c.dtype, tensor.Shape{int(c.numel)}, c.want)
		})
	}
	for _, c := range []struct{ name, class, meta, says string }{
		{"conj of real numbers", "torch.FloatStorage", pyDict(pyStr("conj"), "\x88"), "conjugate bit on elements of type float32"},
		{"neg of integers", "torch.IntStorage", pyDict(pyStr("neg"), "\x88"), "negative bit on elements of type int32"},
		{"unknown bit", "torch.FloatStorage", pyDict(pyStr("transposed"), "\x88"), `metadata "transposed"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readBytes(torchZip(t, value(c.class, 2, c.meta), zipPart{"0", f32s(1, 2)}), Options{})
			wantError(t, err, tensor.ErrUnsupported, c.says)
		})
	}
}

func TestBigEndianElementsAreSwapped(t *testing.T) {
	double := binary.BigEndian.AppendUint64(nil, math.Float64bits(1.5))
	half := []byte{0x3c, 0x00, 0xc0, 0x00}
	complexes := append(binary.BigEndian.AppendUint32(nil, math.Float32bits(1)), binary.BigEndian.AppendUint32(nil, math.Float32bits(2))...)
	value := pyDict(
		pyStr("d"), pyTensor(pyStorage("torch.DoubleStorage", "0", 1), 0, []int64{1}, []int64{1}),
		pyStr("h"), pyTensor(pyStorage("torch.HalfStorage", "1", 2), 0, []int64{2}, []int64{1}),
		pyStr("c"), pyTensor(pyStorage("torch.ComplexFloatStorage", "2", 1), 0, []int64{1}, []int64{1}),
		pyStr("b"), pyTensor(pyStorage("torch.ByteStorage", "3", 2), 0, []int64{2}, []int64{1}),
		pyStr("u"), pyCall("torch._utils._rebuild_tensor_v3", pyStorage("torch.storage.UntypedStorage", "4", 4), pyInt(0), pyInts(2), pyInts(1), "\x89", "N", pyGlobal("torch.uint16")),
	)
	b := zipOf(t, zipPart{"data.pkl", pyPickle(value)}, zipPart{"byteorder", "big"}, zipPart{"data/0", string(double)}, zipPart{"data/1", string(half)},
		zipPart{"data/2", string(complexes)}, zipPart{"data/3", "\x01\x02"}, zipPart{"data/4", "\x01\x02\x03\x04"})
	m := mustRead(t, b, Options{})
	wantTensor(t, m, "d", tensor.F64, tensor.Shape{1}, string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(1.5))))
	wantTensor(t, m, "h", tensor.F16, tensor.Shape{2}, "\x00\x3c\x00\xc0")
	wantTensor(t, m, "c", tensor.C64, tensor.Shape{1}, f32s(1, 2))
	wantTensor(t, m, "b", tensor.U8, tensor.Shape{2}, "\x01\x02")
	wantTensor(t, m, "u", tensor.U16, tensor.Shape{2}, "\x02\x01\x04\x03")
	wantNote(t, m, "big-endian")
	if got := m.Meta.Text("pytorch.byteorder"); got != "big" {
		t.Errorf("pytorch.byteorder = %q, want big", got)
	}
}

func TestBigEndianStorageOfHalfAWordIsRefused(t *testing.T) {
	value := pyDict(pyStr("u"), pyCall("torch._utils._rebuild_tensor_v3", pyStorage("torch.storage.UntypedStorage", "0", 3), pyInt(0), pyInts(1), pyInts(1), "\x89", "N", pyGlobal("torch.uint16")))
	_, err := readBytes(zipOf(t, zipPart{"data.pkl", pyPickle(value)}, zipPart{"byteorder", "big"}, zipPart{"data/0", "abc"}), Options{})
	wantError(t, err, tensor.ErrCorrupt, `tensor "u"`, "3 bytes is not made of words of 2")
}

func TestEveryStorageClassHasItsType(t *testing.T) {
	for _, s := range scalarTypes {
		if s.storage == "" {
			continue
		}
		for _, module := range []string{"torch.", "torch.cuda.", "torch.storage."} {
			value := pyDict(pyStr("w"), pyTensor(pyStorage(module+s.storage+"Storage", "0", 4), 0, []int64{4}, []int64{1}))
			data := strings.Repeat("\x01", int(4*s.item))
			m := mustRead(t, torchZip(t, value, zipPart{"0", data}), Options{Strict: true})
			layout, _ := s.dtype.Layout()
			wantTensor(t, m, "w", s.dtype, tensor.Shape{4}, data[:4/layout.Elems*layout.Bytes])
		}
	}
}

func TestBareStorageIsAVector(t *testing.T) {
	value := pyDict(pyStr("typed"), pyStorage("torch.FloatStorage", "0", 2), pyStr("untyped"), pyStorage("torch.storage.UntypedStorage", "0", 8))
	m := mustRead(t, torchZip(t, value, zipPart{"0", f32s(1, 2)}), Options{})
	wantTensor(t, m, "typed", tensor.F32, tensor.Shape{2}, f32s(1, 2))
	wantTensor(t, m, "untyped", tensor.U8, tensor.Shape{8}, f32s(1, 2))
}

func TestUnusedBytesOfStoragesAreNoted(t *testing.T) {
	value := pyDict(pyStr("w"), pyTensor(pyStorage("torch.FloatStorage", "0", 6), 4, []int64{2}, []int64{1}))
	m := mustRead(t, torchZip(t, value, zipPart{"0", counting(6)}, zipPart{"1", counting(3)}), Options{})
	wantNote(t, m, "1 storages of 12 bytes in all belong to no tensor")
	wantNote(t, m, "16 bytes are not used")
	if note := m.Tensor("w").Origin.Note; note != "uses 8 bytes of a storage of 24" {
		t.Errorf("note %q", note)
	}
}

func TestTiedTensorsKeepBothNames(t *testing.T) {
	whole := pyStorage("torch.FloatStorage", "0", 4)
	value := pyDict(
		pyStr("a"), pyTensor(whole, 0, []int64{2, 2}, []int64{2, 1}),
		pyStr("b"), pyTensor(whole, 0, []int64{2, 2}, []int64{2, 1}),
		pyStr("t"), pyTensor(whole, 0, []int64{2, 2}, []int64{1, 2}))
	m := mustRead(t, torchZip(t, value, zipPart{"0", counting(4)}), Options{})
	for name, want := range map[string]string{"a": "", "b": "tied to a", "t": "strided view"} {
		x := m.Tensor(name)
		wantNote(t, m, "tied to an earlier one: b to a")
		if x.Origin.Note != want || x.Origin.Storage != "data/0" {
			t.Errorf("%s: note %q, storage %q; want %q, data/0", name, x.Origin.Note, x.Origin.Storage, want)
		}
	}
	if ties := slices.DeleteFunc([]string{"a", "b", "t"}, func(n string) bool { return digestOf(t, m.Tensor(n)) != digestOf(t, m.Tensor("a")) }); fmt.Sprint(ties) != "[a b]" {
		t.Errorf("equal to a: %v", ties)
	}
}
