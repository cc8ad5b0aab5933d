//go:build !noasm

package quantize

import "github.com/smelt-project/smelt/tensor"

// A latticeType encodes a block type whose groups the kernels round to points.
type latticeType struct {
	dtype  tensor.DType
	vector blockType // the type with the kernels
	plain  blockType
}

var latticeTypes = []latticeType{
	{tensor.IQ2XXS, typeOfIQ2XXS(latticeVector), iq2_xxs},
	{tensor.IQ2XS, typeOfIQ2XS(latticeVector), iq2_xs},
	{tensor.IQ2S, typeOfIQ2S(latticeVector), iq2_s},
	{tensor.IQ3XXS, typeOfIQ3XXS(latticeVector), iq3_xxs},
	{tensor.IQ3S, typeOfIQ3S(latticeVector), iq3_s},
}

// encoder returns the Encode of the type's codec. Where there is a number that is
// not finite the Go code does it: which of two NaNs a product keeps decides
// about levels, and is up to the compiler.
func (t *latticeType) encoder() func(dst []byte, src, importance []float32) int {
	vector, plain := t.vector.codec(t.dtype, 0).Encode, t.plain.codec(t.dtype, 0).Encode
	return func(dst []byte, src, importance []float32) int {
		if countFinite(src) == len(src) && countFinite(importance) == len(importance) {
			return vector(dst, src, importance)
		}
		return plain(dst, src, importance)
	}
}

// vectorRound is round.
func (t *lattice) vectorRound(points []uint16, which uint8, x, w []float32, inv, d float32) (off uint8) {
	if t.dims == 4 {
		return latticeRound4AVX2(points, which, x, w, inv, d, t.number, t.start, t.near, t.values)
	}
	return latticeRound8AVX2(points, which, x, w, inv, d, t.number, t.start, t.near, t.values)
}
