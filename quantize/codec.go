// Package quantize turns the bytes of tensors into numbers and numbers into
// bytes. Nothing else in smelt does.
//
// Every product that feeds a sum is rounded to float32 by an explicit
// conversion, so that no platform fuses the two and the bytes are the same
// everywhere.
package quantize

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A Codec packs rows of float32 into the blocks of one DType and unpacks them.
type Codec struct {
	// Decode fills dst from src, which holds exactly len(dst) elements. It is
	// exact, but for F64, which is rounded to nearest even.
	Decode func(dst []float32, src []byte)
	// Encode fills dst from src, rounding to nearest, ties to even. It returns
	// how many finite values became infinite. nil if smelt does not write the type.
	Encode func(dst []byte, src []float32) (overflows int)
}

// codecs is the table of types that can be decoded to float32.
var codecs = map[tensor.DType]Codec{
	tensor.F32:        {decodeF32, encodeF32},
	tensor.F16:        {decodeF16, encodeF16},
	tensor.BF16:       {decodeBF16, encodeBF16},
	tensor.F64:        {decodeF64, nil},
	tensor.F8E4M3FN:   {decodeBytes(f8e4m3fn), nil},
	tensor.F8E5M2:     {decodeBytes(f8e5m2), nil},
	tensor.F8E4M3FNUZ: {decodeBytes(f8e4m3fnuz), nil},
	tensor.F8E5M2FNUZ: {decodeBytes(f8e5m2fnuz), nil},
	tensor.F8E8M0FNU:  {decodeBytes(f8e8m0fnu), nil},
}

// CodecOf returns the codec of d.
func CodecOf(d tensor.DType) (Codec, error) {
	c, ok := codecs[d]
	if !ok {
		return Codec{}, fmt.Errorf("numbers of type %v: %w", d, tensor.ErrUnsupported)
	}
	return c, nil
}

// Number returns the one element of type d in b, NaN if it has no codec and is
// no integer.
func Number(d tensor.DType, b []byte) float64 {
	switch d { // types that float32 does not hold
	case tensor.F64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	case tensor.U64:
		return float64(binary.LittleEndian.Uint64(b))
	}
	c, err := CodecOf(d)
	if err != nil {
		return math.NaN()
	}
	var x [1]float32
	c.Decode(x[:], b)
	return float64(x[0])
}

func decodeF32(dst []float32, src []byte) {
	src = src[:4*len(dst)]
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func encodeF32(dst []byte, src []float32) int {
	dst = dst[:4*len(src)]
	for i, x := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
	}
	return 0
}

func decodeF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := range dst {
		h := binary.LittleEndian.Uint16(src[2*i:])
		if e := h & 0x7c00; e != 0 && e != 0x7c00 { // normal
			dst[i] = math.Float32frombits(uint32(h&0x8000)<<16 | uint32(h&0x7fff)<<13 + (127-15)<<23)
			continue
		}
		dst[i] = math.Float32frombits(f16Bits(h))
	}
}

func encodeF16(dst []byte, src []float32) (overflows int) {
	dst = dst[:2*len(src)]
	for i, x := range src {
		h, lost := halfOf(math.Float32bits(x))
		overflows += lost
		binary.LittleEndian.PutUint16(dst[2*i:], h)
	}
	return overflows
}

// halfOf is toF16 with its ordinary case small enough to be inlined. lost is 1
// if a finite value became infinite.
func halfOf(u uint32) (h uint16, lost int) {
	if u&0x7fffffff-f16MinNormal < f16Safe-f16MinNormal {
		return uint16(u>>16&0x8000 | (u&0x7fffffff+0xfff+u>>13&1-(127-15)<<23)>>13), 0 //nolint:gosec // 16 bits
	}
	return rareHalf(u)
}

const (
	f16MinNormal = 0x38800000 // float32 bits of 2⁻¹⁴
	f16Safe      = 0x477f0000 // of 65280: from here on a value may round to infinity
)

//go:noinline
func rareHalf(u uint32) (h uint16, lost int) {
	h = toF16(u)
	if h&0x7fff == 0x7c00 && u&0x7fffffff != 0x7f800000 {
		lost = 1
	}
	return h, lost
}

// f16Bits returns the float32 bits of the IEEE half h. NaN payloads are kept.
func f16Bits(h uint16) uint32 {
	sign, u := uint32(h&0x8000)<<16, uint32(h&0x7fff)<<13
	switch exp := u & 0x0f800000; exp {
	case 0x0f800000: // infinity or NaN
		return sign | u | 0x7f800000
	case 0: // zero or subnormal: u·2⁻²⁴ through the float adder
		const magic = 113 << 23
		return sign | math.Float32bits(math.Float32frombits(u+magic)-math.Float32frombits(magic))
	default:
		return sign | (u + (127-15)<<23)
	}
}

// toF16 returns the IEEE half nearest to the float32 bits u, ties to even. The
// upper ten bits of a NaN's payload are kept; a payload that has only lower
// bits becomes 1 rather than an infinity.
func toF16(u uint32) uint16 {
	sign := uint16(u >> 16 & 0x8000) //nolint:gosec // masked to 16 bits
	u &= 0x7fffffff
	switch {
	case u >= 0x47800000: // 2¹⁶ and above, infinity, NaN
		h := sign | 0x7c00
		if u > 0x7f800000 {
			h |= max(uint16(u>>13&0x3ff), 1) //nolint:gosec // masked to 10 bits
		}
		return h
	case u >= 0x38800000: // 2⁻¹⁴: normal; a carry out of the mantissa raises the exponent
		u += 0xfff + u>>13&1 - (127-15)<<23
		return sign | uint16(u>>13) //nolint:gosec // below 2¹⁵
	default: // subnormal: the adder rounds at 2⁻²⁴
		const magic = (127 - 15 + 23 - 10 + 1) << 23
		f := math.Float32frombits(u) + math.Float32frombits(magic)
		return sign | uint16(math.Float32bits(f)-magic) //nolint:gosec // at most 0x400
	}
}

func decodeBF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

func encodeBF16(dst []byte, src []float32) (overflows int) {
	dst = dst[:2*len(src)]
	for i, x := range src {
		u := math.Float32bits(x)
		h := toBF16(u)
		if h&0x7fff == 0x7f80 && u&0x7fffffff != 0x7f800000 {
			overflows++
		}
		binary.LittleEndian.PutUint16(dst[2*i:], h)
	}
	return overflows
}

// toBF16 returns the bfloat16 nearest to the float32 bits u, ties to even, with
// NaNs as in toF16.
func toBF16(u uint32) uint16 {
	if u&0x7fffffff > 0x7f800000 {
		h := uint16(u >> 16) //nolint:gosec // 16 bits left
		if h&0x7f == 0 {
			h |= 1
		}
		return h
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16) //nolint:gosec // 16 bits left
}

func decodeF64(dst []float32, src []byte) {
	src = src[:8*len(dst)]
	for i := range dst {
		dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
}

// decodeBytes returns the decoder of a type of one byte per element.
func decodeBytes(values [256]float32) func([]float32, []byte) {
	return func(dst []float32, src []byte) {
		src = src[:len(dst)]
		for i, b := range src {
			dst[i] = values[b]
		}
	}
}

// A minifloat is an 8-bit float with a sign bit; special returns the value of
// the codes that are not finite numbers.
// (pytorch c10/util/Float8_*.h; Micikevicius et al., arXiv 2209.05433)
type minifloat struct {
	mantissa uint // bits
	bias     int
	special  func(code byte) (float32, bool)
}

func (m minifloat) values() (v [256]float32) {
	for i := range v {
		code := byte(i)
		if x, ok := m.special(code); ok {
			v[i] = x
			continue
		}
		exp, man := int(code&0x7f>>m.mantissa), float64(code&(1<<m.mantissa-1))
		if exp == 0 {
			exp = 1 // subnormal: no leading one
		} else {
			man += float64(int(1) << m.mantissa)
		}
		x := math.Ldexp(man, exp-m.bias-int(m.mantissa)) //nolint:gosec // 2 or 3
		v[i] = float32(math.Copysign(x, float64(1-2*int(code>>7))))
	}
	return v
}

var nan32 = float32(math.NaN())

// nanAt returns a special that has only NaNs, at the codes that is accepts.
func nanAt(is func(code byte) bool) func(byte) (float32, bool) {
	return func(code byte) (float32, bool) { return nan32, is(code) }
}

var (
	f8e4m3fn   = minifloat{3, 7, nanAt(func(c byte) bool { return c&0x7f == 0x7f })}.values()
	f8e4m3fnuz = minifloat{3, 8, nanAt(func(c byte) bool { return c == 0x80 })}.values()
	f8e5m2fnuz = minifloat{2, 16, nanAt(func(c byte) bool { return c == 0x80 })}.values()
	f8e5m2     = minifloat{2, 15, func(c byte) (float32, bool) {
		if c&0x7f == 0x7c {
			return float32(math.Inf(1 - 2*int(c>>7))), true
		}
		return nan32, c&0x7f > 0x7c
	}}.values()
	f8e8m0fnu = func() (v [256]float32) { // 2^(code−127), 255 is NaN
		for i := range 255 {
			v[i] = float32(math.Ldexp(1, i-127))
		}
		v[255] = nan32
		return v
	}()
)
