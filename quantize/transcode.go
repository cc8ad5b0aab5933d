package quantize

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A Transcoder changes the type of whole blocks: dst and src hold the same
// elements. scratch has room for as many float32. It returns how many finite
// values did not fit the new type.
type Transcoder func(dst, src []byte, scratch []float32) (overflows int)

type pair struct{ to, from tensor.DType }

// direct holds the pairs that do not go through float32: because it would round
// twice, because it could not hold the values, or because it would be slower.
var direct = map[pair]Transcoder{
	{tensor.F16, tensor.F32}:  func(dst, src []byte, _ []float32) int { return f32ToF16(dst, src) },
	{tensor.F16, tensor.F64}:  throughOdd(encodeF16),
	{tensor.BF16, tensor.F64}: throughOdd(encodeBF16),
	{tensor.F32, tensor.F64}:  f64ToF32,
	{tensor.I8, tensor.Bool}:  func(dst, src []byte, _ []float32) int { copy(dst, src); return 0 },
	{tensor.I16, tensor.U8}: func(dst, src []byte, _ []float32) int {
		for i, b := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], uint16(b))
		}
		return 0
	},
	{tensor.I32, tensor.U16}: func(dst, src []byte, _ []float32) int {
		for i := range len(src) / 2 {
			binary.LittleEndian.PutUint32(dst[4*i:], uint32(binary.LittleEndian.Uint16(src[2*i:])))
		}
		return 0
	},
	{tensor.I64, tensor.U32}: func(dst, src []byte, _ []float32) int {
		for i := range len(src) / 4 {
			binary.LittleEndian.PutUint64(dst[8*i:], uint64(binary.LittleEndian.Uint32(src[4*i:])))
		}
		return 0
	},
	{tensor.I64, tensor.U64}: func(dst, src []byte, _ []float32) (overflows int) {
		copy(dst, src)
		for i := 7; i < len(src); i += 8 {
			overflows += int(src[i] >> 7)
		}
		return overflows
	},
}

// NewTranscoder returns the transcoder from one type to another.
func NewTranscoder(to, from tensor.DType) (Transcoder, error) {
	p, err := chosenPath()
	if err != nil {
		return nil, err
	}
	if t, ok := p.transcoder(to, from); ok {
		return t, nil
	}
	src, err := CodecOf(from)
	if err != nil {
		return nil, err
	}
	dst, err := CodecOf(to)
	if err != nil {
		return nil, err
	}
	if dst.Encode == nil {
		return nil, fmt.Errorf("writing %v: %w", to, tensor.ErrUnsupported)
	}
	if dst.NeedsImportance {
		return nil, fmt.Errorf("writing %v takes an importance matrix: %w", to, tensor.ErrUnsupported)
	}
	l, _ := from.Layout()
	return func(out, in []byte, scratch []float32) int {
		x := scratch[:len(in)/l.Bytes*l.Elems]
		src.Decode(x, in)
		return dst.Encode(out, x, nil)
	}, nil
}

// f32ToF16 is decodeF32 and encodeF16 in one pass over the bytes, four elements
// at a time as long as all four are in the ordinary range.
func f32ToF16(dst, src []byte) (overflows int) {
	for len(src) >= 16 && len(dst) >= 8 {
		s := (*[16]byte)(src)
		a, b := binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:])
		w0, ok0 := plainHalf(uint32(a))
		w1, ok1 := plainHalf(uint32(a >> 32))
		w2, ok2 := plainHalf(uint32(b))
		w3, ok3 := plainHalf(uint32(b >> 32))
		if ok0&ok1&ok2&ok3>>31 != 0 {
			binary.LittleEndian.PutUint64(dst[:8], w0|w1<<16|w2<<32|w3<<48)
		} else {
			overflows += f32ToF16One(dst[:8], s[:])
		}
		src, dst = src[16:], dst[8:]
	}
	return overflows + f32ToF16One(dst, src)
}

// plainHalf rounds the float32 bits u to a half; ok has its top bit set if u is
// in the range of normal halves, elsewhere h means nothing.
func plainHalf(u uint32) (h uint64, ok uint32) {
	m := u & 0x7fffffff
	return uint64(u>>16&0x8000 | (m+0xfff+m>>13&1-(127-15)<<23)>>13&0x7fff), (m - f16MinNormal - (f16Safe - f16MinNormal)) & ^(m - f16MinNormal)
}

func f32ToF16One(dst, src []byte) (overflows int) {
	for i := range len(src) / 4 {
		h, lost := halfOf(binary.LittleEndian.Uint32(src[4*i:]))
		overflows += lost
		binary.LittleEndian.PutUint16(dst[2*i:], h)
	}
	return overflows
}

func f64ToF32(dst, src []byte, _ []float32) (overflows int) {
	for i := range len(src) / 8 {
		x := math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		y := float32(x)
		if math.IsInf(float64(y), 0) && !math.IsInf(x, 0) {
			overflows++
		}
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(y))
	}
	return overflows
}

// throughOdd narrows F64 in two steps without rounding twice: the first step
// rounds to odd, which keeps the information that the second needs as long as
// float32 has two more bits than the target. (Boldo and Melquiond, IEEE TC 57:4, 2008)
func throughOdd(encode func(dst []byte, src, importance []float32) int) Transcoder {
	return func(dst, src []byte, scratch []float32) int {
		x := scratch[:len(src)/8]
		for i := range x {
			x[i] = toOdd(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
		return encode(dst, x, nil)
	}
}

// toOdd rounds x to float32: towards zero, and if that is inexact, to the
// neighbour whose last bit is one.
func toOdd(x float64) float32 {
	y := float32(x)
	if math.IsNaN(x) || float64(y) == x {
		return y
	}
	u := math.Float32bits(y)
	if math.Abs(float64(y)) > math.Abs(x) { // rounded away from zero, perhaps to infinity
		u--
	}
	return math.Float32frombits(u | 1)
}

// widened says how a type that no ggml file can hold is kept without loss.
var widened = map[tensor.DType]tensor.DType{
	tensor.Bool: tensor.I8, tensor.U8: tensor.I16, tensor.U16: tensor.I32, tensor.U32: tensor.I64, tensor.U64: tensor.I64,
	tensor.F8E4M3FN: tensor.F16, tensor.F8E5M2: tensor.F16, tensor.F8E4M3FNUZ: tensor.F16, tensor.F8E5M2FNUZ: tensor.F16,
	tensor.F8E8M0FNU: tensor.BF16,
}

// Widened returns the smallest ggml type that holds every value of d: d itself
// if it is one. ok is false if there is none.
func Widened(d tensor.DType) (w tensor.DType, ok bool) {
	if d.IsGGML() {
		return d, true
	}
	w, ok = widened[d]
	return w, ok
}
