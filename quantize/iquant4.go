package quantize

import (
	"encoding/binary"
	"math"
)

// Four-bit levels of unequal distance: x ≈ d·nonlinear[q].
// (ggml-quants.c@d99724f2, quantize_row_iq4_nl_impl)

// nonlinear are the values of the levels (ggml-common.h@d99724f2, kvalues_iq4nl).
var nonlinear = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// iq4_nl: blocks of 32; d, 16 bytes of nibbles.
var iq4_nl = blockType{
	reach:  maxHalf * 127,
	halves: []int{0},
	decode: func(x []float32, b []byte) {
		var q [32]uint8
		levels(&q, b[2:])
		decodeNonlinear(x, &q, halfAt(b))
	},
	encode: func(b []byte, x []float32) {
		var w [32]float32
		squares(w[:], x)
		encodeIQ4NL(b, x, w[:])
	},
	weighted: func(b []byte, x, importance []float32) {
		var w [32]float32
		importanceWeights(w[:], x, importance, float32(sumSquares(x)*(2./32)))
		encodeIQ4NL(b, x, w[:])
	},
}

func encodeIQ4NL(b []byte, x, w []float32) {
	d := nonlinearScale(x, w)
	var q [32]uint8
	nonlinearLevels(&q, x, inverse(d))
	putHalf(b, d)
	putLevels(b[2:], &q)
}

// iq4_xs: super-blocks of 8 groups with 6-bit scales, x ≈ d·(s−32)·nonlinear[q];
// d, 2 bytes with the upper two bits of s, 4 with the lower four, 128 of nibbles.
var iq4_xs = blockType{
	reach:  maxHalf * 32 * 127,
	halves: []int{0},
	decode: func(x []float32, b []byte) {
		for j := range 8 {
			var q [32]uint8
			levels(&q, b[8+16*j:24+16*j])
			decodeNonlinear(x[32*j:32*j+32], &q, scaleIQ4XS(b, j))
		}
	},
	encode: func(b []byte, x []float32) {
		var w [superBlock]float32
		squares(w[:], x)
		encodeIQ4XS(b, x, w[:])
	},
	weighted: func(b []byte, x, importance []float32) {
		var w [superBlock]float32
		importanceWeights(w[:], x, importance, float32(sumSquares(x)*(2./superBlock)))
		encodeIQ4XS(b, x, w[:])
	},
}

func encodeIQ4XS(b []byte, x, w []float32) {
	var d [8]float32
	for j := range d {
		d[j] = nonlinearScale(x[32*j:32*j+32], w[32*j:32*j+32])
	}
	var by [8]float32
	putScalesIQ4XS(b, &by, &d)
	for j, by := range by {
		var q [32]uint8
		nonlinearLevels(&q, x[32*j:32*j+32], by)
		putLevels(b[8+16*j:24+16*j], &q)
	}
}

// putScalesIQ4XS stores the scales of the groups, d, and sets by to the inverses
// of what is stored, 0 for 0.
func putScalesIQ4XS(b []byte, by, d *[8]float32) {
	top := -peak(d[:]) / 32
	putHalf(b, top)
	inv := inverse(top)
	var high uint16
	for j := range d {
		s := clamp(nearest(float32(inv*d[j])), -32, 31)
		by[j] = inverse(float32(top * float32(s)))
		b[4+j/2] |= uint8(s+32) & 15 << (j % 2 * 4)
		high |= uint16(s+32) >> 4 << (2 * j)
	}
	binary.LittleEndian.PutUint16(b[2:], high)
}

// scaleIQ4XS returns the scale of group j.
func scaleIQ4XS(b []byte, j int) float32 {
	s := int32(b[4+j/2]>>(j%2*4)&15) | int32(binary.LittleEndian.Uint16(b[2:])>>(2*j)&3<<4)
	return float32(halfAt(b) * float32(s-32))
}

// nonlinearScale returns the d of x ≈ d·nonlinear[q] that maximizes
// (Σ w·x·v)²/Σ w·v² over the levels v for 16 scales: the element of largest
// magnitude at 127, then at −127+k, k from −7 to 7.
func nonlinearScale(x, w []float32) (d float32) {
	m := peak(x)
	if abs(m) < tiny {
		return 0
	}
	sumXV, sumV2 := nonlinearSums(x, w, 1/(-m/nonlinear[0]))
	if sumV2 > 0 {
		d = sumXV / sumV2
	}
	best := float32(d * sumXV)
	for k := float32(-7); k <= 7; k++ {
		sumXV, sumV2 = nonlinearSums(x, w, (k+nonlinear[0])/m)
		if sumV2 > 0 && float32(sumXV*sumXV) > float32(best*sumV2) {
			d = sumXV / sumV2
			best = float32(d * sumXV)
		}
	}
	return d
}

func nonlinearSums(x, w []float32, inv float32) (sumXV, sumV2 float32) {
	w = w[:len(x)]
	for i, v := range x {
		q := nonlinear[nonlinearLevel(float32(inv*v))&15]
		wq := float32(w[i] * q)
		sumXV += float32(wq * v)
		sumV2 += float32(wq * q)
	}
	return sumXV, sumV2
}

func nonlinearLevels(q *[32]uint8, x []float32, inv float32) {
	for i, v := range x[:32] {
		q[i] = nonlinearLevel(float32(inv * v))
	}
}

// nonlinearLevel returns the level nearest to v, the upper one of two, and 15
// for NaN. The midpoints between the values are multiples of ½, so ⌊2v⌋ decides.
func nonlinearLevel(v float32) uint8 {
	if !(v < nonlinear[15]) {
		return 15
	}
	if v <= nonlinear[0] {
		return 0
	}
	u := v + v
	t := int32(u)
	t += int32(math.Float32bits(u-float32(t))) >> 31 // truncated to floored
	return nonlinearAt[uint32(t+254)%512]
}

// nonlinearAt is the level of v by ⌊2v⌋+254.
var nonlinearAt = func() (at [512]uint8) {
	for i := range at {
		v := float32(i-254) / 2
		for q := 1; q < len(nonlinear) && v >= (nonlinear[q-1]+nonlinear[q])/2; q++ {
			at[i] = uint8(q)
		}
	}
	return at
}()

func decodeNonlinear(x []float32, q *[32]uint8, d float32) {
	for i := range x {
		x[i] = float32(d * nonlinear[q[i]&15])
	}
}
