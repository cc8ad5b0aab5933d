package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// A numpyType is an element type of numpy by its array-protocol code.
type numpyType struct {
	code  string // "f4"
	class string // of numpy.dtypes
	dtype tensor.DType
	item  int
}

var numpyTypes = []*numpyType{
	{"f2", "Float16DType", tensor.F16, 2},
	{"f4", "Float32DType", tensor.F32, 4},
	{"f8", "Float64DType", tensor.F64, 8},
	{"i1", "Int8DType", tensor.I8, 1},
	{"i2", "Int16DType", tensor.I16, 2},
	{"i4", "Int32DType", tensor.I32, 4},
	{"i8", "Int64DType", tensor.I64, 8},
	{"u1", "UInt8DType", tensor.U8, 1},
	{"u2", "UInt16DType", tensor.U16, 2},
	{"u4", "UInt32DType", tensor.U32, 4},
	{"u8", "UInt64DType", tensor.U64, 8},
	{"b1", "BoolDType", tensor.Bool, 1},
	{"c8", "Complex64DType", tensor.C64, 8},
	{"c16", "Complex128DType", tensor.C128, 16},
}

// build is the call of a class such as numpy.dtypes.Float32DType.
func (n *numpyType) build(*machine, *arguments) (any, error) {
	return &dtypeObject{code: n.code, typ: n}, nil
}

// A dtypeObject is a numpy.dtype. typ is nil for what no tensor holds: text,
// records, dates, Python objects.
type dtypeObject struct {
	code string
	typ  *numpyType
	big  bool
}

// buildNumpyType is numpy.dtype(code, align, copy).
func buildNumpyType(_ *machine, a *arguments) (any, error) {
	code := a.text(0)
	d := &dtypeObject{code: code}
	if len(code) > 0 && (code[0] == '<' || code[0] == '>' || code[0] == '|' || code[0] == '=') {
		d.big, code = code[0] == '>', code[1:]
	}
	i := slices.IndexFunc(numpyTypes, func(n *numpyType) bool { return n.code == code })
	if i >= 0 {
		d.typ = numpyTypes[i]
	}
	return d, nil
}

// PySetState reads the byte order of (version, order, …); the fields of a
// record or a subarray make it a type that no tensor holds.
func (d *dtypeObject) PySetState(state any) error {
	s, _ := items(state)
	if len(s) < 5 {
		return fmt.Errorf("numpy.dtype state is a %s of %d parts: %w", kindOf(state), len(s), tensor.ErrUnsupported)
	}
	order, _ := s[1].(string)
	switch order {
	case "<", "|", "=", ">":
		d.big = order == ">"
	default:
		return fmt.Errorf("numpy.dtype has byte order %.40q: %w", order, tensor.ErrCorrupt)
	}
	if s[2] != nil || s[3] != nil || s[4] != nil {
		d.typ = nil
	}
	return nil
}

// An ndarray is a numpy array whose bytes are part of the pickle.
type ndarray struct {
	r       *reader
	dtype   *dtypeObject
	shape   tensor.Shape
	fortran bool
	data    []byte
	objects bool // an array of Python objects
}

// buildNDArray is numpy.core.multiarray._reconstruct(class, shape, code); the
// BUILD after it brings everything.
func buildNDArray(m *machine, a *arguments) (any, error) {
	if a.vals[0] != any(word("numpy.ndarray")) {
		return nil, fmt.Errorf("%s of a %s: %w", a.of, kindOf(a.vals[0]), tensor.ErrUnsupported)
	}
	return &ndarray{r: m.r}, nil
}

// PySetState reads (version, shape, dtype, is_fortran, data).
func (n *ndarray) PySetState(state any) error {
	a := &arguments{of: "numpy.ndarray.__setstate__", s: n.r.session}
	a.vals, _ = items(state)
	a.between(5, 5)
	shape, dtype, fortran := a.shape(1), argument[*dtypeObject](a, 2, "a numpy.dtype"), argument[bool](a, 3, "a bool")
	if a.err != nil {
		return a.err
	}
	if _, ok := a.vals[4].(*types.List); ok {
		n.dtype, n.shape, n.objects = dtype, shape, true
		return nil
	}
	data := a.bytes(4)
	if a.err != nil {
		return a.err
	}
	return n.fill(dtype, shape, fortran, data)
}

// buildFromBuffer is numpy.core.numeric._frombuffer(bytes, dtype, shape, order) of protocol 5.
func buildFromBuffer(m *machine, a *arguments) (any, error) {
	data, dtype, shape, order := a.bytes(0), argument[*dtypeObject](a, 1, "a numpy.dtype"), a.shape(2), a.text(3)
	if a.err == nil && order != "C" && order != "F" {
		a.fail(3, "C or F")
	}
	if a.err != nil {
		return nil, a.err
	}
	n := &ndarray{r: m.r}
	return n, n.fill(dtype, shape, order == "F", data)
}

func (n *ndarray) fill(dtype *dtypeObject, shape tensor.Shape, fortran bool, data []byte) error {
	n.dtype, n.shape, n.fortran, n.data = dtype, shape, fortran, data
	if dtype.typ == nil {
		return nil
	}
	want, err := dtype.typ.dtype.Bytes(shape)
	if err != nil {
		return err
	}
	if want != int64(len(data)) {
		return fmt.Errorf("numpy array %v of %s takes %d bytes, the pickle holds %d: %w", shape, dtype.code, want, len(data), tensor.ErrCorrupt)
	}
	return n.r.take(int64(len(data)))
}

// array returns n as a tensor over its bytes in memory.
func (n *ndarray) array() (*array, error) {
	if n.dtype == nil || n.dtype.typ == nil || n.objects {
		return nil, fmt.Errorf("numpy array of %s: %w", n.typeText(), tensor.ErrUnsupported)
	}
	typ := scalarTypeOf(n.dtype.typ.dtype)
	s := n.r.inMemory("numpy", typ, n.data)
	s.blob.big = n.dtype.big
	strides := rowMajor(n.shape)
	if n.fortran {
		reversed := slices.Clone(n.shape)
		slices.Reverse(reversed)
		strides = rowMajor(reversed)
		slices.Reverse(strides)
	}
	return &array{storage: s, typ: typ, shape: n.shape, strides: strides}, nil
}

func (n *ndarray) typeText() string {
	if n.dtype == nil {
		return "no type"
	}
	return strconv.Quote(n.dtype.code)
}

// buildNumpyScalar is numpy.core.multiarray.scalar(dtype, bytes): a plain number.
func buildNumpyScalar(_ *machine, a *arguments) (any, error) {
	d := argument[*dtypeObject](a, 0, "a numpy.dtype")
	if a.err != nil {
		return nil, a.err
	}
	if d.typ == nil {
		return d.text(a)
	}
	b := slices.Clone(a.bytes(1))
	if a.err == nil && len(b) != d.typ.item {
		return nil, fmt.Errorf("%s of %s has %d bytes: %w", a.of, d.code, len(b), tensor.ErrCorrupt)
	}
	if a.err != nil {
		return nil, a.err
	}
	if d.big && d.typ.dtype != tensor.C64 && d.typ.dtype != tensor.C128 {
		slices.Reverse(b)
	}
	return d.typ.number(b)
}

// text returns the scalar of a type that is not a number: numpy.str_ as it is
// in UCS-4, anything else as nothing.
func (d *dtypeObject) text(a *arguments) (any, error) {
	if len(a.vals) < 2 {
		return nil, nil
	}
	b := a.bytes(1)
	if a.err != nil || len(d.code) == 0 || d.code[0] != 'U' && (len(d.code) < 2 || d.code[1] != 'U') || len(b)%4 != 0 {
		return nil, a.err
	}
	var runes []rune
	for ; len(b) > 0; b = b[4:] {
		c := binary.LittleEndian.Uint32(b)
		if d.big {
			c = binary.BigEndian.Uint32(b)
		}
		if c == 0 {
			break
		}
		if c > 0x10ffff {
			return nil, fmt.Errorf("numpy.str_ holds character %#x: %w", c, tensor.ErrCorrupt)
		}
		runes = append(runes, rune(c))
	}
	return string(runes), nil
}

// number returns the value of little-endian b. Half floats and complex numbers
// are left out: no hyperparameter is one.
func (n *numpyType) number(b []byte) (any, error) {
	var u uint64
	for i := min(len(b), 8) - 1; i >= 0; i-- {
		u = u<<8 | uint64(b[i])
	}
	shift := 64 - 8*uint(len(b))
	switch n.code {
	case "f8":
		return math.Float64frombits(u), nil
	case "f4":
		return float64(math.Float32frombits(uint32(u))), nil
	case "b1":
		return u != 0, nil
	case "i1", "i2", "i4", "i8":
		return int(int64(u<<shift) >> shift), nil //nolint:gosec // sign extension
	case "u1", "u2", "u4":
		return int(u), nil
	case "u8":
		return bigUint(u), nil
	}
	return nil, nil
}
