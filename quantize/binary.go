package quantize

import "math"

// q1_0: blocks of 128 elements −d and d, d the mean magnitude; d, 16 bytes of
// signs. (ggml-quants.c@d99724f2, quantize_row_q1_0_ref)
var q1_0 = blockType{
	halves: []int{0},
	decode: func(x []float32, b []byte) {
		negative := math.Float32bits(halfAt(b)) ^ signBit
		for i := range x {
			x[i] = math.Float32frombits(negative ^ uint32(b[2+i/8]>>(i%8))<<31)
		}
	},
	encode: func(b []byte, x []float32) {
		var sum float32
		for i, v := range x {
			sum += abs(v)
			if v >= 0 {
				b[2+i/8] |= 1 << (i % 8)
			}
		}
		putHalf(b, sum/128)
	},
}

// q2_0: blocks of 64 elements d·(q−1), q ∈ [0, 3], d = max|x|, so that encoding
// never meets 3; d, 16 bytes of four levels in order, lowest bits first.
// (ggml-quants.c@d99724f2, quantize_row_q2_0_ref)
var q2_0 = blockType{
	halves: []int{0},
	decode: func(x []float32, b []byte) {
		var q [64]uint8
		pairs(q[:], b[2:18])
		decodeSigned(x, q[:], halfAt(b), 1)
	},
	encode: func(b []byte, x []float32) {
		var d float32
		for _, v := range x {
			d = greater(d, abs(v))
		}
		putHalf(b, d)
		inv := inverse(d)
		var q [64]uint8
		for i, v := range x {
			q[i] = uint8(clamp(roundAway(float32(v*inv))+1, 0, 3))
		}
		putPairs(b[2:18], q[:])
	},
}
