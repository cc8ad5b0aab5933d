package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot multiplies and adds in four sums, of whole vectors. size is the bytes of an
// element of w, of Go type element, and load how eight of them become a vector.
func dot(name, element string, size int, load func(m Mem, v reg.VecVirtual)) {
	text(name, "(w []"+element+", x []float32) float32", "returns the sum of the products of elements, as many as x has in whole vectors.")
	w, x, n := base("w"), base("x"), length("x")
	const sums = 4
	var sum [sums]reg.VecVirtual
	for i := range sum {
		sum[i] = zero()
	}
	step := func(i int) {
		v := YMM()
		load(Mem{Base: w, Disp: i * size * lanes}, v)
		VFMADD231PS(Mem{Base: x, Disp: i * 4 * lanes}, v, sum[i])
	}
	SHRQ(Imm(3), n)
	many := GP64()
	MOVQ(n, many)
	SHRQ(Imm(2), many)
	ANDQ(Imm(sums-1), n)
	loop("many", many, func() {
		for i := range sums {
			step(i)
		}
		ADDQ(U32(sums*size*lanes), w)
		ADDQ(U32(sums*4*lanes), x)
	})
	loop("one", n, func() {
		step(0)
		ADDQ(U32(size*lanes), w)
		ADDQ(Imm(4*lanes), x)
	})
	VADDPS(sum[1], sum[0], sum[0])
	VADDPS(sum[3], sum[2], sum[2])
	VADDPS(sum[2], sum[0], sum[0])
	total := across(sum[0], VADDPS)
	Store(total, ReturnIndex(0))
	end()
}

// across combines the lanes of a vector into the first.
func across(v reg.VecVirtual, combine func(...Op)) reg.VecVirtual {
	half, other := XMM(), XMM()
	VEXTRACTF128(Imm(1), v, half)
	combine(v.AsX(), half, half)
	VPERMILPS(Imm(0b01_00_11_10), half, other)
	combine(other, half, half)
	VPERMILPS(Imm(0b10_11_00_01), half, other)
	combine(other, half, half)
	return half
}

func fromF32(m Mem, v reg.VecVirtual) { VMOVUPS(m, v) }

func fromF16(m Mem, v reg.VecVirtual) { VCVTPH2PS(m, v) }

func fromBF16(m Mem, v reg.VecVirtual) {
	VPMOVZXWD(m, v)
	VPSLLD(Imm(16), v, v)
}
