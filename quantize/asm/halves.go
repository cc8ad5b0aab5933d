package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A conversion is one between float32 and a format of half the size, 16
// elements at a time.
type conversion struct {
	name, signature, doc string
	from, to             int // bytes of an element
	// check leaves the loop if the elements at src are not for step.
	check func(v isa, src reg.GPVirtual)
	step  func(v isa, dst, src reg.GPVirtual)
}

var conversions = []conversion{
	{"f16FromF32", "(dst []byte, src []float32) (done int)", narrowDoc + "whose half is not finite.", 4, 2, stopAbove(0x477fefff), toF16},
	{"f16FromF32Bytes", "(dst, src []byte) (done int)", narrowDoc + "whose half is not finite.", 4, 2, stopAbove(0x477fefff), toF16},
	{"bf16FromF32", "(dst []byte, src []float32) (done int)", narrowDoc + "whose bfloat16 is not finite.", 4, 2, stopAbove(0x7f7f7fff), toBF16},
	{"f32FromF16", "(dst []float32, src []byte) (done int)", narrowDoc + "that is a NaN.", 2, 4, stopAtNaN, fromF16},
	{"f32FromBF16", "(dst []float32, src []byte) (done int)", "converts elements by 16 and returns how many it has done.", 2, 4, nil, fromBF16},
}

const narrowDoc = "converts elements by 16 and returns how many it has done: it stops before 16 with one "

func (v isa) halves() {
	for _, c := range conversions {
		v.text(c.name, c.signature, c.doc)
		dst := Load(Param("dst").Base(), GP64()).(reg.GPVirtual)
		src := Load(Param("src").Base(), GP64()).(reg.GPVirtual)
		n := Load(Param("src").Len(), GP64()).(reg.GPVirtual)
		if c.signature == "(dst, src []byte) (done int)" {
			SHRQ(Imm(2), n)
		}
		if c.from == 2 {
			SHRQ(Imm(1), n)
		}
		done := GP64()
		XORQ(done, done)
		Label("next")
		left := GP64()
		MOVQ(n, left)
		SUBQ(done, left)
		CMPQ(left, Imm(16))
		JLT(LabelRef("end"))
		if c.check != nil {
			c.check(v, src)
		}
		c.step(v, dst, src)
		ADDQ(Imm(uint64(16*c.from)), src)
		ADDQ(Imm(uint64(16*c.to)), dst)
		ADDQ(Imm(16), done)
		JMP(LabelRef("next"))
		Label("end")
		Store(done, ReturnIndex(0))
		VZEROUPPER()
		RET()
	}
}

// stopAbove leaves the loop if a magnitude has larger bits than most.
func stopAbove(most uint32) func(isa, reg.GPVirtual) {
	return func(v isa, src reg.GPVirtual) {
		a, b := v.reg(), v.reg()
		VMOVUPS(bits(magBits), a)
		VPAND(Mem{Base: src, Disp: 32}, a, b)
		VPAND(Mem{Base: src}, a, a)
		VPMAXUD(b, a, a)
		VPCMPGTD(bits(most), a, a)
		stopIfAny(a)
	}
}

func stopIfAny(mask reg.VecVirtual) {
	VPTEST(mask, mask)
	JNZ(LabelRef("end"))
}

func stopAtNaN(v isa, src reg.GPVirtual) {
	a := v.load(Mem{Base: src})
	VPAND(bits(0x7fff7fff), a, a)
	VPCMPGTW(bits(0x7c007c00), a, a)
	stopIfAny(a)
}

func toF16(v isa, dst, src reg.GPVirtual) {
	for i := range 2 {
		a := v.load(Mem{Base: src, Disp: 32 * i})
		VCVTPS2PH(Imm(0), a, Mem{Base: dst, Disp: 16 * i})
	}
}

func fromF16(v isa, dst, src reg.GPVirtual) {
	for i := range 2 {
		a := v.reg()
		VCVTPH2PS(Mem{Base: src, Disp: 16 * i}, a)
		VMOVUPS(a, Mem{Base: dst, Disp: 32 * i})
	}
}

func fromBF16(v isa, dst, src reg.GPVirtual) {
	for i := range 2 {
		a := v.reg()
		VPMOVZXWD(Mem{Base: src, Disp: 16 * i}, a)
		VPSLLD(Imm(16), a, a)
		VMOVUPS(a, Mem{Base: dst, Disp: 32 * i})
	}
}

func toBF16(v isa, dst, src reg.GPVirtual) {
	var part [2]reg.VecVirtual
	for i := range part {
		a := v.load(Mem{Base: src, Disp: 32 * i})
		odd := v.reg()
		VPSRLD(Imm(16), a, odd)
		VPAND(bits(1), odd, odd)
		VPADDD(bits(0x7fff), a, a)
		VPADDD(odd, a, a)
		VPSRLD(Imm(16), a, a)
		part[i] = a
	}
	VPACKUSDW(part[1], part[0], part[0])
	VPERMQ(Imm(0b11_01_10_00), part[0], part[0])
	VMOVDQU(part[0], Mem{Base: dst})
}
