package pickle

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// small is a float32 view of the shape over the first elements of storage 0.
func small(shape ...int64) string {
	strides, n := make([]int64, len(shape)), int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	return pyTensor(pyStorage("torch.FloatStorage", "0", 6), 0, shape, strides)
}

// indices is an int64 view over storage 1.
func indices(shape ...int64) string {
	return strings.Replace(strings.Replace(small(shape...), "FloatStorage", "LongStorage", 1), pyStr("0"), pyStr("1"), 1)
}

// rebuilt reads a checkpoint over six floats and six integers.
func rebuilt(t *testing.T, value string) (*tensor.Model, error) {
	return readBytes(torchZip(t, pyDict(pyStr("w"), value), zipPart{"0", counting(6)}, zipPart{"1", i64s(0, 1, 2, 3, 4, 5)}), Options{Strict: true})
}

func i64s(v ...int64) string {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	return string(b)
}

func f64s(v ...float64) string {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return string(b)
}

// pyQuantized is a call of _rebuild_qtensor over a storage of six bytes.
func pyQuantized(class string, numel int64, size []int64, params ...string) string {
	strides, n := make([]int64, len(size)), int64(1)
	for i := len(size) - 1; i >= 0; i-- {
		strides[i] = n
		n *= size[i]
	}
	return pyCall("torch._utils._rebuild_qtensor", pyStorage(class, "0", numel), pyInt(0), pyInts(size...), pyInts(strides...), pyTuple(params...), "\x89", pyCall("collections.OrderedDict"))
}

func TestQuantizedTensorBecomesIntegersScalesAndZeroPoints(t *testing.T) {
	list := func(v ...string) string { return pyList(v...) }
	for _, c := range []struct {
		name, value   string
		data          string
		dtype         tensor.DType
		shape         tensor.Shape
		scales, zeros string
		note          string
	}{
		{"per tensor", pyQuantized("torch.QInt8Storage", 6, []int64{2, 3}, pyGlobal("torch.per_tensor_affine"), pyFloat(0.5), pyInt(-3)), "\x01\x02\x03\x04\x05\xff", tensor.I8, tensor.Shape{2, 3},
			f64s(0.5), i64s(-3), "quantized per_tensor_affine, scale 0.5, zero point -3"},
		{"per channel as PyTorch 1.3 wrote it", pyQuantized("torch.QUInt8Storage", 6, []int64{2, 3}, pyGlobal("torch.per_channel_affine"), list(pyFloat(0.5), pyInt(2)), list(pyInt(7), pyInt(-7)), pyInt(0)), "\x01\x02\x03\x04\x05\xff", tensor.U8, tensor.Shape{2, 3},
			f64s(0.5, 2), i64s(7, -7), "quantized per_channel_affine, axis 0"},
		{"float parameters", pyQuantized("torch.QUInt8Storage", 6, []int64{2, 3}, pyGlobal("torch.per_channel_affine_float_qparams"), list(pyFloat(0.5), pyFloat(2)), list(pyFloat(0.25), pyInt(1)), pyInt(0)), "\x01\x02\x03\x04\x05\xff", tensor.U8, tensor.Shape{2, 3},
			f64s(0.5, 2), f64s(0.25, 1), "quantized per_channel_affine_float_qparams, axis 0"},
		{"two values a byte", pyQuantized("torch.QUInt4x2Storage", 6, []int64{2, 6}, pyGlobal("torch.per_tensor_affine"), pyFloat(1), pyInt(0)), "\x01\x02\x03\x04\x05\xff", tensor.QUInt4x2, tensor.Shape{2, 6},
			f64s(1), i64s(0), "quantized per_tensor_affine, scale 1, zero point 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustRead(t, torchZip(t, pyDict(pyStr("w"), c.value), zipPart{"0", c.data}), Options{Strict: true})
			wantNames(t, m, "w", "w.scales", "w.zero_points")
			wantTensor(t, m, "w", c.dtype, c.shape, c.data)
			scales, zeros := m.Tensor("w.scales"), m.Tensor("w.zero_points")
			wantTensor(t, m, "w.scales", tensor.F64, tensor.Shape{len(c.scales) / 8}, c.scales)
			wantTensor(t, m, "w.zero_points", zeros.DType, tensor.Shape{len(c.zeros) / 8}, c.zeros)
			if got := m.Tensor("w").Origin.Note; got != c.note || scales.Origin.Note != "scales of w" || zeros.Origin.Note != "zero points of w" {
				t.Errorf("notes %q, %q, %q", got, scales.Origin.Note, zeros.Origin.Note)
			}
		})
	}
}

func TestCompositeTensorsBecomeTheirParts(t *testing.T) {
	layout := func(name string) string { return pyCall("torch.serialization._get_layout", pyStr("torch."+name)) }
	sparse := func(name string, data ...string) string {
		return pyCall("torch._utils._rebuild_sparse_tensor", layout(name), pyTuple(data...))
	}
	for _, c := range []struct {
		name, value string
		want        []string
		note        string
	}{
		{"COO", sparse("sparse_coo", indices(2, 3), small(3), pyInts(4, 4)), []string{"w.indices", "w.values"}, "sparse COO of a dense [4 4]"},
		{"COO, coalesced", sparse("sparse_coo", indices(2, 3), small(3), pyInts(4, 4), "\x88"), []string{"w.indices", "w.values"}, "sparse COO of a dense [4 4]"},
		{"COO of rows", sparse("sparse_coo", indices(1, 3), small(3, 2), pyInts(9, 2)), []string{"w.indices", "w.values"}, "sparse COO of a dense [9 2]"},
		{"CSR", sparse("sparse_csr", indices(3), indices(4), small(4), pyInts(2, 9)), []string{"w.crow_indices", "w.col_indices", "w.values"}, "sparse_csr of a dense [2 9]"},
		{"CSC", sparse("sparse_csc", indices(3), indices(4), small(4), pyInts(9, 2)), []string{"w.ccol_indices", "w.row_indices", "w.values"}, "sparse_csc of a dense [9 2]"},
		{"BSR", sparse("sparse_bsr", indices(3), indices(1), small(1, 2, 3), pyInts(4, 6)), []string{"w.crow_indices", "w.col_indices", "w.values"}, "sparse_bsr of a dense [4 6]"},
		{"BSC", sparse("sparse_bsc", indices(3), indices(1), small(1, 2, 3), pyInts(4, 6)), []string{"w.ccol_indices", "w.row_indices", "w.values"}, "sparse_bsc of a dense [4 6]"},
		{"nested", pyCall("torch._utils._rebuild_nested_tensor", small(6), indices(2, 2), indices(2, 2), pyList(pyInt(0), pyInt(3))), []string{"w.values", "w.sizes", "w.strides", "w.offsets"}, "nested tensor of 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := rebuilt(t, c.value)
			if err != nil {
				t.Fatal(err)
			}
			wantNames(t, m, c.want...)
			if got := m.Tensors()[0].Origin.Note; !strings.HasPrefix(got, c.note) {
				t.Errorf("note %q, want %q", got, c.note)
			}
		})
	}
}

func TestRebuildersRefuseWhatDoesNotFit(t *testing.T) {
	coo := func(data ...string) string {
		return pyCall("torch._utils._rebuild_sparse_tensor", pyGlobal("torch.sparse_coo"), pyTuple(data...))
	}
	csr := func(data ...string) string {
		return pyCall("torch._utils._rebuild_sparse_tensor", pyGlobal("torch.sparse_csr"), pyTuple(data...))
	}
	q := func(params ...string) string {
		return pyCall("torch._utils._rebuild_qtensor", pyStorage("torch.FloatStorage", "0", 6), pyInt(0), pyInts(2, 3), pyInts(3, 1), pyTuple(params...), "\x89", pyCall("collections.OrderedDict"))
	}
	channel := pyGlobal("torch.per_channel_affine")
	half := func(bits string) string {
		return pyCall("torch._utils._rebuild_device_tensor_from_numpy", pyArray("<f4", bits, "\x89", 1), pyGlobal("torch.bfloat16"), pyStr("cpu"), "\x89")
	}
	for _, c := range []struct {
		name, value string
		class       error
		says        string
	}{
		{"too few arguments", pyCall("torch._utils._rebuild_tensor_v2", pyInt(1)), tensor.ErrUnsupported, "_rebuild_tensor_v2 has 1 arguments, want 6 to 7"},
		{"no arguments", pyCall("torch._utils._rebuild_parameter"), tensor.ErrUnsupported, "has 0 arguments"},
		{"a number for a storage", pyTensor(pyInt(5), 0, []int64{1}, []int64{1}), tensor.ErrCorrupt, "argument 1 is a int 5, want a storage"},
		{"sizes that are text", pyCall("torch._utils._rebuild_tensor", pyStorage("torch.FloatStorage", "0", 6), pyInt(0), pyTuple(pyStr("a")), pyInts(1)), tensor.ErrCorrupt, "argument 3"},
		{"sizes that are a number", pyCall("torch._utils._rebuild_tensor", pyStorage("torch.FloatStorage", "0", 6), pyInt(0), pyInt(6), pyInts(1)), tensor.ErrCorrupt, "want a list or tuple"},
		{"v3 without a dtype", pyCall("torch._utils._rebuild_tensor_v3", pyStorage("torch.UntypedStorage", "0", 24), pyInt(0), pyInts(6), pyInts(1), "\x89", "N", "N"), tensor.ErrCorrupt, "argument 7 is a None None, want a dtype"},
		{"v3 of a type past the storage", pyCall("torch._utils._rebuild_tensor_v3", pyStorage("torch.UntypedStorage", "0", 24), pyInt(0), pyInts(6), pyInts(1), "\x89", "N", pyGlobal("torch.float64")), tensor.ErrCorrupt, "storage holds 3"},
		{"parameter of a number", pyCall("torch._utils._rebuild_parameter", pyInt(1), "\x89", "N"), tensor.ErrCorrupt, "want a tensor"},
		{"device tensor of another type", pyCall("torch._utils._rebuild_device_tensor_from_cpu_tensor", small(6), pyGlobal("torch.float16"), pyStr("cpu"), "\x89"), tensor.ErrUnsupported, "float32 becomes float16"},
		{"bfloat16 that float32 does not hold", half("\x01\x00\x80\x3f"), tensor.ErrUnsupported, "more digits than bfloat16 at element 0"},

		{"COO indices of another rank", coo(indices(3), small(3), pyInts(4)), tensor.ErrCorrupt, "indices [3]"},
		{"COO counts differ", coo(indices(2, 2), small(3), pyInts(4, 4)), tensor.ErrCorrupt, "indices [2 2] and values [3]"},
		{"COO of too few dimensions", coo(indices(2, 3), small(3), pyInts(4)), tensor.ErrCorrupt, "dense [4]"},
		{"COO rows of another length", coo(indices(1, 3), small(3, 2), pyInts(4, 3)), tensor.ErrCorrupt, "dense [4 3]"},
		{"COO of two values", coo(indices(2, 3), small(3)), tensor.ErrUnsupported, "has 2 arguments"},
		{"CSR rows", csr(indices(4), indices(4), small(4), pyInts(2, 9)), tensor.ErrCorrupt, "4 crow_indices for 2 rows"},
		{"CSR counts differ", csr(indices(3), indices(4), small(3), pyInts(2, 9)), tensor.ErrCorrupt, "col_indices [4] and values [3]"},
		{"CSR of a vector", csr(indices(3), indices(4), small(4), pyInts(2)), tensor.ErrCorrupt, "dense [2]"},
		{"BSR in blocks that do not divide", pyCall("torch._utils._rebuild_sparse_tensor", pyGlobal("torch.sparse_bsr"), pyTuple(indices(3), indices(1), small(1, 2, 3), pyInts(5, 6))), tensor.ErrCorrupt, "for 5 rows in blocks of 2"},
		{"unknown layout", pyCall("torch._utils._rebuild_sparse_tensor", pyCall("torch.serialization._get_layout", pyStr("torch.jagged")), pyTuple()), tensor.ErrUnsupported, `layout "jagged"`},
		{"nested sizes differ", pyCall("torch._utils._rebuild_nested_tensor", small(6), indices(2, 2), indices(2, 1), pyList(pyInt(0), pyInt(3))), tensor.ErrCorrupt, "sizes [2 2], strides [2 1]"},

		{"unknown scheme", q(pyGlobal("torch.per_channel_symmetric"), pyFloat(1), pyInt(0)), tensor.ErrCorrupt, "want a scheme that is known"},
		{"no scheme", q(pyInt(1)), tensor.ErrCorrupt, "want a quantization scheme"},
		{"axis outside", q(channel, pyList(pyFloat(1)), pyList(pyInt(0)), pyInt(2)), tensor.ErrCorrupt, "axis 2 of [2 3]"},
		{"axis negative", q(channel, pyList(pyFloat(1)), pyList(pyInt(0)), pyInt(-1)), tensor.ErrCorrupt, "axis -1"},
		{"scales of another length", q(channel, pyList(pyFloat(1)), pyList(pyInt(0), pyInt(0)), pyInt(0)), tensor.ErrCorrupt, "[1] scales and [2] zero points along axis 0"},
		{"scales that are text", q(channel, pyList(pyStr("a")), pyList(pyInt(0)), pyInt(0)), tensor.ErrCorrupt, "want a number"},
		{"scale missing", q(pyGlobal("torch.per_tensor_affine")), tensor.ErrCorrupt, "lacks a number"},

		{"BUILD gives a tensor a storage", pyBuild(small(2), pyTuple(pyStorage("torch.FloatStorage", "0", 6), pyInt(0), pyInts(6), pyInts(1))), tensor.ErrUnsupported, "another storage"},
		{"BUILD of a class", pyBuild(pyGlobal("my.Thing"), pyDict()), tensor.ErrUnsupported, "changes the class my.Thing"},
		{"SETITEM on a tensor", small(2) + "(" + pyStr("a") + pyInt(1) + "u", tensor.ErrCorrupt, "DictSetter"},
		{"APPEND on a class", pyGlobal("my.Thing") + pyInt(1) + "a", tensor.ErrCorrupt, "ListAppender"},
		{"a call of a number", pyInt(1) + pyTuple() + "R", tensor.ErrCorrupt, ""},
		{"a tensor that nothing filled", pyCall("torch.FloatTensor"), tensor.ErrCorrupt, "without a storage"},
		{"encoding that is none", pyCall("_codecs.encode", pyStr("a"), pyStr("rot13")), tensor.ErrUnsupported, `"rot13"`},
		{"text that is not Latin-1", pyCall("_codecs.encode", pyStr("€"), pyStr("latin1")), tensor.ErrCorrupt, "not in Latin-1"},
		{"OrderedDict of no pairs", pyCall("collections.OrderedDict", pyList(pyInt(1))), tensor.ErrCorrupt, "a list holding a int"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := torchZip(t, pyDict(pyStr("w"), c.value), zipPart{"0", counting(6)}, zipPart{"1", i64s(0, 1, 2, 3, 4, 5)})
			_, err := readBytes(b, Options{ForceInert: true})
			wantError(t, err, c.class, c.says)
		})
	}
}

func TestErrorsOfTheMachineSayWhere(t *testing.T) {
	value := pyDict(pyStr("w"), pyCall("torch._utils._rebuild_tensor_v2", pyInt(1)))
	want := int64(strings.LastIndex(pyPickle(value), "R"))
	_, err := readBytes(torchZip(t, value), Options{})
	wantError(t, err, tensor.ErrUnsupported, `member "m/data.pkl"`)
	var at *tensor.Error
	if !asError(err, &at) || at.Offset != want {
		t.Errorf("error %v, want one at 0x%x", err, want)
	}
}

func TestTensorsOfOldVersionsAreRead(t *testing.T) {
	storage := pyStorage("torch.FloatStorage", "0", 6)
	view := pyTuple(storage, pyInt(2), pyInts(2), pyInts(1))
	for name, value := range map[string]string{
		"FloatTensor with a state": pyBuild(pyNew("torch.FloatTensor"), view),
		"Variable with a state":    pyBuild(pyNew("torch.autograd.variable.Variable"), pyTuple(pyBuild(pyNew("torch.FloatTensor"), view), "N", "N", "\x88", "N")),
		"Parameter called":         pyBuild(pyCall("torch.nn.parameter.Parameter", pyCall("torch._utils._rebuild_tensor", storage, pyInt(2), pyInts(2), pyInts(1))), pyTuple("\x88", "\x89", pyCall("collections.OrderedDict"))),
		"Parameter by __newobj__":  pyCall("copy_reg.__newobj__", pyGlobal("torch.nn.parameter.Parameter"), pyCall("torch._utils._rebuild_tensor", storage, pyInt(2), pyInts(2), pyInts(1))),
		"torch.tensor of old":      pyCall("torch.tensor._rebuild_from_type_v2", pyGlobal("torch._utils._rebuild_tensor"), pyGlobal("torch.Tensor"), view, pyDict()),
	} {
		m, err := rebuilt(t, value)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantTensor(t, m, "w", tensor.F32, tensor.Shape{2}, f32s(2, 3))
	}
}

func TestObjectsOfProtocols0And1AreBuilt(t *testing.T) {
	w := small(2)
	value := pyDict(
		pyStr("o"), pyBuild(pyCall("copy_reg._reconstructor", pyGlobal("my.Thing"), pyGlobal("__builtin__.object"), "N"), pyDict(pyStr("w"), w)),
		pyStr("i"), "("+"imy\nOld\n"+pyDict(pyStr("w"), w)+"b",
		pyStr("l"), pyCall("copyreg._reconstructor", pyGlobal("my.List"), pyGlobal("builtins.list"), pyList(pyInt(1), pyInt(2))))
	m := mustRead(t, torchZip(t, value, zipPart{"0", counting(6)}), Options{})
	wantNames(t, m, "o.w", "i.w")
}
