package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// levels writes the kernels that round the elements of a super-block, in their
// own order, in groups of 16.
func (v isa) levels() {
	for _, c := range []struct {
		name, doc string
		of        func(x, by, offset reg.VecVirtual)
	}{
		{"levelsOver", "rounds (x + offset)/by", func(x, by, offset reg.VecVirtual) {
			VADDPS(offset, x, x)
			VDIVPS(by, x, x)
		}},
		{"levelsTimes", "rounds by·(x − offset)", func(x, by, offset reg.VecVirtual) {
			VSUBPS(offset, x, x)
			VMULPS(x, by, x)
		}},
	} {
		v.groups(c.name, "(q *[256]uint8, x []float32, by, offset *[16]float32, bottom, limit uint32)",
			c.doc+", by and offset one for each 16 of the 256 elements, and sets q to what that is above bottom; bottom and limit are the ends of the levels in magic bits.",
			[]string{"by", "offset"}, func() rounding {
				bottom, limit := v.broadcast("bottom"), v.broadcast("limit")
				return func(x reg.VecVirtual, per []reg.VecVirtual) {
					c.of(x, per[0], per[1])
					round(v, x, bottom, limit)
					VPSUBD(bottom, x, x)
				}
			})
	}
}

// A rounding turns elements into levels with the numbers of their group.
type rounding func(x reg.VecVirtual, per []reg.VecVirtual)

// groups writes a kernel that turns the 256 elements at x into bytes at q, and
// loads one number for each 16 of them from every array that per names.
func (v isa) groups(name, signature, doc string, per []string, begin func() rounding) {
	v.text(name, signature, doc)
	dst := Load(Param("q"), GP64()).(reg.GPVirtual)
	src := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	var arrays []reg.GPVirtual
	for _, p := range per {
		arrays = append(arrays, Load(Param(p), GP64()).(reg.GPVirtual))
	}
	of := begin()
	count := GP64()
	MOVQ(U32(8), count)
	loop("next", count, func() {
		var x []reg.VecVirtual
		for g := range 2 {
			var numbers []reg.VecVirtual
			for _, a := range arrays {
				numbers = append(numbers, v.spreadFrom(Mem{Base: a, Disp: 4 * g}))
			}
			for range 16 / v.width {
				part := v.load(Mem{Base: src, Disp: len(x) * v.bytes()})
				of(part, numbers)
				x = append(x, part)
			}
		}
		VMOVDQU(v.packBytes(x), Mem{Base: dst})
		ADDQ(U32(128), src)
		ADDQ(Imm(32), dst)
		for _, a := range arrays {
			ADDQ(Imm(8), a)
		}
	})
	VZEROUPPER()
	RET()
}
