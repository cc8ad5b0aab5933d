package quantize

import (
	"encoding/binary"
	"sync"
)

// Super-blocks of 256 elements in 8 groups with 4-bit scales, rounded by fours to
// points of eight levels.

// iq3_xxs: x ≈ ±d·(s+½)/2·v with the values below; d, 64 numbers of points, for
// each group 4·7 signs and s. d is stored 1.25 % larger.
// (ggml-quants.c@d99724f2, quantize_row_iq3_xxs_impl)
var iq3_xxs = typeOfIQ3XXS(scalar)

func typeOfIQ3XXS(by isa) blockType {
	return blockType{
		reach:  maxHalf * 15.5 / 2 * 62,
		halves: []int{0},
		decode: func(x []float32, b []byte) {
			d, values := halfAt(b), valuesIQ3XXS()
			for j := range 8 {
				tail := binary.LittleEndian.Uint32(b[66+4*j:])
				db := float32(float32(d*(0.5+float32(tail>>28))) * 0.5)
				for k, n := range b[2+8*j : 10+8*j] {
					signs := withParity(uint8(tail>>(k/2*7)&127)) >> (k % 2 * 4)
					decodePoint(x[32*j+4*k:][:4], values[4*int(n):], signs, db)
				}
			}
		},
		encode: func(b []byte, x []float32) {
			var w [superBlock]float32
			squares(w[:], x)
			encodeIQ3XXS(b, x, w[:], by)
		},
		weighted: func(b []byte, x, importance []float32) {
			var w [superBlock]float32
			importanceWeights(w[:], x, importance, float32(2*sumSquares(x)/superBlock))
			encodeIQ3XXS(b, x, w[:], by)
		},
	}
}

func encodeIQ3XXS(b []byte, x, w []float32, by isa) {
	search := latticeSearch{by: by, lattice: latticeIQ3XXS, negligible: 1e-8, steps: 15, step: 0.2, evenSigns: true}
	var d [8]float32
	var s [8]uint8
	var most float32
	for j := range d {
		var points [8]uint16
		var signs [4]uint8
		d[j], _ = search.group(points[:], signs[:], x[32*j:32*j+32], w[32*j:32*j+32])
		most = larger(most, d[j])
		for k, n := range points {
			b[2+8*j+k] = uint8(n)
		}
		binary.LittleEndian.PutUint32(b[66+4*j:], sevenBits(&signs))
	}
	if most == 0 {
		clear(b)
		return
	}
	fourBitScales(s[:], d[:], most)
	for j, v := range s {
		b[69+4*j] |= v << 4
	}
	putHalf(b, float32(most/31*1.0125))
}

func sevenBits(signs *[4]uint8) uint32 {
	return uint32(signs[0]) | uint32(signs[1])<<7 | uint32(signs[2])<<14 | uint32(signs[3])<<21
}

// iq3_s: x ≈ ±d·(2s+1)·v; d, 64 bytes of the lower eight bits of the numbers, 8
// of the ninth, 32 of signs, 4 of scales. d is stored 3.3 % larger.
// Numbers and signs of a group of zeros are left out, not stored as zeros: those
// of later groups move up, and decoding gives them to the wrong groups. That is
// how ggml writes such blocks. (ggml-quants.c@d99724f2, quantize_row_iq3_s_impl)
var iq3_s = typeOfIQ3S(scalar)

func typeOfIQ3S(by isa) blockType {
	return blockType{
		reach:  maxHalf * 31 * 15,
		halves: []int{0},
		decode: func(x []float32, b []byte) {
			d, values := halfAt(b), valuesIQ3S()
			for j := range 64 {
				s := b[106+j/16] >> (j / 8 % 2 * 4) & 15
				n := int(b[2+j]) | int(b[66+j/8])>>(j%8)&1<<8
				decodePoint(x[4*j:][:4], values[4*n:], b[74+j/2]>>(j%2*4), float32(d*float32(1+2*int32(s))))
			}
		},
		encode: func(b []byte, x []float32) {
			var w [superBlock]float32
			squares(w[:], x)
			encodeIQ3S(b, x, w[:], by)
		},
		weighted: func(b []byte, x, importance []float32) {
			var w [superBlock]float32
			importanceWeights(w[:], x, importance, float32(2*sumSquares(x)/superBlock))
			encodeIQ3S(b, x, w[:], by)
		},
	}
}

func encodeIQ3S(b []byte, x, w []float32, by isa) {
	search := latticeSearch{by: by, lattice: latticeIQ3S, negligible: 0x1p-149, steps: 9, step: 0.2, refit: refitIfOff}
	var d [8]float32
	var s [8]uint8
	var most float32
	stored := 0 // groups
	for j := range d {
		var points [8]uint16
		var ok bool
		d[j], ok = search.group(points[:], b[74+4*stored:78+4*stored], x[32*j:32*j+32], w[32*j:32*j+32])
		if !ok {
			continue
		}
		most = larger(most, d[j])
		for k, n := range points {
			b[2+8*stored+k] = uint8(n)
			b[66+j] |= uint8(n>>8) << k
		}
		stored++
	}
	if most == 0 {
		return
	}
	fourBitScales(s[:], d[:], most)
	for j, v := range s {
		b[106+j/2] |= v << (j % 2 * 4)
	}
	putHalf(b, float32(most/31*1.033))
}

// The values of the points, four for each, in the order of their numbers
// (ggml-common.h@d99724f2, iq3xxs_grid, iq3s_grid).
var (
	valuesIQ3XXS = sync.OnceValue(func() []float32 {
		return valuesOf(gridIQ3XXS[:], 4, []float32{4, 12, 20, 28, 36, 44, 52, 62})
	})
	valuesIQ3S = sync.OnceValue(func() []float32 {
		return valuesOf(gridIQ3S[:], 4, []float32{1, 3, 5, 7, 9, 11, 13, 15})
	})
)

// valuesOf lists the values of the points of a set, given those of the levels.
func valuesOf(set []uint64, dims int, levels []float32) (values []float32) {
	for _, p := range pointsOf(set, power(len(levels), dims)) {
		for _, l := range coordinates(p, dims, len(levels)) {
			values = append(values, levels[l])
		}
	}
	return values
}
