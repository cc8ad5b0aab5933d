// Package quantizetest makes rows that are hard to quantize: they meet the ties,
// the zeros, the ends of the range and the special cases of the searches.
package quantizetest

import (
	"math"
	"math/rand/v2"
)

// A Generator fills rows with one kind of numbers.
type Generator struct {
	Name string
	Fill func(r *rand.Rand, x []float32)
	// Extreme: squares or sums of the numbers may not be finite, or their
	// inverses. ggml aborts on some of these in the IQ types.
	Extreme bool
	// Payloads: there are NaNs of any kind among the numbers, and which of two a
	// sum keeps is up to the processor.
	Payloads bool
}

// Generators are all kinds, ordinary ones first.
var Generators = []Generator{
	{Name: "normal", Fill: normal},
	{Name: "small normal", Fill: scaled(normal, 0.02)},
	{Name: "bfloat16", Fill: bfloat16},
	{Name: "zeros", Fill: constant(func(*rand.Rand) float32 { return 0 })},
	{Name: "constants", Fill: constant(normalOne)},
	{Name: "constants and their neighbours", Fill: neighbours},
	{Name: "ties", Fill: ties},
	{Name: "outliers", Fill: outliers},
	{Name: "sparse", Fill: sparse},
	{Name: "unequal groups", Fill: unequal},
	{Name: "one sign", Fill: oneSign},
	{Name: "two values", Fill: twoValues},
	{Name: "zero groups", Fill: zeroGroups},
	{Name: "negative zeros", Fill: negativeZeros},
	{Name: "subnormals", Fill: subnormals, Extreme: true},
	{Name: "any scale", Fill: anyScale, Extreme: true},
	{Name: "any finite bits", Fill: finiteBits, Extreme: true},
	{Name: "largest floats", Fill: largest, Extreme: true},
	{Name: "any bits", Fill: func(r *rand.Rand, x []float32) {
		for i := range x {
			x[i] = math.Float32frombits(r.Uint32())
		}
	}, Extreme: true, Payloads: true},
	{Name: "infinities and NaNs", Fill: nonFinite, Extreme: true},
}

// Importance fills w with weights of columns as an importance matrix has them:
// positive, over some orders of magnitude, now and then zero.
func Importance(r *rand.Rand, w []float32) {
	for i := range w {
		w[i] = float32(math.Exp(2 * r.NormFloat64()))
		if r.IntN(50) == 0 {
			w[i] = 0
		}
	}
}

func normalOne(r *rand.Rand) float32 { return float32(r.NormFloat64()) }

func normal(r *rand.Rand, x []float32) {
	for i := range x {
		x[i] = normalOne(r)
	}
}

func scaled(fill func(*rand.Rand, []float32), by float32) func(*rand.Rand, []float32) {
	return func(r *rand.Rand, x []float32) {
		fill(r, x)
		for i := range x {
			x[i] *= by
		}
	}
}

func constant(value func(*rand.Rand) float32) func(*rand.Rand, []float32) {
	return func(r *rand.Rand, x []float32) {
		c := value(r)
		for i := range x {
			x[i] = c
		}
	}
}

func bfloat16(r *rand.Rand, x []float32) {
	for i := range x {
		x[i] = math.Float32frombits(math.Float32bits(0.02*normalOne(r)) &^ 0xffff)
	}
}

func neighbours(r *rand.Rand, x []float32) {
	c := math.Float32bits(normalOne(r))
	for i := range x {
		x[i] = math.Float32frombits(c + uint32(r.IntN(9)) - 4)
	}
}

// ties are multiples of half a step of small grids.
func ties(r *rand.Rand, x []float32) {
	step := float32(math.Ldexp(1, r.IntN(8)-6))
	n := 1 << (2 + r.IntN(6))
	for i := range x {
		x[i] = step * float32(r.IntN(2*n+1)-n) / 2
	}
}

func outliers(r *rand.Rand, x []float32) {
	normal(r, x)
	for range 1 + len(x)/100 {
		x[r.IntN(len(x))] *= float32(math.Exp(3 + 3*r.Float64()))
	}
}

func sparse(r *rand.Rand, x []float32) {
	clear(x)
	for range 1 + len(x)/40 {
		x[r.IntN(len(x))] = normalOne(r)
	}
}

func unequal(r *rand.Rand, x []float32) {
	normal(r, x)
	for g := 0; g < len(x); g += 16 {
		by := float32(math.Exp(4 * r.NormFloat64()))
		for i := g; i < min(g+16, len(x)); i++ {
			x[i] *= by
		}
	}
}

func oneSign(r *rand.Rand, x []float32) {
	sign := float32(1 - 2*r.IntN(2))
	for i := range x {
		x[i] = sign * (3 + normalOne(r)*normalOne(r))
	}
}

func twoValues(r *rand.Rand, x []float32) {
	v := [2]float32{normalOne(r), normalOne(r)}
	for i := range x {
		x[i] = v[r.IntN(2)]
	}
}

func zeroGroups(r *rand.Rand, x []float32) {
	normal(r, x)
	for g := 0; g < len(x); g += 16 {
		if r.IntN(2) == 0 {
			clear(x[g:min(g+16, len(x))])
		}
	}
}

func negativeZeros(r *rand.Rand, x []float32) {
	for i := range x {
		x[i] = float32(math.Copysign(0, r.NormFloat64()))
		if r.IntN(20) == 0 {
			x[i] = normalOne(r)
		}
	}
}

func subnormals(r *rand.Rand, x []float32) {
	for i := range x {
		x[i] = math.Float32frombits(r.Uint32() & (1<<31 | 0x7fffff>>r.IntN(24)))
	}
}

func anyScale(r *rand.Rand, x []float32) {
	exp := r.IntN(277) - 149
	for i := range x {
		x[i] = float32(math.Ldexp(r.Float64()*2-1, exp))
	}
}

func finiteBits(r *rand.Rand, x []float32) {
	for i := range x {
		for {
			x[i] = math.Float32frombits(r.Uint32())
			if x[i]-x[i] == 0 {
				break
			}
		}
	}
}

func largest(r *rand.Rand, x []float32) {
	for i := range x {
		x[i] = float32(math.Copysign(math.MaxFloat32, r.NormFloat64()))
	}
}

func nonFinite(r *rand.Rand, x []float32) {
	normal(r, x)
	for range 1 + len(x)/64 {
		x[r.IntN(len(x))] = float32([]float64{math.Inf(1), math.Inf(-1), math.NaN()}[r.IntN(3)])
	}
}
