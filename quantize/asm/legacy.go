package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A legacyType is a format of blocks of 32 whose levels need no search.
type legacyType struct {
	name  string
	bytes int
	block func(v isa, dst, src reg.GPVirtual, x, mag [4]reg.VecVirtual, most reg.VecVirtual)
}

var legacyTypes = []legacyType{
	{"encodeQ8_0", 34, encodeQ8_0},
	{"encodeQ4_0", 18, encodeSigned(8)},
	{"encodeQ5_0", 22, encodeSigned(16)},
	{"encodeQ4_1", 20, encodeAffine(15)},
	{"encodeQ5_1", 24, encodeAffine(31)},
}

const maxHalfBits = 0x477fe000 // float32 bits of 65504

func (v isa) legacy() {
	for _, t := range legacyTypes {
		v.text(t.name, "(dst []byte, src []float32) (done int)",
			"packs blocks of src and returns how many: it stops before one that is for the Go code, as it has a magnitude above 65504, a NaN or, in formats with a minimum, the minimum zero.")
		dst := Load(Param("dst").Base(), GP64()).(reg.GPVirtual)
		src := Load(Param("src").Base(), GP64()).(reg.GPVirtual)
		n := Load(Param("src").Len(), GP64()).(reg.GPVirtual)
		SHRQ(Imm(5), n)
		done := GP64()
		XORQ(done, done)
		Label("next")
		CMPQ(done, n)
		JGE(LabelRef("end"))
		var x, mag [4]reg.VecVirtual
		for i := range x {
			x[i] = v.load(Mem{Base: src, Disp: 32 * i})
			mag[i] = v.reg()
			VPAND(bits(magBits), x[i], mag[i])
		}
		most, m := v.reg(), v.reg()
		VPMAXUD(mag[0], mag[1], most)
		VPMAXUD(mag[2], mag[3], m)
		VPMAXUD(m, most, most)
		fold(most, func(a, b, to reg.VecVirtual) { VPMAXUD(a, b, to) })
		largest := GP32()
		VMOVD(most.AsX(), largest)
		CMPL(largest, U32(maxHalfBits))
		JA(LabelRef("end"))
		t.block(v, dst, src, x, mag, most)
		ADDQ(Imm(128), src)
		ADDQ(Imm(uint64(t.bytes)), dst)
		INCQ(done)
		JMP(LabelRef("next"))
		Label("end")
		Store(done, ReturnIndex(0))
		VZEROUPPER()
		RET()
	}
}

// fold leaves op over all eight elements of a in each of them.
func fold(a reg.VecVirtual, op func(a, b, to reg.VecVirtual)) {
	b := YMM()
	VPERMQ(Imm(0b01_00_11_10), a, b)
	op(a, b, a)
	VPSHUFD(Imm(0b01_00_11_10), a, b)
	op(a, b, a)
	VPSHUFD(Imm(0b10_11_00_01), a, b)
	op(a, b, a)
}

// inverseOf returns 1/d, or 0 for 0, in all lanes.
func inverseOf(v isa, d reg.VecVirtual) reg.VecVirtual {
	inv := XMM()
	VMOVUPS(float(1).Offset(0), inv)
	VDIVSS(d.AsX(), inv, inv)
	zero, some := XMM(), XMM()
	VXORPS(zero, zero, zero)
	VCMPSS(Imm(notEqual), zero, d.AsX(), some)
	VANDPS(some, inv, inv)
	all := v.reg()
	VBROADCASTSS(inv, all)
	return all
}

// putHalf stores the half of the first element of d.
func putHalf(d reg.VecVirtual, to Mem) {
	h := XMM()
	VCVTPS2PH(Imm(0), d.AsX(), h)
	VPEXTRW(Imm(0), h, to)
}

// packBytes returns the lowest bytes of the 32 elements of l in their order.
func packBytes(v isa, l [4]reg.VecVirtual) reg.VecVirtual {
	for i := range l {
		VPAND(bits(255), l[i], l[i])
	}
	VPACKUSDW(l[1], l[0], l[0])
	VPACKUSDW(l[3], l[2], l[2])
	VPACKUSWB(l[2], l[0], l[0])
	VPERMD(l[0], v.load(unpackOrder()), l[0])
	return l[0]
}

// unpackOrder undoes the order in which the packing instructions leave groups of
// four bytes.
func unpackOrder() Mem { return vector([8]uint32{0, 4, 1, 5, 2, 6, 3, 7}) }

func encodeQ8_0(v isa, dst, _ reg.GPVirtual, x, _ [4]reg.VecVirtual, most reg.VecVirtual) {
	d := v.reg()
	VDIVSS(float(127).Offset(0), most.AsX(), d.AsX())
	putHalf(d, Mem{Base: dst})
	inv := inverseOf(v, d)
	for i := range x {
		VMULPS(inv, x[i], x[i])
		truncateAway(v, x[i])
	}
	VMOVDQU(packBytes(v, x), Mem{Base: dst, Disp: 2})
}

func encodeSigned(n int) func(isa, reg.GPVirtual, reg.GPVirtual, [4]reg.VecVirtual, [4]reg.VecVirtual, reg.VecVirtual) {
	return func(v isa, dst, src reg.GPVirtual, x, mag [4]reg.VecVirtual, most reg.VecVirtual) {
		for i := range mag {
			VPCMPEQD(most, mag[i], mag[i])
		}
		first, mask := GP64(), GP32()
		VPMOVMSKB(packBytes(v, mag), mask)
		XORQ(first, first)
		BSFL(mask, first.As32())
		d, zero, some := v.reg(), XMM(), XMM()
		VMOVSS(Mem{Base: src, Index: first, Scale: 4}, d.AsX())
		VXORPS(zero, zero, zero)
		VCMPSS(Imm(notEqual), zero, most.AsX(), some)
		VANDPS(some, d.AsX(), d.AsX())
		VDIVSS(float(-float32(n)).Offset(0), d.AsX(), d.AsX())
		putHalf(d, Mem{Base: dst})
		inv := inverseOf(v, d)
		for i := range x {
			VMULPS(inv, x[i], x[i])
			VADDPS(float(float32(n)+0.5), x[i], x[i])
			toLevel(x[i], 2*n-1)
		}
		putLevels(v, packBytes(v, x), dst, 2, n == 16)
	}
}

// toLevel truncates x to an integer, takes its lowest byte as a signed number
// and limits that to top.
func toLevel(x reg.VecVirtual, top int) {
	VCVTTPS2DQ(x, x)
	VPSLLD(Imm(24), x, x)
	VPSRAD(Imm(24), x, x)
	VPMINSD(bits(uint32(top)), x, x)
}

// putLevels stores 32 levels as the package's putLevels does, at at in dst.
func putLevels(v isa, q reg.VecVirtual, dst reg.GPVirtual, at int, fifth bool) {
	if fifth {
		h, mask := v.reg(), GP32()
		VPSLLW(Imm(3), q, h)
		VPMOVMSKB(h, mask)
		MOVL(mask, Mem{Base: dst, Disp: at})
		at += 4
	}
	VPAND(bits(0x0f0f0f0f), q, q)
	high := XMM()
	VEXTRACTI128(Imm(1), q, high)
	VPSLLW(Imm(4), high, high)
	VPOR(high, q.AsX(), q.AsX())
	VMOVDQU(q.AsX(), Mem{Base: dst, Disp: at})
}

func encodeAffine(top int) func(isa, reg.GPVirtual, reg.GPVirtual, [4]reg.VecVirtual, [4]reg.VecVirtual, reg.VecVirtual) {
	return func(v isa, dst, _ reg.GPVirtual, x, _ [4]reg.VecVirtual, _ reg.VecVirtual) {
		low, high, t := v.reg(), v.reg(), v.reg()
		VMINPS(x[0], x[1], low)
		VMINPS(x[2], x[3], t)
		VMINPS(t, low, low)
		fold(low, func(a, b, to reg.VecVirtual) { VMINPS(a, b, to) })
		VMAXPS(x[0], x[1], high)
		VMAXPS(x[2], x[3], t)
		VMAXPS(t, high, high)
		fold(high, func(a, b, to reg.VecVirtual) { VMAXPS(a, b, to) })
		// The first of zeros of both signs would be the minimum.
		zero := XMM()
		VXORPS(zero, zero, zero)
		VUCOMISS(zero, low.AsX())
		JEQ(LabelRef("end"))
		d := v.reg()
		VSUBSS(low.AsX(), high.AsX(), d.AsX())
		VDIVSS(float(float32(top)).Offset(0), d.AsX(), d.AsX())
		putHalf(d, Mem{Base: dst})
		putHalf(low, Mem{Base: dst, Disp: 2})
		inv := inverseOf(v, d)
		for i := range x {
			VSUBPS(low, x[i], x[i])
			VMULPS(inv, x[i], x[i])
			VADDPS(float(0.5), x[i], x[i])
			toLevel(x[i], top)
		}
		putLevels(v, packBytes(v, x), dst, 4, top == 31)
	}
}
