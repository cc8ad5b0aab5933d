package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sums writes the kernel that measures: sums.addAll of the package, in float64.
func (v isa) sums() {
	const lanes = 16
	v.text("addSquares", "(x, y []float32, squares, errors *[16]float64)",
		"adds x² to squares and (x−y)² to errors, those of element i to number i mod 16; len(x) is a multiple of 16.")
	x := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	y := Load(Param("y").Base(), GP64()).(reg.GPVirtual)
	count := Load(Param("x").Len(), GP64()).(reg.GPVirtual)
	parts := []reg.GPVirtual{Load(Param("squares"), GP64()).(reg.GPVirtual), Load(Param("errors"), GP64()).(reg.GPVirtual)}
	perVector := v.bytes() / 8
	sums := make([][]reg.VecVirtual, len(parts))
	for i, p := range parts {
		for j := range lanes / perVector {
			sums[i] = append(sums[i], v.load(Mem{Base: p, Disp: j * v.bytes()}))
		}
	}
	SHRQ(Imm(4), count)
	TESTQ(count, count)
	JZ(LabelRef("end"))
	loop("next", count, func() {
		for j := range lanes / perVector {
			a, d := v.reg(), v.reg()
			VCVTPS2PD(Mem{Base: x, Disp: 4 * j * perVector}, a)
			VCVTPS2PD(Mem{Base: y, Disp: 4 * j * perVector}, d)
			VSUBPD(d, a, d)
			for i, r := range []reg.VecVirtual{a, d} {
				VMULPD(r, r, r)
				VADDPD(r, sums[i][j], sums[i][j])
			}
		}
		ADDQ(Imm(4*lanes), x)
		ADDQ(Imm(4*lanes), y)
	})
	Label("end")
	for i, p := range parts {
		for j, r := range sums[i] {
			VMOVUPS(r, Mem{Base: p, Disp: j * v.bytes()})
		}
	}
	VZEROUPPER()
	RET()
}
