package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// simple writes the kernels of the formats that round every element once.
func (v isa) simple() {
	if v == avx2 { // 16 elements, and eight blocks, are not more for AVX-512
		v.magnitudes()
		v.sumMagnitudes()
	}
	v.notNegative()
	v.groups("roundAway", "(q *[256]uint8, x []float32, by *[16]float32, plus uint32)",
		"sets q to the low bytes of roundAway(x·by) + plus, by one for each 16 of the 256 elements.",
		[]string{"by"}, func() rounding {
			plus := v.broadcast("plus")
			return func(x reg.VecVirtual, per []reg.VecVirtual) {
				VMULPS(per[0], x, x)
				v.truncateAway(x)
				VPADDD(plus, x, x)
			}
		})
	v.groups("e2m1Codes", "(q *[256]uint8, x []float32, by *[16]float32)",
		"sets q to the codes of x for scales by, one for each 16 of the 256 elements, whose magnitudes are at most 16·by.",
		[]string{"by"}, func() rounding {
			return func(x reg.VecVirtual, per []reg.VecVirtual) {
				mag, code, middle := v.reg(), v.zero(), v.reg()
				v.abs(x, mag)
				for _, m := range []float32{0.5, 1.5, 2.5, 3.5, 5, 7, 10} {
					v.mul(float(m), per[0], middle)
					v.increment(v.compare(greater, mag, middle), code)
				}
				negative := v.compare(less, x, v.zero())
				v.intersect(negative, v.greaterInt(code, v.zero()))
				v.set(negative, bits(8), code)
				VMOVAPS(code, x)
			}
		})
}

func (v isa) magnitudes() {
	v.text("magnitudes", "(most *[16]float32, x []float32)",
		"sets most to the largest magnitude of each 16 of the 256 elements of x; that of a NaN is a NaN.")
	dst := Load(Param("most"), GP64()).(reg.GPVirtual)
	src := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	count := GP64()
	MOVQ(U32(16), count)
	loop("next", count, func() {
		var mag []reg.VecVirtual
		for i := range 16 / v.width {
			a := v.load(Mem{Base: src, Disp: i * v.bytes()})
			v.abs(a, a)
			mag = append(mag, a)
		}
		VMOVD(v.reduce(mag, maxBits).AsX(), Mem{Base: dst})
		ADDQ(Imm(64), src)
		ADDQ(Imm(4), dst)
	})
	VZEROUPPER()
	RET()
}

// sumMagnitudes has a block in every lane, of which there are eight.
func (v isa) sumMagnitudes() {
	v.text("sumMagnitudes", "(sum *[8]float32, x []float32)",
		"sets sum to the sums of the magnitudes of eight blocks of 128, from their first element to their last.")
	dst := Load(Param("sum"), GP64()).(reg.GPVirtual)
	src := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	upper, count := GP64(), GP64()
	LEAQ(Mem{Base: src, Disp: 4 * 512}, upper)
	MOVQ(U32(32), count)
	sum := v.zero()
	loop("columns", count, func() {
		var a [4]reg.VecVirtual
		for i := range a {
			a[i] = v.quads(func(q int) Mem { return Mem{Base: []reg.GPVirtual{src, upper}[q], Disp: 512 * i} })
			v.abs(a[i], a[i])
		}
		for _, column := range v.turn(a) {
			VADDPS(column, sum, sum)
		}
		ADDQ(Imm(16), src)
		ADDQ(Imm(16), upper)
	})
	VMOVUPS(sum, Mem{Base: dst})
	VZEROUPPER()
	RET()
}

func (v isa) notNegative() {
	v.text("notNegative", "(b *[32]byte, x []float32)", "sets bit i of b to whether element i of the 256 of x is at least 0.")
	dst := Load(Param("b"), GP64()).(reg.GPVirtual)
	src := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	count := GP64()
	MOVQ(U32(8), count)
	loop("next", count, func() {
		var l []mask
		for i := range 32 / v.width {
			l = append(l, v.compare(greaterOrEqual, v.load(Mem{Base: src, Disp: i * v.bytes()}), v.zero()))
		}
		MOVL(v.bitsOf32(l), Mem{Base: dst})
		ADDQ(U32(128), src)
		ADDQ(Imm(4), dst)
	})
	VZEROUPPER()
	RET()
}
