package quantize

import (
	"encoding/binary"
	"sync"
)

// Super-blocks of 256 elements rounded by eights to points of the levels −1, 0
// and 1, all moved by an eighth up or down: x ≈ d·(2s+1)·(l ± ⅛).

const (
	shift1   = 0.125 // ggml-common.h@d99724f2, IQ1S_DELTA
	reachIQ1 = maxHalf * 15 * 1.125
)

// valuesIQ1 are the levels of the points, eight for each, in the order of their
// numbers (ggml-common.h@d99724f2, iq1s_grid).
var valuesIQ1 = sync.OnceValue(func() []float32 { return valuesOf(gridIQ1[:], 8, []float32{-1, 0, 1}) })

// iq1_s: 8 groups of 32 with 3-bit scales; d, 32 bytes of the lower eight bits
// of the numbers of points, for each group 4·3 bits of the upper ones, s, and a
// bit if the shift is down. d is stored an eighth larger.
// (ggml-quants.c@d99724f2, quantize_row_iq1_s_impl)
var iq1_s = typeOfIQ1S(scalar)

func typeOfIQ1S(by isa) blockType {
	return blockType{
		reach:           reachIQ1,
		halves:          []int{0},
		needsImportance: true,
		decode: func(x []float32, b []byte) {
			d, values := halfAt(b), valuesIQ1()
			for j := range 8 {
				h := binary.LittleEndian.Uint16(b[34+2*j:])
				shift := float32(shift1)
				if h>>15 != 0 {
					shift = -shift1
				}
				dj := float32(d * float32(2*(h>>12&7)+1))
				for k, low := range b[2+4*j : 6+4*j] {
					n := int(low) | int(h>>(3*k)&7)<<8
					decodeShifted(x[32*j+8*k:][:8], values[8*n:], dj, shift)
				}
			}
		},
		encode: func(b []byte, x []float32) { encodeIQ1S(b, x, equal[:], by) },
		weighted: func(b []byte, x, importance []float32) {
			encodeIQ1S(b, x, importance, by)
		},
	}
}

func decodeShifted(x, v []float32, d, shift float32) {
	v = v[:len(x)]
	for i := range x {
		x[i] = float32(d * (v[i] + shift))
	}
}

func encodeIQ1S(b []byte, x, importance []float32, by isa) {
	var w [superBlock]float32
	importanceWeights(w[:], x, importance, float32(2*sumSquares(x)/superBlock))
	var d [8]float32
	var down [8]bool
	var most float32
	for j := range d {
		var points [4]uint16
		var shift float32
		d[j], shift = thirds32(&points, x[32*j:32*j+32], w[32*j:32*j+32], by)
		down[j] = shift < 0
		most = larger(most, d[j])
		var high uint16
		for k, n := range points {
			b[2+4*j+k] = uint8(n)
			high |= n >> 8 << (3 * k)
		}
		binary.LittleEndian.PutUint16(b[34+2*j:], high)
	}
	if most == 0 {
		return
	}
	inv := 1 / (most / 15)
	for j := range d {
		b[35+2*j] |= threeBitScale(d[j], inv) << 4
		if down[j] {
			b[35+2*j] |= 0x80
		}
	}
	putHalf(b, float32(most/15*1.125))
}

// threeBitScale returns s ∈ [0, 7] with 2s+1 nearest to d·inv.
func threeBitScale(d, inv float32) uint8 {
	return uint8(clamp(nearest(float32(0.5*(float32(inv*d)-1))), 0, 7))
}

// iq1_m: 16 groups of 16 with 3-bit scales, a shift for each eight; 32 bytes of
// the lower eight bits of the numbers, 16 of two times three upper bits and a
// bit if the shift is down, 8 of twelve bits of scales and four of d each. d is
// stored 11.25 % larger. (ggml-quants.c@d99724f2, quantize_row_iq1_m_impl)
var iq1_m = typeOfIQ1M(scalar)

func typeOfIQ1M(by isa) blockType {
	return blockType{
		decode: func(x []float32, b []byte) {
			d, values := scaleIQ1M(b), valuesIQ1()
			for j := range 32 {
				h := b[32+j/2] >> (j % 2 * 4)
				s := binary.LittleEndian.Uint16(b[48+j/8*2:]) >> (j / 2 % 4 * 3) & 7
				n := int(b[j]) | int(h&7)<<8
				shift := float32(shift1)
				if h&8 != 0 {
					shift = -shift1
				}
				decodeShifted(x[8*j:][:8], values[8*n:], float32(d*float32(2*s+1)), shift)
			}
		},
		encode: func(b []byte, x []float32) {
			var w [superBlock]float32
			squares(w[:], x)
			encodeIQ1M(b, x, w[:], by)
		},
		weighted: func(b []byte, x, importance []float32) {
			var w [superBlock]float32
			importanceWeights(w[:], x, importance, float32(2*sumSquares(x)/superBlock))
			encodeIQ1M(b, x, w[:], by)
		},
		lost: func(b []byte, x []float32) int {
			if d := scaleIQ1M(b); d-d != 0 || beyond(x, reachIQ1) {
				return countFinite(x)
			}
			return 0
		},
	}
}

func scaleIQ1M(b []byte) float32 {
	s := b[48:56]
	return halfAt([]byte{s[1]>>4 | s[3]&0xf0, s[5]>>4 | s[7]&0xf0})
}

func encodeIQ1M(b []byte, x, w []float32, by isa) {
	var d [16]float32
	var shifts [16]shifts16
	var points [32]uint16
	var most float32
	for j := range d {
		d[j], shifts[j] = thirds16(points[2*j:2*j+2], x[16*j:16*j+16], w[16*j:16*j+16], by)
		most = larger(most, d[j])
		b[2*j], b[2*j+1] = uint8(points[2*j]), uint8(points[2*j+1])
		b[32+j] = uint8(points[2*j]>>8) | uint8(points[2*j+1]>>8)<<4
	}
	if most == 0 {
		return
	}
	t := latticeIQ1()
	inv := 1 / (most / 15)
	var sumXV, sumV2 float32
	for j := range d {
		s := threeBitScale(d[j], inv)
		high := binary.LittleEndian.Uint16(b[48+j/4*2:])
		binary.LittleEndian.PutUint16(b[48+j/4*2:], high|uint16(s)<<(j%4*3))
		b[32+j] |= shifts[j].mask()
		for k, shift := range shifts[j].values() {
			xk, wk := x[16*j+8*k:][:8], w[16*j+8*k:][:8]
			for i, l := range t.values[8*int(points[2*j+k]):][:8] {
				v := float32((l + shift) * float32(2*s+1))
				wv := float32(wk[i] * v)
				sumXV += float32(wv * xk[i])
				sumV2 += float32(wv * v)
			}
		}
	}
	scale := most / 15
	if sumV2 > 0 {
		scale = sumXV / sumV2
	}
	h := scaleBits(float32(scale * 1.1125))
	for k := range 4 {
		b[49+2*k] |= uint8(h>>(4*k)) & 15 << 4
	}
}
