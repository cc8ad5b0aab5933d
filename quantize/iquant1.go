package quantize

import (
	"encoding/binary"
	"math"
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
var iq1_s = blockType{
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
	encode:   func(b []byte, x []float32) { encodeIQ1S(b, x, equal[:]) },
	weighted: encodeIQ1S,
}

func decodeShifted(x, v []float32, d, shift float32) {
	v = v[:len(x)]
	for i := range x {
		x[i] = float32(d * (v[i] + shift))
	}
}

func encodeIQ1S(b []byte, x, importance []float32) {
	var w [superBlock]float32
	importanceWeights(w[:], x, importance, float32(2*sumSquares(x)/superBlock))
	var d [8]float32
	var down [8]bool
	var most float32
	for j := range d {
		var points [4]uint16
		var shift float32
		d[j], shift = thirds32(&points, x[32*j:32*j+32], w[32*j:32*j+32])
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

// thirds32 splits 32 elements, sorted, in the two places and takes the shift for
// which levels −1, 0 and 1 of the three parts have the greatest
// (Σ w·x·v)²/Σ w·v², v = l + shift, and rounds the levels to points.
func thirds32(points *[4]uint16, x, w []float32) (d, shift float32) {
	if largest(x) < 1e-12 {
		return 0, shift1
	}
	var order [32]uint8
	sortedOrder(order[:], x)
	var sumX, sumW [33]float32
	for j, i := range order {
		sumX[j+1] = sumX[j] + float32(w[i]*x[i])
		sumW[j+1] = sumW[j] + w[i]
	}
	best := float32(-math.MaxFloat32)
	var from, to int
	for i := range sumX {
		for j := i; j < len(sumX); j++ {
			x0, x1, x2 := sumX[i]-sumX[0], sumX[j]-sumX[i], sumX[32]-sumX[j]
			w0, w1, w2 := sumW[i]-sumW[0], sumW[j]-sumW[i], sumW[32]-sumW[j]
			for _, s := range [2]float32{shift1, -shift1} {
				low, mid, high := s-1, s, s+1
				sumXV := float32(x0*low) + float32(x1*mid) + float32(x2*high)
				sumV2 := float32(float32(w0*low)*low) + float32(float32(w1*mid)*mid) + float32(float32(w2*high)*high)
				if sumV2 > 0 && float32(sumXV*sumXV) > float32(best*sumV2) {
					d = sumXV / sumV2
					best = float32(d * sumXV)
					from, to, shift = i, j, s
				}
			}
		}
	}
	if shift == 0 {
		return 0, shift1
	}
	var levels [32]uint8
	d, flipped := splitLevels(levels[:], order[:], from, to, d)
	if flipped {
		shift = -shift
	}
	shifts := [4]float32{shift, shift, shift, shift}
	return roundLevels(points[:], levels[:], x, w, d, shifts[:]), shift
}

// splitLevels gives 0 to the elements before from in order, 1 to those before
// to, and 2 to the others; the other way round, with −d, if d is negative.
func splitLevels(levels, order []uint8, from, to int, d float32) (magnitude float32, flipped bool) {
	low, high := uint8(0), uint8(2)
	if flipped = d < 0; flipped {
		low, high, d = 2, 0, -d
	}
	for j, i := range order {
		switch {
		case j < from:
			levels[i] = low
		case j < to:
			levels[i] = 1
		default:
			levels[i] = high
		}
	}
	return d, flipped
}

// roundLevels rounds each eight levels to a point, and if any is off the lattice
// returns the least-squares scale of the points, d otherwise.
func roundLevels(points []uint16, levels []uint8, x, w []float32, d float32, shifts []float32) float32 {
	t := latticeIQ1()
	all := true
	for k := range points {
		var code int32
		for i := 7; i >= 0; i-- {
			code = 3*code + int32(levels[8*k+i])
		}
		n, on := t.point(code, x[8*k:8*k+8], w[8*k:8*k+8], d, shifts[k])
		points[k] = uint16(n)
		all = all && on
	}
	if all {
		return d
	}
	var sumXV, sumV2 float32
	for k, n := range points {
		xk, wk := x[8*k:8*k+8], w[8*k:8*k+8]
		for i, l := range t.values[8*int(n):][:8] {
			v := l + shifts[k]
			wv := float32(wk[i] * v)
			sumXV += float32(wv * xk[i])
			sumV2 += float32(wv * v)
		}
	}
	if sumXV > 0 && sumV2 > 0 {
		return sumXV / sumV2
	}
	return d
}

// sortedOrder sets order to the places of the elements of x from the least to
// the greatest, equal ones in their order, as glibc's qsort leaves them.
func sortedOrder(order []uint8, x []float32) {
	for j := range order {
		k := j
		for ; k > 0 && x[j] < x[order[k-1]]; k-- {
			order[k] = order[k-1]
		}
		order[k] = uint8(j)
	}
}

// iq1_m: 16 groups of 16 with 3-bit scales, a shift for each eight; 32 bytes of
// the lower eight bits of the numbers, 16 of two times three upper bits and a
// bit if the shift is down, 8 of twelve bits of scales and four of d each. d is
// stored 11.25 % larger. (ggml-quants.c@d99724f2, quantize_row_iq1_m_impl)
var iq1_m = blockType{
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
		encodeIQ1M(b, x, w[:])
	},
	weighted: func(b []byte, x, importance []float32) {
		var w [superBlock]float32
		importanceWeights(w[:], x, importance, float32(2*sumSquares(x)/superBlock))
		encodeIQ1M(b, x, w[:])
	},
	lost: func(b []byte, x []float32) int {
		if d := scaleIQ1M(b); d-d != 0 || beyond(x, reachIQ1) {
			return countFinite(x)
		}
		return 0
	},
}

func scaleIQ1M(b []byte) float32 {
	s := b[48:56]
	return halfAt([]byte{s[1]>>4 | s[3]&0xf0, s[5]>>4 | s[7]&0xf0})
}

func encodeIQ1M(b []byte, x, w []float32) {
	var d [16]float32
	var shifts [16]shifts16
	var points [32]uint16
	var most float32
	for j := range d {
		d[j], shifts[j] = thirds16(points[2*j:2*j+2], x[16*j:16*j+16], w[16*j:16*j+16])
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

// shifts16 are the directions of the shifts of two eights: bit 1 if the first is
// down, bit 0 if the second is.
type shifts16 uint8

func (s shifts16) values() [2]float32 {
	v := [2]float32{shift1, shift1}
	if s&2 != 0 {
		v[0] = -shift1
	}
	if s&1 != 0 {
		v[1] = -shift1
	}
	return v
}

func (s shifts16) mask() uint8 { return uint8(s&2)<<2 | uint8(s&1)<<7 }

// thirds16 is thirds32 for two eights with a shift each, and weighs the parts by
// what a step of the levels changes. (llama.cpp ggml-quants.c@01243c58; before
// that commit ggml summed in another order, and its bytes differed.)
func thirds16(points []uint16, x, w []float32) (d float32, shifts shifts16) {
	if largest(x) < 1e-7 {
		return 0, 0
	}
	var order [16]uint8
	sortedOrder(order[:], x)
	var sums [2]prefixSums
	for j, i := range order {
		for eight := range sums {
			s := &sums[eight]
			s.x[j+1], s.w[j+1] = s.x[j], s.w[j]
		}
		s := &sums[i/8]
		s.x[j+1] += float32(w[i] * x[i])
		s.w[j+1] += w[i]
	}
	best, found := float32(-math.MaxFloat32), false
	var from, to int
	for i := range 17 {
		for j := i; j <= 16; j++ {
			var xv, v2 [2][2]float32
			for eight := range sums {
				xv[eight][0], v2[eight][0] = sums[eight].split(i, j, shift1)
				xv[eight][1], v2[eight][1] = sums[eight].split(i, j, -shift1)
			}
			for s := range shifts16(4) {
				sumXV, sumV2 := xv[0][s>>1]+xv[1][s&1], v2[0][s>>1]+v2[1][s&1]
				if sumV2 > 0 && float32(sumXV*sumXV) > float32(best*sumV2) {
					d = sumXV / sumV2
					best, found = float32(d*sumXV), true
					from, to, shifts = i, j, s
				}
			}
		}
	}
	if !found {
		return 0, 0
	}
	var levels [16]uint8
	d, flipped := splitLevels(levels[:], order[:], from, to, d)
	if flipped {
		shifts = 3 - shifts
	}
	v := shifts.values()
	return roundLevels(points, levels[:], x, w, d, v[:]), shifts
}

// prefixSums are Σ w·x and Σ w over the first elements in order that are in one eight.
type prefixSums struct{ x, w [17]float32 }

// split returns Σ w·x·v and Σ w·v² for v = shift−1 before i, shift before j and
// shift+1 from there.
func (s *prefixSums) split(i, j int, shift float32) (xv, v2 float32) {
	high := shift + 1
	xv = float32(s.x[16]*high) - (s.x[i] + s.x[j])
	v2 = float32(float32(s.w[16]*high)*high) + float32(s.w[i]*(1-shift-shift)) + float32(s.w[j]*(-1-shift-shift))
	return xv, v2
}
