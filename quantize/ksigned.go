package quantize

import "encoding/binary"

// Super-blocks of 256 elements in 16 groups with integer scales: x ≈ d·s·(q−n).
// (ggml-quants.c@d99724f2, quantize_row_q3_K_ref and _impl, quantize_row_q6_K_impl)

// q3_k: n = 4, s ∈ [−32, 31]; 32 bytes with the third bits, 64 with the lower
// two, 12 of scales, d.
var q3_k = blockType{
	reach:  maxHalf * 32 * 4,
	halves: []int{108},
	decode: func(x []float32, b []byte) {
		d := halfAt(b[108:])
		var q [superBlock]uint8
		bitPlane(&q, b[:32], 2)
		crumbs(&q, b[32:96])
		for j := range 16 {
			s := scaleQ3K(b[96:108], j)
			decodeSigned(x[16*j:16*j+16], q[16*j:], float32(d*float32(s)), 4)
		}
	},
	encode: func(b []byte, x []float32) {
		var q [superBlock]uint8
		var d [16]float32
		for j := range d {
			d[j] = refined(q[16*j:16*j+16], x[16*j:16*j+16], 4)
		}
		putPlainQ3K(b, &d)
		packQ3K(b, x, &q)
	},
	weighted: func(b []byte, x, importance []float32) {
		var q [superBlock]uint8
		var d, sumW [16]float32
		var w [16]float32
		total := float32(2 * sumSquares(x) / superBlock)
		for j := range d {
			group := x[16*j : 16*j+16]
			importanceWeights(w[:], group, importance[16*j:], total)
			sumW[j] = sum(w[:])
			d[j] = symmetric(q[16*j:16*j+16], group, w[:], 4)
		}
		putWeightedQ3K(b, &d, &sumW)
		packQ3K(b, x, &q)
	},
}

func putPlainQ3K(b []byte, d *[16]float32) {
	var s [16]uint8
	if most := peak(d[:]); most != 0 {
		inv := -32 / most
		for j := range d {
			s[j] = uint8(clamp(int32(int8(nearest(float32(inv*d[j])))), -32, 31) + 32)
		}
		putHalf(b[108:], 1/inv)
	}
	putScalesQ3K(b[96:108], &s)
}

func putWeightedQ3K(b []byte, d, sumW *[16]float32) {
	var s [16]uint8
	putHalf(b[108:], symmetric(s[:], d[:], sumW[:], 32))
	putScalesQ3K(b[96:108], &s)
}

func packQ3K(b []byte, x []float32, q *[superBlock]uint8) {
	d := halfAt(b[108:])
	for j := range 16 {
		signedLevels(q[16*j:16*j+16], x[16*j:], float32(d*float32(scaleQ3K(b[96:108], j))), 4)
	}
	putQ3K(b, q)
}

func putQ3K(b []byte, q *[superBlock]uint8) {
	putBitPlane(b[:32], q, 2)
	for i := range q {
		q[i] &= 3
	}
	putCrumbs(b[32:96], q)
}

// putScalesQ3K packs sixteen 6-bit scales: the lower four bits of j and j+8 are
// in byte j, the upper two of j, j+4, j+8 and j+12 in byte 8+j. If all scales
// are zero q3_k stores zeros, not 32.
func putScalesQ3K(b []byte, s *[16]uint8) {
	for j, v := range s {
		b[j%8] |= v & 15 << (j / 8 * 4)
		b[8+j%4] |= v >> 4 << (j / 4 * 2)
	}
}

func scaleQ3K(b []byte, j int) int32 {
	return int32(b[j%8]>>(j/8*4)&15|b[8+j%4]>>(j/4*2)&3<<4) - 32
}

// q6_k: n = 32, s ∈ [−128, 127]; 128 bytes with the lower four bits, 64 with
// the upper two, 16 of scales, d.
var q6_k = blockType{
	reach:  maxHalf * 128 * 32,
	halves: []int{208},
	decode: func(x []float32, b []byte) {
		d := halfAt(b[208:])
		var q [superBlock]uint8
		levelsQ6K(&q, b)
		for j, s := range b[192:208] {
			decodeSigned(x[16*j:16*j+16], q[16*j:], float32(d*float32(int8(s))), 32)
		}
	},
	encode: func(b []byte, x []float32) {
		var w [superBlock]float32
		squares(w[:], x)
		encodeQ6K(b, x, w[:])
	},
	weighted: encodeQ6K,
}

func encodeQ6K(b []byte, x, w []float32) {
	var q [superBlock]uint8
	var d [16]float32
	for j := range d {
		d[j] = symmetric(q[16*j:16*j+16], x[16*j:16*j+16], w[16*j:16*j+16], 32)
	}
	dh, ok := scalesQ6K(b, &d)
	if !ok {
		return
	}
	for j := range d {
		signedLevels(q[16*j:16*j+16], x[16*j:], float32(dh*float32(int8(b[192+j]))), 32)
	}
	putQ6K(b, &q)
}

// scalesQ6K stores the scales of the groups, d, and returns the half they are
// multiplied with; ok is false if the block is one of zeros.
func scalesQ6K(b []byte, d *[16]float32) (dh float32, ok bool) {
	most := peak(d[:])
	if abs(most) < tiny {
		return 0, false
	}
	inv := -128 / most
	putHalf(b[208:], 1/inv)
	for j := range d {
		b[192+j] = uint8(int8(min(127, nearest(float32(inv*d[j])))))
	}
	return halfAt(b[208:]), true
}

func putQ6K(b []byte, q *[superBlock]uint8) {
	for half := range 2 {
		b, high, q := b[64*half:64*half+64], b[128+32*half:160+32*half], q[128*half:128*half+128]
		for j := 0; j < 64; j += 8 {
			binary.LittleEndian.PutUint64(b[j:], eight(q[j:])&low4|eight(q[j+64:])<<4&high4)
		}
		for j := 0; j < 32; j += 8 {
			binary.LittleEndian.PutUint64(high[j:], eight(q[j:])>>4&low2|eight(q[j+32:])>>2&(low2<<2)|eight(q[j+64:])&(low2<<4)|eight(q[j+96:])<<2&(low2<<6))
		}
	}
}

// levelsQ6K undoes putQ6K.
func levelsQ6K(q *[superBlock]uint8, b []byte) {
	for half := range 2 {
		low, high, q := b[64*half:64*half+64], b[128+32*half:160+32*half], q[128*half:128*half+128]
		for j := 0; j < 128; j += 8 {
			v := eight(low[j%64:])>>(j/64*4)&low4 | eight(high[j%32:])>>(j/32*2)&low2<<4
			binary.LittleEndian.PutUint64(q[j:], v)
		}
	}
}

// signedLevels sets q to the levels of x ≈ d·(q−n), unless d is 0.
func signedLevels(q []uint8, x []float32, d float32, n int32) {
	if d == 0 {
		return
	}
	x = x[:len(q)]
	for i, v := range x {
		q[i] = uint8(n + clamp(nearest(v/d), -n, n-1))
	}
}

func decodeSigned(x []float32, q []uint8, d float32, n int32) {
	q = q[:len(x)]
	for i := range x {
		x[i] = float32(d * float32(int32(q[i])-n))
	}
}
