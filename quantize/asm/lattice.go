package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func (v isa) lattices() {
	v.lattice(4, 8)
	v.lattice(8, 3)
	v.shifted()
}

// shifted writes the search of lattice.point for points of eight dimensions.
func (v isa) shifted() {
	v.text("latticeNear8", "(code int, x, w []float32, d, shift float32, start []uint32, near []uint16, values []float32) (number int)",
		"returns the near point of code with the least loss; near has room for seven more after the last list.")
	code := Load(Param("code"), GP64()).(reg.GPVirtual)
	x := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	w := Load(Param("w").Base(), GP64()).(reg.GPVirtual)
	values := Load(Param("values").Base(), GP64()).(reg.GPVirtual)
	shift := AllocLocal(v.bytes())
	VMOVUPS(v.scalar("shift"), shift)
	n := GP64()
	v.nearest(8, code, x, w, values, n, func(p reg.VecVirtual) { VADDPS(shift, p, p) })
	Store(n, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// scalar fills a vector with a parameter.
func (v isa) scalar(param string) reg.VecVirtual {
	p, err := Param(param).Resolve()
	if err != nil {
		panic(err)
	}
	return v.spreadFrom(p.Addr)
}

// lattice writes lattice.round of the package. The losses of eight near points
// are computed at once, each from the first dimension to the last.
func (v isa) lattice(dims, base int) {
	v.text(fmt.Sprintf("latticeRound%d", dims),
		"(points []uint16, which uint8, x, w []float32, inv, d float32, number []int32, start []uint32, near []uint16, values []float32) (off uint8)",
		"is lattice.round; near has room for seven more after the last list.")
	points := Load(Param("points").Base(), GP64()).(reg.GPVirtual)
	count := Load(Param("points").Len(), GP64()).(reg.GPVirtual)
	x := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	w := Load(Param("w").Base(), GP64()).(reg.GPVirtual)
	values := Load(Param("values").Base(), GP64()).(reg.GPVirtual)
	off, bit := GP32(), GP32()
	XORL(off, off)
	MOVL(U32(1), bit)
	loop("point", count, func() {
		which := GP32()
		Load(Param("which"), which.As8())
		MOVBLZX(which.As8(), which)
		TESTL(bit, which)
		JZ(LabelRef("next"))

		code := v.code(dims, base, v.elements(dims, x))
		table, n := GP64(), GP64()
		Load(Param("number").Base(), table)
		MOVLQSX(Mem{Base: table, Index: code, Scale: 4}, n)
		TESTQ(n, n)
		JGE(LabelRef("on"))
		ORL(bit, off)
		v.nearest(dims, code, x, w, values, n, func(reg.VecVirtual) {})
		Label("on")
		MOVW(n.As16(), Mem{Base: points})

		Label("next")
		ADDQ(Imm(2), points)
		ADDQ(Imm(uint64(4*dims)), x)
		ADDQ(Imm(uint64(4*dims)), w)
		SHLL(Imm(1), bit)
	})
	Store(off.As8(), ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// elements returns those of a group, twice if there are four.
func (v isa) elements(dims int, at reg.GPVirtual) reg.VecVirtual {
	if dims == 8 {
		return v.load(Mem{Base: at})
	}
	r := v.reg()
	VBROADCASTF128(Mem{Base: at}, r)
	return r
}

// code is lattice.code of the package.
func (v isa) code(dims, base int, x reg.VecVirtual) reg.GPVirtual {
	by, l := v.scalar("inv"), v.reg()
	VMULPS(x, by, l)
	VSUBPS(float(1), l, l)
	VMULPS(float(0.5), l, l)
	round(l, bits(magicBits), bits(uint32(magicBits+base-1)))
	VPSUBD(bits(magicBits), l, l)
	var powers [8]uint32
	for i, p := 0, 1; i < dims; i, p = i+1, p*base {
		powers[i] = uint32(p)
	}
	VPMULLD(vector(powers), l, l)
	fold(l, func(a, b, to reg.VecVirtual) { VPADDD(a, b, to) })
	code := GP64()
	VMOVD(l.AsX(), code.As32())
	return code
}

// nearest sets n to the number of the near point with the least loss, the first
// of several. move is what is done to the values of the points.
func (v isa) nearest(dims int, code, x, w, values, n reg.GPVirtual, move func(values reg.VecVirtual)) {
	list, begin, end := GP64(), GP64(), GP64()
	Load(Param("start").Base(), list)
	MOVL(Mem{Base: list, Index: code, Scale: 4}, begin.As32())
	MOVL(Mem{Base: list, Index: code, Scale: 4, Disp: 4}, end.As32())
	Load(Param("near").Base(), list)
	LEAQ(Mem{Base: list, Index: begin, Scale: 2}, list)
	SUBQ(begin, end)
	var xs, ws Op = Mem{Base: x}, Mem{Base: w}
	if dims == 4 {
		xs, ws = v.elements(dims, x), v.elements(dims, w)
	}
	d := v.scalar("d")
	// The registers are for the losses.
	kept := AllocLocal(4 * v.bytes())
	least, at, place := kept, kept.Offset(v.bytes()), kept.Offset(2*v.bytes())
	many := kept.Offset(3 * v.bytes())
	VMOVUPS(v.load(bits(math.Float32bits(math.MaxFloat32))), least)
	VMOVUPS(v.zero(), at)
	VMOVUPS(v.load(vector([8]uint32{0, 1, 2, 3, 4, 5, 6, 7})), place)
	count := v.reg()
	VMOVD(end.As32(), count.AsX())
	VPBROADCASTD(count.AsX(), count)
	VMOVUPS(count, many)
	walk := GP64()
	MOVQ(list, walk)
	Label("near")
	loss := v.losses(dims, walk, values, xs, ws, d, move)
	best, better, inside := v.load(least), v.reg(), v.load(many)
	VCMPPS(Imm(less), best, loss, better)
	VPCMPGTD(place, inside, inside)
	VPAND(inside, better, better)
	v.choose(better, loss, best)
	VMOVUPS(best, least)
	bestAt, here := v.load(at), v.load(place)
	v.choose(better, here, bestAt)
	VMOVUPS(bestAt, at)
	VPADDD(bits(8), here, here)
	VMOVUPS(here, place)
	ADDQ(Imm(16), walk)
	SUBQ(Imm(8), end)
	JG(LabelRef("near"))

	all := v.copy(best)
	fold(all, func(a, b, to reg.VecVirtual) { VMINPS(a, b, to) })
	other := v.compare(notEqual, best, all)
	VPOR(other, bestAt, bestAt) // the largest number where it is not the least
	fold(bestAt, func(a, b, to reg.VecVirtual) { VPMINUD(a, b, to) })
	first := GP64()
	VMOVD(bestAt.AsX(), first.As32())
	MOVWLZX(Mem{Base: list, Index: first, Scale: 2}, n.As32())
}

// losses returns Σ w·(d·v−x)² of the eight points whose numbers are at walk.
func (v isa) losses(dims int, walk, values reg.GPVirtual, x, w Op, d reg.VecVirtual, move func(values reg.VecVirtual)) reg.VecVirtual {
	point := func(i int) Mem {
		n := GP64()
		MOVWLZX(Mem{Base: walk, Disp: 2 * i}, n.As32())
		SHLQ(Imm(uint64(dims/4+3)), n)
		return Mem{Base: values, Index: n, Scale: 1}
	}
	parts := func(p reg.VecVirtual) {
		move(p)
		VMULPS(p, d, p)
		VSUBPS(x, p, p)
		t := v.reg()
		VMULPS(w, p, t)
		VMULPS(t, p, p)
	}
	sum := v.zero()
	add := func(a [4]reg.VecVirtual) {
		for _, column := range turn(v, a) {
			VADDPS(column, sum, sum)
		}
	}
	if dims == 4 {
		var a [4]reg.VecVirtual
		for i := range a {
			a[i] = v.reg()
			VMOVUPS(point(i), a[i].AsX())
			VINSERTF128(Imm(1), point(i+4), a[i], a[i])
			parts(a[i])
		}
		add(a)
		return sum
	}
	var p [8]reg.VecVirtual
	var lower [4]reg.VecVirtual
	for i := range lower {
		for _, i := range []int{i, i + 4} {
			p[i] = v.load(point(i))
			parts(p[i])
		}
		lower[i] = v.reg()
		VPERM2F128(Imm(0x20), p[i+4], p[i], lower[i])
		VPERM2F128(Imm(0x31), p[i+4], p[i], p[i])
	}
	add(lower)
	add([4]reg.VecVirtual(p[:4]))
	return sum
}
