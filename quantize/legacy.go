package quantize

// Blocks of 32 elements with their scales in half precision, then the levels
// (ggml-quants.c@d99724f2, quantize_row_q4_0_ref and following).
var (
	q4_0 = signedType(8)
	q5_0 = signedType(16)
	q4_1 = affineType(15)
	q5_1 = affineType(31)
)

// signedType is x ≈ d·(q−n), q ∈ [0, 2n). Without importance d = m/−n, m the
// element of largest magnitude, which is met exactly.
func signedType(n int32) blockType {
	return blockType{
		halves: []int{0},
		decode: func(x []float32, b []byte) {
			var q [32]uint8
			levels(&q, b[2:])
			decodeSigned(x, q[:], halfAt(b), n)
		},
		encode: func(b []byte, x []float32) {
			var q [32]uint8
			d := peak(x) / -float32(n)
			inv := inverse(d)
			for i, v := range x {
				q[i] = uint8(min(int8(truncate(float32(v*inv)+(float32(n)+0.5))), int8(2*n-1)))
			}
			putHalf(b, d)
			putLevels(b[2:], &q)
		},
		rowWeighted: func(b []byte, x, importance []float32, meanSquare float32) {
			var w [32]float32
			var q [32]uint8
			importanceWeights(w[:], x, importance, meanSquare)
			putHalf(b, symmetric(q[:], x, w[:], n))
			putLevels(b[2:], &q)
		},
	}
}

// affineType is x ≈ d·q + m, q ∈ [0, top]. Without importance m = min x and
// d = (max x − m)/top.
func affineType(top int32) blockType {
	search := affineSearch{top: top, from: -0.9, step: 0.05, steps: 36}
	return blockType{
		halves: []int{0, 2},
		decode: func(x []float32, b []byte) {
			var q [32]uint8
			levels(&q, b[4:])
			decodeAffine(x, q[:], halfAt(b), -halfAt(b[2:]))
		},
		encode: func(b []byte, x []float32) {
			var q [32]uint8
			low, high := extent(x)
			d := (high - low) / float32(top)
			inv := inverse(d)
			for i, v := range x {
				q[i] = uint8(min(int8(truncate(float32((v-low)*inv)+0.5)), int8(top)))
			}
			putHalf(b, d)
			putHalf(b[2:], low)
			putLevels(b[4:], &q)
		},
		rowWeighted: func(b []byte, x, importance []float32, meanSquare float32) {
			var w [32]float32
			var q [32]uint8
			importanceWeights(w[:], x, importance, meanSquare)
			d, m := search.fit(q[:], x, w[:])
			putHalf(b, d)
			putHalf(b[2:], -m)
			putLevels(b[4:], &q)
		},
	}
}

// q8_0 is x ≈ d·q, d = max|x|/127.
var q8_0 = blockType{
	halves: []int{0},
	decode: func(x []float32, b []byte) {
		d := halfAt(b)
		for i, q := range b[2:34] {
			x[i] = float32(int8(q)) * d
		}
	},
	encode: func(b []byte, x []float32) {
		d := largest(x) / 127
		inv := inverse(d)
		putHalf(b, d)
		for i, v := range x {
			b[2+i] = uint8(roundAway(float32(v * inv)))
		}
	},
}
