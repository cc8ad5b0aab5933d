package pickle

import "github.com/smelt-project/smelt/tensor"

// A scalarType is an element type of PyTorch (c10/core/ScalarType.h): its name
// as a torch global, the storage class that holds it, and what it becomes here.
type scalarType struct {
	name    string       // "float32" of torch.float32
	storage string       // "Float" of torch.FloatStorage; "" for types younger than the typed storages
	dtype   tensor.DType // of the elements
	item    int64        // bytes of one element of the storage
	sign    []byte       // XORed with one element it negates it; nil where a sign bit alone does not
	conj    []byte       // XORed with one element it conjugates it; nil for types that are not complex
}

// scalarTypes is the one table of element types. Quantized types keep their
// integers, as Tensor.int_repr does; a storage of the packed ones counts bytes.
var scalarTypes = []*scalarType{
	{name: "float64", storage: "Double", dtype: tensor.F64, item: 8, sign: []byte{7: 0x80}},
	{name: "float32", storage: "Float", dtype: tensor.F32, item: 4, sign: []byte{3: 0x80}},
	{name: "float16", storage: "Half", dtype: tensor.F16, item: 2, sign: []byte{1: 0x80}},
	{name: "bfloat16", storage: "BFloat16", dtype: tensor.BF16, item: 2, sign: []byte{1: 0x80}},
	{name: "int64", storage: "Long", dtype: tensor.I64, item: 8},
	{name: "int32", storage: "Int", dtype: tensor.I32, item: 4},
	{name: "int16", storage: "Short", dtype: tensor.I16, item: 2},
	{name: "int8", storage: "Char", dtype: tensor.I8, item: 1},
	{name: "uint8", storage: "Byte", dtype: tensor.U8, item: 1},
	{name: "bool", storage: "Bool", dtype: tensor.Bool, item: 1},
	{name: "complex128", storage: "ComplexDouble", dtype: tensor.C128, item: 16, sign: []byte{7: 0x80, 15: 0x80}, conj: []byte{15: 0x80}},
	{name: "complex64", storage: "ComplexFloat", dtype: tensor.C64, item: 8, sign: []byte{3: 0x80, 7: 0x80}, conj: []byte{7: 0x80}},
	{name: "qint8", storage: "QInt8", dtype: tensor.I8, item: 1},
	{name: "quint8", storage: "QUInt8", dtype: tensor.U8, item: 1},
	{name: "qint32", storage: "QInt32", dtype: tensor.I32, item: 4},
	{name: "quint4x2", storage: "QUInt4x2", dtype: tensor.QUInt4x2, item: 1},
	{name: "quint2x4", storage: "QUInt2x4", dtype: tensor.QUInt2x4, item: 1},

	{name: "complex32", dtype: tensor.C32, item: 4, sign: []byte{1: 0x80, 3: 0x80}, conj: []byte{3: 0x80}},
	{name: "uint16", dtype: tensor.U16, item: 2},
	{name: "uint32", dtype: tensor.U32, item: 4},
	{name: "uint64", dtype: tensor.U64, item: 8},
	{name: "float8_e4m3fn", dtype: tensor.F8E4M3FN, item: 1, sign: []byte{0x80}},
	{name: "float8_e5m2", dtype: tensor.F8E5M2, item: 1, sign: []byte{0x80}},
	{name: "float8_e4m3fnuz", dtype: tensor.F8E4M3FNUZ, item: 1},
	{name: "float8_e5m2fnuz", dtype: tensor.F8E5M2FNUZ, item: 1},
	{name: "float8_e8m0fnu", dtype: tensor.F8E8M0FNU, item: 1},
	{name: "float4_e2m1fn_x2", dtype: tensor.F4E2M1FNx2, item: 1},
	{name: "bits8", dtype: tensor.Bits8, item: 1},
	{name: "bits16", dtype: tensor.Bits16, item: 2},
	{name: "bits1x8", dtype: tensor.Bits1x8, item: 1},
	{name: "bits2x4", dtype: tensor.Bits2x4, item: 1},
	{name: "bits4x2", dtype: tensor.Bits4x2, item: 1},
}

// untyped is the element of torch.UntypedStorage: a byte that belongs to no type.
var untyped = &scalarType{name: "untyped", item: 1}

// dtypeAliases are the other names of torch dtypes (torch/__init__.py,
// tensor_dtypes.rst). Pickles use the long ones; a hand-made one may not.
var dtypeAliases = map[string]string{
	"double": "float64", "float": "float32", "half": "float16",
	"long": "int64", "int": "int32", "short": "int16",
	"cdouble": "complex128", "cfloat": "complex64", "chalf": "complex32",
}

// A storageClass is the value of a global such as torch.HalfStorage.
type storageClass struct{ elem *scalarType }

// scalarTypeOf returns the row whose elements become d. The quantized rows come
// after the plain ones, so a plain row answers for i8, u8 and i32.
func scalarTypeOf(d tensor.DType) *scalarType {
	for _, s := range scalarTypes {
		if s.dtype == d {
			return s
		}
	}
	return nil
}
