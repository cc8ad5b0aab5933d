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
		largest, mag := v.load(bits(magBits)), v.load(bits(magBits))
		VANDPS(Mem{Base: src}, largest, largest)
		for p := 1; p < v.parts(); p++ {
			VANDPS(Mem{Base: src, Disp: p * v.bytes()}, mag, mag)
			VPMAXUD(mag, largest, largest)
		}
		v.jumpIfAny(v.greaterInt(largest, bits(most)), "end")
	}
}

// stopAtNaN needs no more than 256 bits.
func stopAtNaN(_ isa, src reg.GPVirtual) {
	a := avx2.load(Mem{Base: src})
	avx2.and(bits(0x7fff7fff), a, a)
	VPCMPGTW(avx2.vector(0x7c007c00), a, a)
	avx2.jumpIfAny(a, "end")
}

func toF16(v isa, dst, src reg.GPVirtual) {
	for p := range v.parts() {
		VCVTPS2PH(Imm(0), v.load(Mem{Base: src, Disp: p * v.bytes()}), Mem{Base: dst, Disp: p * v.bytes() / 2})
	}
}

func fromF16(v isa, dst, src reg.GPVirtual) {
	for p := range v.parts() {
		a := v.reg()
		VCVTPH2PS(Mem{Base: src, Disp: p * v.bytes() / 2}, a)
		VMOVUPS(a, Mem{Base: dst, Disp: p * v.bytes()})
	}
}

func fromBF16(v isa, dst, src reg.GPVirtual) {
	for p := range v.parts() {
		a := v.reg()
		VPMOVZXWD(Mem{Base: src, Disp: p * v.bytes() / 2}, a)
		VPSLLD(Imm(16), a, a)
		VMOVUPS(a, Mem{Base: dst, Disp: p * v.bytes()})
	}
}

func toBF16(v isa, dst, src reg.GPVirtual) {
	var parts []reg.VecVirtual
	for p := range v.parts() {
		a, odd := v.load(Mem{Base: src, Disp: p * v.bytes()}), v.reg()
		VPSRLD(Imm(16), a, odd)
		v.and(bits(1), odd, odd)
		v.addInt(bits(0x7fff), a, a)
		VPADDD(odd, a, a)
		VPSRLD(Imm(16), a, a)
		parts = append(parts, a)
	}
	v.storeWords(parts, Mem{Base: dst})
}
