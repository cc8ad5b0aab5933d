package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot multiplies and adds in four sums, of whole vectors. size is the bytes of an
// element of w, of Go type element, and load how eight of them become a vector.
func (v isa) dot(name, element string, size int, load func(m Mem, to reg.VecVirtual)) {
	v.text(name, "(w []"+element+", x []float32) float32", "returns the sum of the products of elements, as many as x has in whole vectors.")
	w, x, n := base("w"), base("x"), length("x")
	const sums = 4
	var sum [sums]reg.VecVirtual
	for i := range sum {
		sum[i] = v.zero()
	}
	step := func(i int) {
		f := v.reg()
		load(Mem{Base: w, Disp: i * size * v.lanes}, f)
		VFMADD231PS(Mem{Base: x, Disp: i * v.bytes()}, f, sum[i])
	}
	v.vectors(n)
	many := GP64()
	MOVQ(n, many)
	SHRQ(Imm(2), many)
	ANDQ(Imm(sums-1), n)
	loop("many", many, func() {
		for i := range sums {
			step(i)
		}
		ADDQ(U32(sums*size*v.lanes), w)
		ADDQ(U32(sums*v.bytes()), x)
	})
	loop("one", n, func() {
		step(0)
		ADDQ(U32(size*v.lanes), w)
		ADDQ(U32(v.bytes()), x)
	})
	VADDPS(sum[1], sum[0], sum[0])
	VADDPS(sum[3], sum[2], sum[2])
	VADDPS(sum[2], sum[0], sum[0])
	Store(v.across(sum[0], VADDPS), ReturnIndex(0))
	end()
}

// vectors divides a number of elements by those of a vector.
func (v isa) vectors(n reg.GPVirtual) { SHRQ(Imm(v.shift), n) }

// across combines the lanes of a vector into the first.
func (v isa) across(x reg.VecVirtual, combine func(...Op)) reg.VecVirtual {
	if v.lanes == 16 {
		upper := YMM()
		VEXTRACTF64X4(Imm(1), x, upper)
		combine(x.AsY(), upper, upper)
		x = upper
	}
	half, other := XMM(), XMM()
	VEXTRACTF128(Imm(1), x.AsY(), half)
	combine(x.AsX(), half, half)
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
