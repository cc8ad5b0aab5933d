package tensor

import (
	"fmt"
	"strings"
)

// A DType says how the elements of a tensor are packed. Values below 1<<16 are
// GGML type ids (ggml/include/ggml.h, enum ggml_type); the others exist only in
// source files.
type DType uint32

// GGML types. Ids 4, 5, 31–33 and 36–38 were removed from ggml and are not reused.
const (
	F32    DType = 0
	F16    DType = 1
	Q4_0   DType = 2
	Q4_1   DType = 3
	Q5_0   DType = 6
	Q5_1   DType = 7
	Q8_0   DType = 8
	Q8_1   DType = 9
	Q2K    DType = 10
	Q3K    DType = 11
	Q4K    DType = 12
	Q5K    DType = 13
	Q6K    DType = 14
	Q8K    DType = 15
	IQ2XXS DType = 16
	IQ2XS  DType = 17
	IQ3XXS DType = 18
	IQ1S   DType = 19
	IQ4NL  DType = 20
	IQ3S   DType = 21
	IQ2S   DType = 22
	IQ4XS  DType = 23
	I8     DType = 24
	I16    DType = 25
	I32    DType = 26
	I64    DType = 27
	F64    DType = 28
	IQ1M   DType = 29
	BF16   DType = 30
	TQ1_0  DType = 34
	TQ2_0  DType = 35
	MXFP4  DType = 39
	NVFP4  DType = 40
	Q1_0   DType = 41
	Q2_0   DType = 42
)

// Types of source files only. The float8 variants, the packed float4 and the
// bits types are PyTorch's (c10/core/ScalarType.h); QUInt4x2 and QUInt2x4 pack
// two and four logical elements into a byte.
const (
	U8 DType = 1<<16 + iota
	U16
	U32
	U64
	Bool
	F8E4M3FN
	F8E5M2
	F8E4M3FNUZ
	F8E5M2FNUZ
	F8E8M0FNU
	F4E2M1FNx2
	C32
	C64
	C128
	QUInt4x2
	QUInt2x4
	Bits8
	Bits16
	Bits1x8
	Bits2x4
	Bits4x2
)

// A Kind groups dtypes by what their elements are.
type Kind uint8

// The kinds of elements.
const (
	Float   Kind = iota // IEEE and IEEE-like floating point, one value at a time
	Int                 // signed integers
	Uint                // unsigned integers
	Boolean             // one byte, 0 or 1
	Complex             // real part, then imaginary part
	Block               // quantized: a block of elements shares scales
	Packed              // opaque bits, several values in a byte
)

// A Layout is the packing of one DType: a block of Elems consecutive elements
// of a row takes Bytes bytes. Word is the size in bytes of the unit that a
// big-endian file stores in the other order, 0 where the unit depends on the
// place in the block.
type Layout struct {
	Name  string
	Elems int
	Bytes int
	Word  int
	Kind  Kind
}

// layouts is the one table of dtypes; block sizes of ggml types are those of
// ggml/src/ggml-common.h.
var layouts = map[DType]Layout{
	F32:    {"f32", 1, 4, 4, Float},
	F16:    {"f16", 1, 2, 2, Float},
	Q4_0:   {"q4_0", 32, 18, 0, Block},
	Q4_1:   {"q4_1", 32, 20, 0, Block},
	Q5_0:   {"q5_0", 32, 22, 0, Block},
	Q5_1:   {"q5_1", 32, 24, 0, Block},
	Q8_0:   {"q8_0", 32, 34, 0, Block},
	Q8_1:   {"q8_1", 32, 36, 0, Block},
	Q2K:    {"q2_k", 256, 84, 0, Block},
	Q3K:    {"q3_k", 256, 110, 0, Block},
	Q4K:    {"q4_k", 256, 144, 0, Block},
	Q5K:    {"q5_k", 256, 176, 0, Block},
	Q6K:    {"q6_k", 256, 210, 0, Block},
	Q8K:    {"q8_k", 256, 292, 0, Block},
	IQ2XXS: {"iq2_xxs", 256, 66, 0, Block},
	IQ2XS:  {"iq2_xs", 256, 74, 0, Block},
	IQ3XXS: {"iq3_xxs", 256, 98, 0, Block},
	IQ1S:   {"iq1_s", 256, 50, 0, Block},
	IQ4NL:  {"iq4_nl", 32, 18, 0, Block},
	IQ3S:   {"iq3_s", 256, 110, 0, Block},
	IQ2S:   {"iq2_s", 256, 82, 0, Block},
	IQ4XS:  {"iq4_xs", 256, 136, 0, Block},
	I8:     {"i8", 1, 1, 1, Int},
	I16:    {"i16", 1, 2, 2, Int},
	I32:    {"i32", 1, 4, 4, Int},
	I64:    {"i64", 1, 8, 8, Int},
	F64:    {"f64", 1, 8, 8, Float},
	IQ1M:   {"iq1_m", 256, 56, 0, Block},
	BF16:   {"bf16", 1, 2, 2, Float},
	TQ1_0:  {"tq1_0", 256, 54, 0, Block},
	TQ2_0:  {"tq2_0", 256, 66, 0, Block},
	MXFP4:  {"mxfp4", 32, 17, 1, Block},
	NVFP4:  {"nvfp4", 64, 36, 1, Block},
	Q1_0:   {"q1_0", 128, 18, 0, Block},
	Q2_0:   {"q2_0", 64, 18, 0, Block},

	U8:         {"u8", 1, 1, 1, Uint},
	U16:        {"u16", 1, 2, 2, Uint},
	U32:        {"u32", 1, 4, 4, Uint},
	U64:        {"u64", 1, 8, 8, Uint},
	Bool:       {"bool", 1, 1, 1, Boolean},
	F8E4M3FN:   {"f8_e4m3fn", 1, 1, 1, Float},
	F8E5M2:     {"f8_e5m2", 1, 1, 1, Float},
	F8E4M3FNUZ: {"f8_e4m3fnuz", 1, 1, 1, Float},
	F8E5M2FNUZ: {"f8_e5m2fnuz", 1, 1, 1, Float},
	F8E8M0FNU:  {"f8_e8m0fnu", 1, 1, 1, Float},
	F4E2M1FNx2: {"f4_e2m1fn_x2", 1, 1, 1, Packed},
	C32:        {"c32", 1, 4, 2, Complex},
	C64:        {"c64", 1, 8, 4, Complex},
	C128:       {"c128", 1, 16, 8, Complex},
	QUInt4x2:   {"quint4x2", 2, 1, 1, Packed},
	QUInt2x4:   {"quint2x4", 4, 1, 1, Packed},
	Bits8:      {"bits8", 1, 1, 1, Packed},
	Bits16:     {"bits16", 1, 2, 2, Packed},
	Bits1x8:    {"bits1x8", 1, 1, 1, Packed},
	Bits2x4:    {"bits2x4", 1, 1, 1, Packed},
	Bits4x2:    {"bits4x2", 1, 1, 1, Packed},
}

var byName = func() map[string]DType {
	m := make(map[string]DType, len(layouts))
	for d, l := range layouts {
		m[l.Name] = d
	}
	return m
}()

// Layout returns the packing of d; ok is false for a type that does not exist.
func (d DType) Layout() (l Layout, ok bool) {
	l, ok = layouts[d]
	return l, ok
}

// IsGGML reports whether d can be stored in a GGUF or ggml file.
func (d DType) IsGGML() bool {
	_, ok := layouts[d]
	return ok && d < 1<<16
}

// String returns the lower-case name of d, such as "bf16" or "q4_k".
func (d DType) String() string {
	if l, ok := layouts[d]; ok {
		return l.Name
	}
	return fmt.Sprintf("dtype(%d)", uint32(d))
}

// ParseDType returns the type called name, in any case.
func ParseDType(name string) (DType, error) {
	if d, ok := byName[strings.ToLower(name)]; ok {
		return d, nil
	}
	return 0, fmt.Errorf("unknown type %q", name)
}
