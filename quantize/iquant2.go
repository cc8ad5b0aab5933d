package quantize

import (
	"encoding/binary"
	"sync"
)

// Super-blocks of 256 elements in groups with 4-bit scales, rounded by eights to
// points of three levels: x ≈ ±d·(s+½)/4·v.

// iq2_xxs: groups of 32; d, for each group four numbers of points, then 4·7 signs
// and s. (ggml-quants.c@d99724f2, quantize_row_iq2_xxs_impl)
var iq2_xxs = typeOfIQ2XXS(scalar)

func typeOfIQ2XXS(by isa) blockType {
	return blockType{
		reach:           maxHalf * 15.5 / 4 * 43,
		halves:          []int{0},
		needsImportance: true,
		decode: func(x []float32, b []byte) {
			d, values := halfAt(b), valuesIQ2XXS()
			for j := range 8 {
				b := b[2+8*j : 10+8*j]
				tail := binary.LittleEndian.Uint32(b[4:])
				for k, n := range b[:4] {
					decodePoint(x[32*j+8*k:][:8], values[8*int(n):], withParity(uint8(tail>>(7*k)&127)), quarterScale(d, uint8(tail>>28)))
				}
			}
		},
		encode: func(b []byte, x []float32) { encodeIQ2XXS(b, x, equal[:], by) },
		weighted: func(b []byte, x, importance []float32) {
			encodeIQ2XXS(b, x, importance, by)
		},
	}
}

func quarterScale(d float32, s uint8) float32 {
	return float32(float32(d*(0.5+float32(s))) * 0.25)
}

func encodeIQ2XXS(b []byte, x, importance []float32, by isa) {
	search := latticeSearch{by: by, lattice: latticeIQ2XXS, negligible: tiny, steps: 6, step: 0.1, levels: 4, evenSigns: true, refit: refitAlways}
	var w [superBlock]float32
	importanceWeights(w[:], x, importance, float32(sumSquares(x)/superBlock))
	var d [8]float32
	var s [8]uint8
	var most float32
	for j := range d {
		var points [4]uint16
		var signs [4]uint8
		d[j], _ = search.group(points[:], signs[:], x[32*j:32*j+32], w[32*j:32*j+32])
		most = larger(most, d[j])
		for k, n := range points {
			b[2+8*j+k] = uint8(n)
		}
		binary.LittleEndian.PutUint32(b[6+8*j:], sevenBits(&signs))
	}
	if most == 0 {
		clear(b)
		return
	}
	fourBitScales(s[:], d[:], most)
	for j, v := range s {
		b[9+8*j] |= v << 4
	}
	putHalf(b, most/31)
}

// iq2_xs: groups of 16; d, 32 times 9 bits of number and 7 signs, 8 bytes of
// scales. (ggml-quants.c@d99724f2, quantize_row_iq2_xs_impl)
var iq2_xs = typeOfIQ2XS(scalar)

func typeOfIQ2XS(by isa) blockType {
	return blockType{
		reach:           maxHalf * 15.5 / 4 * 43,
		halves:          []int{0},
		needsImportance: true,
		decode: func(x []float32, b []byte) {
			d, values := halfAt(b), valuesIQ2XS()
			for j := range 32 {
				q := binary.LittleEndian.Uint16(b[2+2*j:])
				s := b[66+j/4] >> (j / 2 % 2 * 4) & 15
				decodePoint(x[8*j:][:8], values[8*int(q&511):], withParity(uint8(q>>9)), quarterScale(d, s))
			}
		},
		encode: func(b []byte, x []float32) { encodeIQ2XS(b, x, equal[:], by) },
		weighted: func(b []byte, x, importance []float32) {
			encodeIQ2XS(b, x, importance, by)
		},
	}
}

func encodeIQ2XS(b []byte, x, importance []float32, by isa) {
	search := latticeSearch{by: by, lattice: latticeIQ2XS, negligible: tiny, steps: 9, step: 0.1, evenSigns: true}
	var w [superBlock]float32
	importanceWeights(w[:], x, importance, float32(sumSquares(x)/superBlock))
	var d [16]float32
	var s [16]uint8
	var most float32
	for j := range d {
		var points [2]uint16
		var signs [2]uint8
		d[j], _ = search.group(points[:], signs[:], x[16*j:16*j+16], w[16*j:16*j+16])
		most = larger(most, d[j])
		for k, n := range points {
			binary.LittleEndian.PutUint16(b[2+4*j+2*k:], n|uint16(signs[k])<<9)
		}
	}
	if most == 0 {
		clear(b)
		return
	}
	fourBitScales(s[:], d[:], most)
	for j, v := range s {
		b[66+j/2] |= v << (j % 2 * 4)
	}
	putHalf(b, most/31)
}

// iq2_s: groups of 16; d, 32 bytes of the lower eight bits of the numbers, 32 of
// signs, 8 of the upper two bits, 8 of scales. d is stored 1.25 % smaller.
// (ggml-quants.c@d99724f2, quantize_row_iq2_s_impl)
var iq2_s = typeOfIQ2S(scalar)

func typeOfIQ2S(by isa) blockType {
	return blockType{
		reach:  maxHalf * 15.5 / 4 * 43,
		halves: []int{0},
		decode: func(x []float32, b []byte) {
			d, values := halfAt(b), valuesIQ2S()
			for j := range 32 {
				n := int(b[2+j]) | int(b[66+j/4])>>(j%4*2)&3<<8
				s := b[74+j/4] >> (j / 2 % 2 * 4) & 15
				decodePoint(x[8*j:][:8], values[8*n:], b[34+j], quarterScale(d, s))
			}
		},
		encode: func(b []byte, x []float32) {
			s := float32(0.25 * (2 * sumSquares(x) / superBlock))
			var w [superBlock]float32
			for i, v := range x {
				w[i] = s + float32(v*v)
			}
			encodeIQ2S(b, x, w[:], by)
		},
		weighted: func(b []byte, x, importance []float32) {
			var w [superBlock]float32
			importanceWeights(w[:], x, importance, float32(2*sumSquares(x)/superBlock))
			encodeIQ2S(b, x, w[:], by)
		},
	}
}

func encodeIQ2S(b []byte, x, w []float32, by isa) {
	search := latticeSearch{by: by, lattice: latticeIQ2S, negligible: 1e-8, steps: 9, step: 0.1}
	var d [16]float32
	var s [16]uint8
	var most float32
	for j := range d {
		var points [2]uint16
		d[j], _ = search.group(points[:], b[34+2*j:36+2*j], x[16*j:16*j+16], w[16*j:16*j+16])
		most = larger(most, d[j])
		for k, n := range points {
			i := 2*j + k
			b[2+i] = uint8(n)
			b[66+i/4] |= uint8(n>>8) << (i % 4 * 2)
		}
	}
	if most == 0 {
		return
	}
	fourBitScales(s[:], d[:], most)
	for j, v := range s {
		b[74+j/2] |= v << (j % 2 * 4)
	}
	putHalf(b, float32(most/31*0.9875))
}

// The values of the points, eight for each, in the order of their numbers
// (ggml-common.h@d99724f2, iq2xxs_grid, iq2xs_grid, iq2s_grid).
var (
	valuesIQ2XXS = sync.OnceValue(func() []float32 { return valuesOf(gridIQ2XXS[:], 8, levelsIQ2) })
	valuesIQ2XS  = sync.OnceValue(func() []float32 { return valuesOf(gridIQ2XS[:], 8, levelsIQ2) })
	valuesIQ2S   = sync.OnceValue(func() []float32 { return valuesOf(gridIQ2S[:], 8, levelsIQ2) })
	levelsIQ2    = []float32{8, 25, 43}
)
