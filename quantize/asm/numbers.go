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
	v.decodeQ4_0()
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

// decodeQ8_0 and decodeQ4_0 decode blocks of 32 elements without taking them apart.
func (v isa) decodeQ8_0() {
	v.scaled("decodeQ8_0", 34, func(levels Mem) (q []reg.VecVirtual) {
		for i := range 32 / v.width {
			q = append(q, v.reg())
			VPMOVSXBD(levels.Offset(i*v.width), q[i])
		}
		return q
	})
}

func (v isa) decodeQ4_0() {
	v.scaled("decodeQ4_0", 18, func(levels Mem) []reg.VecVirtual {
		var low, high []reg.VecVirtual
		for i := range 16 / v.width {
			l, h := v.reg(), v.reg()
			VPMOVZXBD(levels.Offset(i*v.width), l)
			VPSRLD(Imm(4), l, h)
			v.and(bits(15), l, l)
			v.subInt(bits(8), l, l)
			v.subInt(bits(8), h, h)
			low, high = append(low, l), append(high, h)
		}
		return append(low, high...)
	})
}

// scaled writes a kernel that decodes blocks of size bytes: a half, and the levels
// that unpack turns into 32 integers, in order.
func (v isa) scaled(name string, size uint64, unpack func(levels Mem) []reg.VecVirtual) {
	v.text(name, "(dst []float32, src []byte)", "decodes the blocks of src; none has a scale that is a NaN.")
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
		for i, q := range unpack(Mem{Base: src, Disp: 2}) {
			VCVTDQ2PS(q, q)
			VMULPS(d, q, q)
			VMOVUPS(q, Mem{Base: dst, Disp: i * v.bytes()})
		}
		ADDQ(Imm(size), src)
		ADDQ(U32(128), dst)
	})
	Label("end")
	VZEROUPPER()
	RET()
}
