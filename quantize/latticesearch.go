package quantize

import "math/bits"

// A latticeSearch rounds groups of elements, their signs set apart, to points
// with odd values: |x| ≈ d·v.
type latticeSearch struct {
	by      isa
	lattice func() *lattice
	// negligible is the magnitude below which a group is taken for zeros.
	negligible float32
	// Tried are d = span/(top + step·k), k from −steps to steps, top the largest
	// value of a point and span the largest magnitude, or if levels > 0, base times
	// the scale that positive finds for so many levels.
	steps  int
	step   float32
	levels int32
	// evenSigns: an even number of signs in each eight, so that seven are stored.
	evenSigns bool
	refit     refit
}

// A refit says which points are looked for once more at the best d.
type refit int

const (
	refitOff    refit = iota // those that stand for codes off the lattice
	refitIfOff               // all, unless every code was on the lattice
	refitAlways              // all
)

// group finds d ≥ 0 and sets the numbers of the points and the signs, bit i of
// byte k for element 8k+i. Points are compared with the weights √w, scales with
// w. For a group of zeros everything is 0 and ok is false.
// (ggml-quants.c@d99724f2, quantize_row_iq2_xxs_impl and the like)
func (s *latticeSearch) group(points []uint16, signs []uint8, x, w []float32) (d float32, ok bool) {
	t := s.lattice()
	var magnitudes, rootWeights [32]float32
	mag, root := magnitudes[:len(x)], rootWeights[:len(x)]
	for k := range signs {
		signs[k] = split(mag[8*k:8*k+8], x[8*k:8*k+8])
		if s.evenSigns {
			signs[k] = makeEven(signs[k], mag[8*k:8*k+8], x[8*k:8*k+8], w[8*k:8*k+8])
		}
	}
	for i, v := range w[:len(x)] {
		root[i] = sqrt(v)
	}
	span := mag[0]
	for _, v := range mag[1:] {
		span = larger(span, v)
	}
	top := float32(2*t.base - 1)
	d = span / top
	if span < s.negligible {
		d, span = 0, 0
	} else if s.levels > 0 {
		var q [32]uint8
		d = positive(q[:], mag, w, s.levels)
		span = float32(d * float32(t.base))
	}
	if span <= 0 {
		clear(points)
		clear(signs)
		return 0, false
	}
	d = s.fit(t, points, mag, root, w, span, d)
	if d < 0 {
		d = -d
		for k := range signs {
			signs[k] = ^signs[k]
		}
	}
	if s.evenSigns {
		for k := range signs {
			signs[k] &= 127
		}
	}
	return d, true
}

// fit keeps the points with the greatest (Σ w·x·v)²/Σ w·v² and returns their d,
// or the first d if none has any.
func (s *latticeSearch) fit(t *lattice, points []uint16, x, root, w []float32, span, d float32) float32 {
	var tried [8]uint16
	var best float32
	var off uint8
	if s.refit != refitOff {
		off = 255
	}
	clear(points)
	for k := -s.steps; k <= s.steps; k++ {
		inv := (float32(2*t.base-1) + float32(float32(k)*s.step)) / span
		off1 := s.round(t, tried[:len(points)], 255, x, root, inv, 1/inv)
		sumXV, sumV2 := t.sums(tried[:len(points)], x, w)
		if sumV2 > 0 && float32(sumXV*sumXV) > float32(best*sumV2) {
			d = sumXV / sumV2
			best = float32(d * sumXV)
			off = off1
			copy(points, tried[:])
		}
	}
	if s.refit == refitAlways || s.refit == refitIfOff && off != 0 {
		off = 255
	}
	if off == 0 || !(d > 0) {
		return d
	}
	s.round(t, points, off, x, root, 1/d, d)
	if sumXV, sumV2 := t.sums(points, x, w); sumV2 > 0 {
		d = sumXV / sumV2
	}
	return d
}

func (s *latticeSearch) round(t *lattice, points []uint16, which uint8, x, w []float32, inv, d float32) (off uint8) {
	if s.by == scalar {
		return t.round(points, which, x, w, inv, d)
	}
	return t.vectorRound(s.by, points, which, x, w, inv, d)
}

// nearestBy is nearest.
func (t *lattice) nearestBy(by isa, code int32, x, w []float32, d, shift float32) int32 {
	if by == scalar {
		return t.nearest(code, x, w, d, shift)
	}
	return t.vectorNearest(by, code, x, w, d, shift)
}

// round sets those points that which has a bit for, and returns which of them
// stand for codes off the lattice. inv is 1/d.
func (t *lattice) round(points []uint16, which uint8, x, w []float32, inv, d float32) (off uint8) {
	for k := range points {
		if which>>k&1 == 0 {
			continue
		}
		xk, wk := x[t.dims*k:][:t.dims], w[t.dims*k:][:t.dims]
		n, on := t.point(t.code(xk, inv), xk, wk, d, 0)
		points[k] = uint16(n)
		if !on {
			off |= 1 << k
		}
	}
	return off
}

// sums returns Σ w·x·v and Σ w·v² over the values of the points.
func (t *lattice) sums(points []uint16, x, w []float32) (sumXV, sumV2 float32) {
	for k, n := range points {
		xk, wk := x[t.dims*k:][:t.dims], w[t.dims*k:][:t.dims]
		for i, v := range t.values[int(n)*t.dims:][:t.dims] {
			sumXV += float32(float32(wk[i]*xk[i]) * v)
			sumV2 += float32(float32(wk[i]*v) * v)
		}
	}
	return sumXV, sumV2
}

// split sets mag to |x| and returns the signs of the eight elements.
func split(mag, x []float32) (signs uint8) {
	for i, v := range x {
		mag[i] = v
		if !(v >= 0) {
			mag[i] = -v
			signs |= 1 << i
		}
	}
	return signs
}

// makeEven flips the sign that costs least, w·x², if the number of signs is odd;
// its magnitude becomes negative.
func makeEven(signs uint8, mag, x, w []float32) uint8 {
	if bits.OnesCount8(signs)%2 == 0 {
		return signs
	}
	at, least := 0, float32(float32(w[0]*x[0])*x[0])
	for i := 1; i < 8; i++ {
		if loss := float32(float32(w[i]*x[i]) * x[i]); loss < least {
			at, least = i, loss
		}
	}
	mag[at] = -mag[at]
	return signs ^ 1<<at
}

// withParity adds the eighth sign to seven.
func withParity(signs uint8) uint8 {
	return signs | uint8(bits.OnesCount8(signs)&1)<<7
}

// fourBitScales sets s to the nearest of (2s+1)·most/31, s ∈ [0, 15], for each d.
func fourBitScales(s []uint8, d []float32, most float32) {
	inv := 1 / (most / 31)
	for j, v := range d {
		s[j] = uint8(clamp(nearest(float32(0.5*(float32(inv*v)-1))), 0, 15))
	}
}

// decodePoint sets x to ±d·v.
func decodePoint(x []float32, v []float32, signs uint8, d float32) {
	v = v[:len(x)]
	for i := range x {
		x[i] = float32(d * v[i])
		if signs>>i&1 != 0 {
			x[i] = -x[i]
		}
	}
}
