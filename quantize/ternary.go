package quantize

// Super-blocks of 256 elements −d, 0 and d, d = max|x|.

// tq2_0: 64 bytes of four levels, d; in each half, byte j holds the levels j,
// j+32, j+64 and j+96, lowest bits first.
// (ggml-quants.c@d99724f2, quantize_row_tq2_0_ref)
var tq2_0 = blockType{
	halves: []int{64},
	decode: func(x []float32, b []byte) {
		var q [superBlock]uint8
		crumbs(&q, b[:64])
		decodeSigned(x, q[:], halfAt(b[64:]), 1)
	},
	encode: func(b []byte, x []float32) {
		var q [superBlock]uint8
		putHalf(b[64:], trits(&q, x))
		for i := range q {
			q[i] &= 3
		}
		putCrumbs(b[:64], &q)
	},
}

// tq1_0: 48 bytes of five levels, 4 bytes of four, d. A byte is ⌈q·256/243⌉ of
// the base-3 number q, first level first, so that multiplying it by three takes
// the levels out at the top. The 160 elements of the first 32 bytes, 80 of the
// next 16 and 16 of the last 4 are dealt out to the bytes in turn.
// (ggml-quants.c@d99724f2, quantize_row_tq1_0_ref)
var tq1_0 = blockType{
	halves: []int{52},
	decode: func(x []float32, b []byte) {
		d := halfAt(b[52:])
		for _, r := range tritRuns {
			for n := range r.levels {
				for _, v := range b[r.at : r.at+r.bytes] {
					q := v * powersOf3[n]
					x[0] = float32(float32(int32(uint32(q)*3>>8)-1) * d)
					x = x[1:]
				}
			}
		}
	},
	encode: func(b []byte, x []float32) {
		var q [superBlock]uint8
		putHalf(b[52:], trits(&q, x))
		putTrits(b, &q)
	},
}

// putTrits packs levels, modulo 256 where rows with NaNs have others than 0, 1 and 2.
func putTrits(b []byte, q *[superBlock]uint8) {
	const evenBytes = 0x00ff00ff00ff00ff
	var from [superBlock + 4]uint8 // room for the last word
	copy(from[:], q[:])
	at := 0
	for _, r := range tritRuns {
		for j := 0; j < r.bytes; j += 8 {
			var even, odd uint64 // numbers of eight bits, each in sixteen
			for n := range 5 {
				even, odd = even*3, odd*3
				if n < r.levels {
					v := eight(from[at+n*r.bytes+j:])
					even, odd = even+v&evenBytes, odd+v>>8&evenBytes
				}
				even, odd = even&evenBytes, odd&evenBytes
			}
			for i := 0; i < min(8, r.bytes); i += 2 {
				b[r.at+j+i] = uint8((even>>(8*i)&255*256 + 242) / 243)
				b[r.at+j+i+1] = uint8((odd>>(8*i)&255*256 + 242) / 243)
			}
		}
		at += r.levels * r.bytes
	}
}

var tritRuns = [3]struct{ at, bytes, levels int }{{0, 32, 5}, {32, 16, 5}, {48, 4, 4}}

var powersOf3 = [5]uint8{1, 3, 9, 27, 81}

// trits sets q to 0, 1 or 2 and returns d.
func trits(q *[superBlock]uint8, x []float32) (d float32) {
	d = largest(x)
	inv := inverse(d)
	for i, v := range x {
		q[i] = uint8(roundAway(float32(v*inv)) + 1)
	}
	return d
}
