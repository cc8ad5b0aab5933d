//go:build !noasm

package quantize

import "github.com/smelt-project/smelt/tensor"

// A latticeType encodes a block type whose groups the kernels round to points.
type latticeType struct {
	dtype tensor.DType
	with  func(isa) blockType
}

var latticeTypes = []latticeType{
	{tensor.IQ1S, typeOfIQ1S},
	{tensor.IQ1M, typeOfIQ1M},
	{tensor.IQ2XXS, typeOfIQ2XXS},
	{tensor.IQ2XS, typeOfIQ2XS},
	{tensor.IQ2S, typeOfIQ2S},
	{tensor.IQ3XXS, typeOfIQ3XXS},
	{tensor.IQ3S, typeOfIQ3S},
}

// encoder returns the Encode of the type's codec. Where there is a number that is
// not finite the Go code does it: which of two NaNs a product keeps decides
// about levels, and is up to the compiler.
func (t *latticeType) encoder(v isa) func(dst []byte, src, importance []float32) int {
	vector, plain := t.with(v).codec(t.dtype, 0).Encode, t.with(scalar).codec(t.dtype, 0).Encode
	return func(dst []byte, src, importance []float32) int {
		if countFinite(src) == len(src) && countFinite(importance) == len(importance) {
			return vector(dst, src, importance)
		}
		return plain(dst, src, importance)
	}
}

// vectorRound is round.
func (t *lattice) vectorRound(v isa, points []uint16, which uint8, x, w []float32, inv, d float32) (off uint8) {
	if t.dims == 4 {
		return v.latticeRound4(points, which, x, w, inv, d, t.number, t.start, t.near, t.values)
	}
	return v.latticeRound8(points, which, x, w, inv, d, t.number, t.start, t.near, t.values)
}

// vectorBest is best.
func (s *splits32) vectorBest(v isa) (d float32, from, to int, shift float32) {
	for i := 33; i < len(s.x); i++ {
		s.x[i], s.w[i] = s.x[32], s.w[32]
	}
	d, from, to, way := v.splits32(&s.x[0])
	return d, from / 4, to / 4, [...]float32{0, shift1, -shift1}[way]
}

// vectorBest is best.
func (sums *splits16) vectorBest(v isa) (d float32, from, to int, shifts shifts16, found bool) {
	for eight := range sums {
		s := &sums[eight]
		for i := 17; i < len(s.x); i++ {
			s.x[i], s.w[i] = s.x[16], s.w[16]
		}
	}
	d, from, to, way := v.splits16(&sums[0].x[0])
	return d, from / 4, to / 4, shifts16(max(way-1, 0)), way > 0
}

// vectorNearest is nearest, for points of eight dimensions.
func (t *lattice) vectorNearest(v isa, code int32, x, w []float32, d, shift float32) int32 {
	return int32(v.latticeNear8(int(code), x, w, d, shift, t.start, t.near, t.values))
}
