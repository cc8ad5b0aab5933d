package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// simple writes the kernels of the formats that round every element once.
func (v isa) simple() {
	v.magnitudes()
	v.sumMagnitudes()
	v.notNegative()
	v.groups("roundAway", "(q *[256]uint8, x []float32, by *[16]float32, plus uint32)",
		"sets q to the low bytes of roundAway(x·by) + plus, by one for each 16 of the 256 elements.",
		[]string{"by"}, func() rounding {
			plus := v.broadcast("plus")
			return func(x reg.VecVirtual, per []reg.VecVirtual) {
				VMULPS(per[0], x, x)
				truncateAway(v, x)
				VPADDD(plus, x, x)
			}
		})
	v.groups("e2m1Codes", "(q *[256]uint8, x []float32, by *[16]float32)",
		"sets q to the codes of x for scales by, one for each 16 of the 256 elements, whose magnitudes are at most 16·by.",
		[]string{"by"}, func() rounding {
			return func(x reg.VecVirtual, per []reg.VecVirtual) {
				mag, code, middle := v.reg(), v.zero(), v.reg()
				VPAND(bits(magBits), x, mag)
				for _, m := range []float32{0.5, 1.5, 2.5, 3.5, 5, 7, 10} {
					VMULPS(float(m), per[0], middle)
					VPSUBD(v.compare(greater, mag, middle), code, code)
				}
				negative := v.compare(less, x, v.zero())
				some := v.reg()
				VPCMPGTD(v.zero(), code, some)
				VPAND(some, negative, negative)
				VPAND(bits(8), negative, negative)
				VPOR(negative, code, x)
			}
		})
}

// truncateAway is roundAway of the package.
func truncateAway(v isa, x reg.VecVirtual) {
	half := v.reg()
	VPAND(bits(signBit), x, half)
	VPOR(bits(0x3effffff), half, half)
	VADDPS(half, x, x)
	VCVTTPS2DQ(x, x)
}

func (v isa) magnitudes() {
	v.text("magnitudes", "(most *[16]float32, x []float32)",
		"sets most to the largest magnitude of each 16 of the 256 elements of x; that of a NaN is a NaN.")
	dst := Load(Param("most"), GP64()).(reg.GPVirtual)
	src := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	count := GP64()
	MOVQ(U32(16), count)
	loop("next", count, func() {
		a, b := v.load(Mem{Base: src}), v.load(Mem{Base: src, Disp: 32})
		VPAND(bits(magBits), a, a)
		VPAND(bits(magBits), b, b)
		VPMAXUD(b, a, a)
		fold(a, func(a, b, to reg.VecVirtual) { VPMAXUD(a, b, to) })
		VMOVD(a.AsX(), Mem{Base: dst})
		ADDQ(Imm(64), src)
		ADDQ(Imm(4), dst)
	})
	VZEROUPPER()
	RET()
}

// sumMagnitudes has a block in every lane.
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
			a[i] = v.reg()
			VMOVUPS(Mem{Base: src, Disp: 512 * i}, a[i].AsX())
			VINSERTF128(Imm(1), Mem{Base: upper, Disp: 512 * i}, a[i], a[i])
			VPAND(bits(magBits), a[i], a[i])
		}
		for _, column := range turn(v, a) {
			VADDPS(column, sum, sum)
		}
		ADDQ(Imm(16), src)
		ADDQ(Imm(16), upper)
	})
	VMOVUPS(sum, Mem{Base: dst})
	VZEROUPPER()
	RET()
}

// turn makes four columns of eight of four vectors that have four columns of row
// i and of row i+4.
func turn(v isa, a [4]reg.VecVirtual) [4]reg.VecVirtual {
	var t [4]reg.VecVirtual
	for i := range t {
		t[i] = v.reg()
	}
	VUNPCKLPS(a[1], a[0], t[0])
	VUNPCKHPS(a[1], a[0], t[1])
	VUNPCKLPS(a[3], a[2], t[2])
	VUNPCKHPS(a[3], a[2], t[3])
	VUNPCKLPD(t[2], t[0], a[0])
	VUNPCKHPD(t[2], t[0], a[1])
	VUNPCKLPD(t[3], t[1], a[2])
	VUNPCKHPD(t[3], t[1], a[3])
	return a
}

func (v isa) notNegative() {
	const notLessOrdered = 0x1d
	v.text("notNegative", "(b *[32]byte, x []float32)", "sets bit i of b to whether element i of the 256 of x is at least 0.")
	dst := Load(Param("b"), GP64()).(reg.GPVirtual)
	src := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	count := GP64()
	MOVQ(U32(8), count)
	loop("next", count, func() {
		var l [4]reg.VecVirtual
		for i := range l {
			l[i] = v.compare(notLessOrdered, v.load(Mem{Base: src, Disp: 32 * i}), v.zero())
		}
		mask := GP32()
		VPMOVMSKB(packBytes(v, l), mask)
		MOVL(mask, Mem{Base: dst})
		ADDQ(U32(128), src)
		ADDQ(Imm(4), dst)
	})
	VZEROUPPER()
	RET()
}
