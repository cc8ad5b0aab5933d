package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// An unpacking turns levels, as integers, into numbers with those of their group.
type unpacking func(q reg.VecVirtual, per []reg.VecVirtual)

// numbers writes the kernels that decode.
func (v isa) numbers() {
	v.spread("affineNumbers", "(x []float32, q *[256]uint8, by, offset *[16]float32)",
		"sets the 256 elements of x to by·q − offset, by and offset one for each 16 elements.",
		[]string{"by", "offset"}, func() unpacking {
			return func(q reg.VecVirtual, per []reg.VecVirtual) {
				VCVTDQ2PS(q, q)
				VMULPS(per[0], q, q)
				VSUBPS(per[1], q, q)
			}
		})
	v.spread("signedNumbers", "(x []float32, q *[256]uint8, by *[16]float32, below uint32)",
		"sets the 256 elements of x to by·(q − below), by one for each 16 elements.",
		[]string{"by"}, func() unpacking {
			below := v.broadcast("below")
			return func(q reg.VecVirtual, per []reg.VecVirtual) {
				VPSUBD(below, q, q)
				VCVTDQ2PS(q, q)
				VMULPS(per[0], q, q)
			}
		})
	v.looked("nonlinearNumbers", nonlinear)
	v.looked("e2m1Numbers", [16]float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12})
	v.decodeQ8_0()
}

// looked writes a kernel that multiplies with values.
func (v isa) looked(name string, values [16]float32) {
	v.spread(name, "(x []float32, q *[256]uint8, by *[16]float32)",
		"sets the 256 elements of x to by times the values of levels below 16, by one for each 16 elements.",
		[]string{"by"}, func() unpacking {
			return func(q reg.VecVirtual, per []reg.VecVirtual) {
				value := v.reg()
				v.lookup(values, q, value)
				VMULPS(per[0], value, q)
			}
		})
}

// spread writes a kernel that turns 256 bytes at q into elements at x, and loads
// one number for each 16 of them from every array that per names. begin loads
// further parameters.
func (v isa) spread(name, signature, doc string, per []string, begin func() unpacking) {
	v.text(name, signature, doc)
	dst := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	src := Load(Param("q"), GP64()).(reg.GPVirtual)
	var arrays []reg.GPVirtual
	for _, p := range per {
		arrays = append(arrays, Load(Param(p), GP64()).(reg.GPVirtual))
	}
	of := begin()
	count := GP64()
	MOVQ(U32(16), count)
	loop("next", count, func() {
		var numbers []reg.VecVirtual
		for _, a := range arrays {
			numbers = append(numbers, v.spreadFrom(Mem{Base: a}))
			ADDQ(Imm(4), a)
		}
		for i := range 16 / v.width {
			q := v.reg()
			VPMOVZXBD(Mem{Base: src, Disp: i * v.width}, q)
			of(q, numbers)
			VMOVUPS(q, Mem{Base: dst, Disp: i * v.bytes()})
		}
		ADDQ(Imm(16), src)
		ADDQ(Imm(64), dst)
	})
	VZEROUPPER()
	RET()
}

func (v isa) decodeQ8_0() {
	v.text("decodeQ8_0", "(dst []float32, src []byte)", "decodes the blocks of src; none has a scale that is a NaN.")
	dst := Load(Param("dst").Base(), GP64()).(reg.GPVirtual)
	src := Load(Param("src").Base(), GP64()).(reg.GPVirtual)
	n := Load(Param("dst").Len(), GP64()).(reg.GPVirtual)
	SHRQ(Imm(5), n)
	TESTQ(n, n)
	JZ(LabelRef("end"))
	loop("next", n, func() {
		h, d, half := XMM(), v.reg(), GP32()
		MOVWLZX(Mem{Base: src}, half)
		VMOVD(half, h)
		VCVTPH2PS(h, h)
		VBROADCASTSS(h, d)
		for i := range 32 / v.width {
			q := v.reg()
			VPMOVSXBD(Mem{Base: src, Disp: 2 + i*v.width}, q)
			VCVTDQ2PS(q, q)
			VMULPS(d, q, q)
			VMOVUPS(q, Mem{Base: dst, Disp: i * v.bytes()})
		}
		ADDQ(Imm(34), src)
		ADDQ(U32(128), dst)
	})
	Label("end")
	VZEROUPPER()
	RET()
}
