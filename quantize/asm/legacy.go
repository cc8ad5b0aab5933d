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
	block func(v isa, dst, src reg.GPVirtual, x, mag []reg.VecVirtual, most reg.VecVirtual)
}

var legacyTypes = []legacyType{
	{"encodeQ8_0", 34, encodeQ8_0},
	{"encodeQ4_0", 18, encodeSigned(8)},
	{"encodeQ5_0", 22, encodeSigned(16)},
	{"encodeQ4_1", 20, encodeAffine(15)},
	{"encodeQ5_1", 24, encodeAffine(31)},
}

func maxBits(a, b, to Op) { VPMAXUD(a, b, to) }

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
		var x, mag []reg.VecVirtual
		for i := range 32 / v.width {
			x, mag = append(x, v.load(Mem{Base: src, Disp: i * v.bytes()})), append(mag, v.reg())
			v.abs(x[i], mag[i])
		}
		most := v.reduce(mag, maxBits)
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

// inverseOf returns 1/d, or 0 for 0, in all lanes.
func inverseOf(v isa, d reg.VecVirtual) reg.VecVirtual {
	inv := XMM()
	VMOVSS(float(1).scalar(), inv)
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

func encodeQ8_0(v isa, dst, _ reg.GPVirtual, x, _ []reg.VecVirtual, most reg.VecVirtual) {
	d := v.reg()
	VDIVSS(float(127).scalar(), most.AsX(), d.AsX())
	putHalf(d, Mem{Base: dst})
	inv := inverseOf(v, d)
	for i := range x {
		VMULPS(inv, x[i], x[i])
		v.truncateAway(x[i])
	}
	VMOVDQU(v.packBytes(x), Mem{Base: dst, Disp: 2})
}

func encodeSigned(n int) func(isa, reg.GPVirtual, reg.GPVirtual, []reg.VecVirtual, []reg.VecVirtual, reg.VecVirtual) {
	return func(v isa, dst, src reg.GPVirtual, x, mag []reg.VecVirtual, most reg.VecVirtual) {
		var largest []mask
		for _, m := range mag {
			largest = append(largest, v.equalInt(m, most))
		}
		first := GP64()
		XORQ(first, first)
		BSFL(v.bitsOf32(largest), first.As32())
		d, zero, some := v.reg(), XMM(), XMM()
		VMOVSS(Mem{Base: src, Index: first, Scale: 4}, d.AsX())
		VXORPS(zero, zero, zero)
		VCMPSS(Imm(notEqual), zero, most.AsX(), some)
		VANDPS(some, d.AsX(), d.AsX())
		VDIVSS(float(-float32(n)).scalar(), d.AsX(), d.AsX())
		putHalf(d, Mem{Base: dst})
		inv := inverseOf(v, d)
		for i := range x {
			VMULPS(inv, x[i], x[i])
			v.add(float(float32(n)+0.5), x[i], x[i])
			v.toLevel(x[i], 2*n-1)
		}
		putLevels(v.packBytes(x), dst, 2, n == 16)
	}
}

// toLevel truncates x to an integer, takes its lowest byte as a signed number
// and limits that to top.
func (v isa) toLevel(x reg.VecVirtual, top int) {
	VCVTTPS2DQ(x, x)
	VPSLLD(Imm(24), x, x)
	VPSRAD(Imm(24), x, x)
	v.minInt(bits(uint32(top)), x, x)
}

// putLevels stores 32 levels as the package's putLevels does, at at in dst.
func putLevels(q reg.VecVirtual, dst reg.GPVirtual, at int, fifth bool) {
	if fifth {
		h, mask := YMM(), GP32()
		VPSLLW(Imm(3), q, h)
		VPMOVMSKB(h, mask)
		MOVL(mask, Mem{Base: dst, Disp: at})
		at += 4
	}
	avx2.and(bits(0x0f0f0f0f), q, q)
	high := XMM()
	VEXTRACTI128(Imm(1), q, high)
	VPSLLW(Imm(4), high, high)
	VPOR(high, q.AsX(), q.AsX())
	VMOVDQU(q.AsX(), Mem{Base: dst, Disp: at})
}

func encodeAffine(top int) func(isa, reg.GPVirtual, reg.GPVirtual, []reg.VecVirtual, []reg.VecVirtual, reg.VecVirtual) {
	return func(v isa, dst, _ reg.GPVirtual, x, _ []reg.VecVirtual, _ reg.VecVirtual) {
		low := v.reduce(x, func(a, b, to Op) { VMINPS(a, b, to) })
		high := v.reduce(x, func(a, b, to Op) { VMAXPS(a, b, to) })
		// The first of zeros of both signs would be the minimum.
		zero := XMM()
		VXORPS(zero, zero, zero)
		VUCOMISS(zero, low.AsX())
		JEQ(LabelRef("end"))
		d := v.reg()
		VSUBSS(low.AsX(), high.AsX(), d.AsX())
		VDIVSS(float(float32(top)).scalar(), d.AsX(), d.AsX())
		putHalf(d, Mem{Base: dst})
		putHalf(low, Mem{Base: dst, Disp: 2})
		inv := inverseOf(v, d)
		for i := range x {
			VSUBPS(low, x[i], x[i])
			VMULPS(inv, x[i], x[i])
			v.add(float(0.5), x[i], x[i])
			v.toLevel(x[i], top)
		}
		putLevels(v.packBytes(x), dst, 4, top == 31)
	}
}
