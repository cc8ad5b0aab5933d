package pickle

import (
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// pyDType is numpy.dtype(code) with its state, the byte order in front of code.
func pyDType(code string) string {
	return pyBuild(pyCall("numpy.dtype", pyStr(code[1:]), "\x89", "\x88"), pyTuple(pyInt(3), pyStr(code[:1]), "N", "N", "N", pyInt(-1), pyInt(-1), pyInt(0)))
}

// pyArray is a numpy array; fortran is NEWTRUE or NEWFALSE.
func pyArray(code, data, fortran string, shape ...int64) string {
	return pyBuild(pyCall("numpy.core.multiarray._reconstruct", pyGlobal("numpy.ndarray"), pyInts(0), pyBytes("b")),
		pyTuple(pyInt(1), pyInts(shape...), pyDType(code), fortran, pyBytes(data)))
}

func readPlainValue(value string) (*tensor.Model, error) {
	return readBytes([]byte(pyPickle(pyDict(pyStr("a"), value))), Options{Strict: true})
}

func TestNumpyArraysAreTensors(t *testing.T) {
	for _, c := range []struct {
		name, value string
		dtype       tensor.DType
		shape       tensor.Shape
		want        string
	}{
		{"C order", pyArray("<i2", "\x01\x00\x02\x00\x03\x00\x04\x00", "\x89", 2, 2), tensor.I16, tensor.Shape{2, 2}, "\x01\x00\x02\x00\x03\x00\x04\x00"},
		{"Fortran order", pyArray("<i2", "\x01\x00\x02\x00\x03\x00\x04\x00", "\x88", 2, 2), tensor.I16, tensor.Shape{2, 2}, "\x01\x00\x03\x00\x02\x00\x04\x00"},
		{"big-endian", pyArray(">i2", "\x00\x01\x00\x02", "\x89", 2), tensor.I16, tensor.Shape{2}, "\x01\x00\x02\x00"},
		{"big-endian complex", pyArray(">c8", "\x3f\x80\x00\x00\x40\x00\x00\x00", "\x89", 1), tensor.C64, tensor.Shape{1}, f32s(1, 2)},
		{"scalar array", pyArray("|b1", "\x01", "\x89"), tensor.Bool, tensor.Shape{}, "\x01"},
		{"empty", pyArray("<f4", "", "\x89", 0, 3), tensor.F32, tensor.Shape{0, 3}, ""},
		{"protocol 5", pyCall("numpy._core.numeric._frombuffer", pyBytes("\x01\x02\x03\x04"), pyDType("|u1"), pyInts(2, 2), pyStr("F")), tensor.U8, tensor.Shape{2, 2}, "\x01\x03\x02\x04"},
		{"Python 2 text for bytes", pyBuild(pyCall("numpy.core.multiarray._reconstruct", pyGlobal("numpy.ndarray"), pyInts(0), "U\x01b"), pyTuple(pyInt(1), pyInts(2), pyDType("|u1"), "\x89", "U\x02\xff\x00")), tensor.U8, tensor.Shape{2}, "\xff\x00"},
		{"bfloat16 held as float32", pyCall("torch._utils._rebuild_xla_tensor", pyArray("<f4", f32s(1, -2), "\x89", 2), pyGlobal("torch.bfloat16"), pyStr("xla:0"), "\x89"), tensor.BF16, tensor.Shape{2}, "\x80\x3f\x00\xc0"},
		{"bfloat16 held as big-endian float32", pyCall("torch._utils._rebuild_xla_tensor", pyArray(">f4", "\x3f\x80\x00\x00", "\x89", 1), pyGlobal("torch.bfloat16"), pyStr("xla:0"), "\x89"), tensor.BF16, tensor.Shape{1}, "\x80\x3f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := readPlainValue(c.value)
			if err != nil {
				t.Fatal(err)
			}
			wantTensor(t, m, "a", c.dtype, c.shape, c.want)
		})
	}
}

func TestNumpyScalarsAreMetadata(t *testing.T) {
	scalar := func(code, data string) string {
		return pyCall("numpy.core.multiarray.scalar", pyDType(code), pyBytes(data))
	}
	for _, c := range []struct {
		name, value string
		want        any
	}{
		{"float64", scalar("<f8", f64s(0.5)), 0.5},
		{"float32", scalar("<f4", f32s(0.5)), 0.5},
		{"big-endian float64", scalar(">f8", "\x3f\xe0\x00\x00\x00\x00\x00\x00"), 0.5},
		{"int8", scalar("|i1", "\xff"), int64(-1)},
		{"int64", scalar("<i8", i64s(-7)), int64(-7)},
		{"big-endian int32", scalar(">i4", "\x00\x00\x01\x00"), int64(256)},
		{"uint8", scalar("|u1", "\xff"), int64(255)},
		{"uint64", scalar("<u8", i64s(-1)), uint64(1<<64 - 1)},
		{"bool", scalar("|b1", "\x01"), true},
		{"text", pyCall("numpy.core.multiarray.scalar", pyBuild(pyCall("numpy.dtype", pyStr("U2"), "\x89", "\x88"), pyTuple(pyInt(3), pyStr("<"), "N", "N", "N", pyInt(8), pyInt(4), pyInt(8))), pyBytes("h\x00\x00\x00i\x00\x00\x00")), "hi"},
		{"float16", scalar("<f2", "\x00\x3c"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := readPlainValue(pyDict(pyStr("v"), c.value, pyStr("w"), pyArray("|u1", "\x01", "\x89", 1)))
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := m.Meta.Get("a.v"); got != c.want {
				t.Errorf("%#v, want %#v", got, c.want)
			}
		})
	}
}

func TestNumpyArraysThatAreNoTensorsAreNoted(t *testing.T) {
	record := pyBuild(pyCall("numpy.dtype", pyStr("V8"), "\x89", "\x88"), pyTuple(pyInt(3), pyStr("|"), "N", pyTuple(pyStr("x")), pyDict(pyStr("x"), pyTuple(pyDType("<f8"), pyInt(0))), pyInt(8), pyInt(1), pyInt(16)))
	for name, value := range map[string]string{
		`a.v (numpy array of "U1")`: pyArray("<U1", "h\x00\x00\x00", "\x89", 1),
		`a.v (numpy array of "V8")`: pyBuild(pyCall("numpy.core.multiarray._reconstruct", pyGlobal("numpy.ndarray"), pyInts(0), pyBytes("b")), pyTuple(pyInt(1), pyInts(1), record, "\x89", pyBytes("12345678"))),
		`a.v (numpy array of "O8")`: pyBuild(pyCall("numpy.core.multiarray._reconstruct", pyGlobal("numpy.ndarray"), pyInts(0), pyBytes("b")), pyTuple(pyInt(1), pyInts(1), pyDType("|O8"), "\x89", pyList(pyInt(1)))),
	} {
		m, err := readPlainValue(pyDict(pyStr("v"), value, pyStr("w"), pyArray("|u1", "\x01", "\x89", 1)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantNames(t, m, "a.w")
		wantNote(t, m, name)
	}
}

func TestNumpyArrayThatDoesNotFitIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, value string
		class       error
		says        string
	}{
		{"bytes missing", pyArray("<f4", "1234567", "\x89", 2), tensor.ErrCorrupt, "takes 8 bytes, the pickle holds 7"},
		{"bytes too many", pyArray("<f4", "123456789", "\x89", 2), tensor.ErrCorrupt, "takes 8 bytes, the pickle holds 9"},
		{"sizes that overflow", pyArray("<f4", "", "\x89", 1<<40, 1<<40), tensor.ErrTooLarge, "overflows"},
		{"a size below zero", pyArray("<f4", "", "\x89", -1), tensor.ErrCorrupt, "argument 2"},
		{"a subclass", pyCall("numpy.core.multiarray._reconstruct", pyGlobal("numpy.matrix"), pyInts(0), pyBytes("b")), tensor.ErrUnsupported, "of a class numpy.matrix"},
		{"a byte order that is none", pyArray("!f4", "1234", "\x89", 1), tensor.ErrCorrupt, `byte order "!"`},
		{"an order that is none", pyCall("numpy.core.numeric._frombuffer", pyBytes("\x01"), pyDType("|u1"), pyInts(1), pyStr("K")), tensor.ErrCorrupt, "want C or F"},
		{"a scalar of the wrong length", pyCall("numpy.core.multiarray.scalar", pyDType("<f8"), pyBytes("1")), tensor.ErrCorrupt, "has 1 bytes"},
		{"text past the last character", pyCall("numpy.core.multiarray.scalar", pyDType("<U1"), pyBytes("\xff\xff\xff\xff")), tensor.ErrCorrupt, "0xffffffff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readBytes([]byte(pyPickle(pyDict(pyStr("a"), c.value))), Options{})
			wantError(t, err, c.class, c.says)
		})
	}
}

func TestOneNumpyArrayUnderTwoNamesIsTied(t *testing.T) {
	m, err := readPlainValue(pyDict(pyStr("x"), pyArray("|u1", "\x01\x02", "\x89", 2)+"q\x01", pyStr("y"), "h\x01"))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Tensor("a.y").Origin.Note; got != "tied to a.x" {
		t.Errorf("note %q, want tied to a.x", got)
	}
}
