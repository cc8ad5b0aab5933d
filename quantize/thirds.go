package quantize

import "math"

// thirds32 splits 32 elements, sorted, in the two places and takes the shift for
// which levels −1, 0 and 1 of the three parts have the greatest
// (Σ w·x·v)²/Σ w·v², v = l + shift, and rounds the levels to points.
func thirds32(points *[4]uint16, x, w []float32, by isa) (d, shift float32) {
	if largest(x) < 1e-12 {
		return 0, shift1
	}
	var order [32]uint8
	sortedOrder(order[:], x)
	var sums splits32
	for j, i := range order {
		sums.x[j+1] = sums.x[j] + float32(w[i]*x[i])
		sums.w[j+1] = sums.w[j] + w[i]
	}
	d, from, to, shift := sums.best(by)
	if shift == 0 {
		return 0, shift1
	}
	var levels [32]uint8
	d, flipped := splitLevels(levels[:], order[:], from, to, d)
	if flipped {
		shift = -shift
	}
	shifts := [4]float32{shift, shift, shift, shift}
	return roundLevels(points[:], levels[:], x, w, d, shifts[:], by), shift
}

// splits32 are Σ w·x and Σ w over the first elements in order, with room for
// kernels that look at 16 places at once.
type splits32 struct{ x, w [33 + 15]float32 }

// best returns the scale and the places of the best split; shift is 0 if there
// is none.
func (s *splits32) best(by isa) (d float32, from, to int, shift float32) {
	if by != scalar {
		return s.vectorBest(by)
	}
	best := float32(-math.MaxFloat32)
	for i := range 33 {
		for j := i; j < 33; j++ {
			x0, x1, x2 := s.x[i]-s.x[0], s.x[j]-s.x[i], s.x[32]-s.x[j]
			w0, w1, w2 := s.w[i]-s.w[0], s.w[j]-s.w[i], s.w[32]-s.w[j]
			for _, to1 := range [2]float32{shift1, -shift1} {
				low, mid, high := to1-1, to1, to1+1
				sumXV := float32(x0*low) + float32(x1*mid) + float32(x2*high)
				sumV2 := float32(float32(w0*low)*low) + float32(float32(w1*mid)*mid) + float32(float32(w2*high)*high)
				if sumV2 > 0 && float32(sumXV*sumXV) > float32(best*sumV2) {
					d = sumXV / sumV2
					best = float32(d * sumXV)
					from, to, shift = i, j, to1
				}
			}
		}
	}
	return d, from, to, shift
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
func roundLevels(points []uint16, levels []uint8, x, w []float32, d float32, shifts []float32, by isa) float32 {
	t := latticeIQ1()
	all := true
	for k := range points {
		var code int32
		for i := 7; i >= 0; i-- {
			code = 3*code + int32(levels[8*k+i])
		}
		n := t.number[code]
		if n < 0 {
			all = false
			n = t.nearestBy(by, code, x[8*k:8*k+8], w[8*k:8*k+8], d, shifts[k])
		}
		points[k] = uint16(n)
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
func thirds16(points []uint16, x, w []float32, by isa) (d float32, shifts shifts16) {
	if largest(x) < 1e-7 {
		return 0, 0
	}
	var order [16]uint8
	sortedOrder(order[:], x)
	var sums splits16
	for j, i := range order {
		for eight := range sums {
			s := &sums[eight]
			s.x[j+1], s.w[j+1] = s.x[j], s.w[j]
		}
		s := &sums[i/8]
		s.x[j+1] += float32(w[i] * x[i])
		s.w[j+1] += w[i]
	}
	d, from, to, shifts, found := sums.best(by)
	if !found {
		return 0, 0
	}
	var levels [16]uint8
	d, flipped := splitLevels(levels[:], order[:], from, to, d)
	if flipped {
		shifts = 3 - shifts
	}
	v := shifts.values()
	return roundLevels(points, levels[:], x, w, d, v[:], by), shifts
}

// splits16 are the sums of two eights.
type splits16 [2]prefixSums

// best returns the scale and the places of the best split.
func (sums *splits16) best(by isa) (d float32, from, to int, shifts shifts16, found bool) {
	if by != scalar {
		return sums.vectorBest(by)
	}
	best := float32(-math.MaxFloat32)
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
	return d, from, to, shifts, found
}

// prefixSums are Σ w·x and Σ w over the first elements in order that are in one
// eight, with room for kernels that look at 16 places at once.
type prefixSums struct{ x, w [17 + 15]float32 }

// split returns Σ w·x·v and Σ w·v² for v = shift−1 before i, shift before j and
// shift+1 from there.
func (s *prefixSums) split(i, j int, shift float32) (xv, v2 float32) {
	high := shift + 1
	xv = float32(s.x[16]*high) - (s.x[i] + s.x[j])
	v2 = float32(float32(s.w[16]*high)*high) + float32(s.w[i]*(1-shift-shift)) + float32(s.w[j]*(-1-shift-shift))
	return xv, v2
}
