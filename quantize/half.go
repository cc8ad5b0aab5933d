package quantize

import (
	"encoding/binary"
	"math"
)

func decodeF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := range dst {
		dst[i] = halfAt(src[2*i:])
	}
}

// halfAt returns the IEEE half in the first two bytes of b.
func halfAt(b []byte) float32 {
	h := binary.LittleEndian.Uint16(b)
	if e := h & 0x7c00; e != 0 && e != 0x7c00 { // normal
		return math.Float32frombits(uint32(h&0x8000)<<16 | uint32(h&0x7fff)<<13 + (127-15)<<23)
	}
	return math.Float32frombits(f16Bits(h))
}

// putHalf stores the scale of a block in the first two bytes of b. A NaN loses
// its payload. (ggml-impl.h@d99724f2, ggml_compute_fp32_to_fp16)
func putHalf(b []byte, d float32) { binary.LittleEndian.PutUint16(b, scaleBits(d)) }

func scaleBits(d float32) uint16 {
	if d != d {
		return uint16(math.Float32bits(d)>>16&0x8000 | 0x7e00)
	}
	return toF16(math.Float32bits(d))
}

// finiteHalf reports whether the half in the first two bytes of b is a number.
func finiteHalf(b []byte) bool { return b[1]&0x7c != 0x7c }

func encodeF16(dst []byte, src, _ []float32) (overflows int) {
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
		return uint16(u>>16&0x8000 | (u&0x7fffffff+0xfff+u>>13&1-(127-15)<<23)>>13), 0
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
	sign := uint16(u >> 16 & 0x8000)
	u &= 0x7fffffff
	switch {
	case u >= 0x47800000: // 2¹⁶ and above, infinity, NaN
		h := sign | 0x7c00
		if u > 0x7f800000 {
			h |= max(uint16(u>>13&0x3ff), 1)
		}
		return h
	case u >= 0x38800000: // 2⁻¹⁴: normal; a carry out of the mantissa raises the exponent
		u += 0xfff + u>>13&1 - (127-15)<<23
		return sign | uint16(u>>13)
	default: // subnormal: the adder rounds at 2⁻²⁴
		const magic = (127 - 15 + 23 - 10 + 1) << 23
		f := math.Float32frombits(u) + math.Float32frombits(magic)
		return sign | uint16(math.Float32bits(f)-magic)
	}
}

func decodeBF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

func encodeBF16(dst []byte, src, _ []float32) (overflows int) {
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
		h := uint16(u >> 16)
		if h&0x7f == 0 {
			h |= 1
		}
		return h
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}
