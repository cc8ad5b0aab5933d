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
		"returns the near point of code with the least loss; near has room for 15 more after the last list.")
	code := Load(Param("code"), GP64()).(reg.GPVirtual)
	x := Load(Param("x").Base(), GP64()).(reg.GPVirtual)
	w := Load(Param("w").Base(), GP64()).(reg.GPVirtual)
	values := Load(Param("values").Base(), GP64()).(reg.GPVirtual)
	shift := v.local()
	VMOVUPS(v.scalar("shift"), shift)
	n := GP64()
	v.nearest(8, code, x, w, values, n, func(p reg.VecVirtual) { VADDPS(shift, p, p) })
	Store(n, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// lattice writes lattice.round of the package. The losses of a vector of near
// points are computed at once, each from the first dimension to the last.
func (v isa) lattice(dims, base int) {
	v.text(fmt.Sprintf("latticeRound%d", dims),
		"(points []uint16, which uint8, x, w []float32, inv, d float32, number []int32, start []uint32, near []uint16, values []float32) (off uint8)",
		"is lattice.round; near has room for 15 more after the last list.")
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

		code := code(dims, base, x)
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

// code is lattice.code of the package, of which 256 bits are enough.
func code(dims, base int, x reg.GPVirtual) reg.GPVirtual {
	v := avx2
	l := v.reg()
	if dims == 8 {
		VMOVUPS(Mem{Base: x}, l)
	} else {
		VBROADCASTF128(Mem{Base: x}, l)
	}
	VMULPS(v.scalar("inv"), l, l)
	v.sub(float(1), l, l)
	v.mul(float(0.5), l, l)
	round(v, l, bits(magicBits), bits(uint32(magicBits+base-1)))
	v.subInt(bits(magicBits), l, l)
	var powers [8]uint32
	for i, p := 0, 1; i < dims; i, p = i+1, p*base {
		powers[i] = uint32(p)
	}
	VPMULLD(inMemory(powers[:]...), l, l)
	v.fold(l, func(a, b, to Op) { VPADDD(a, b, to) })
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
	d := v.scalar("d")
	// The 16 registers of AVX2 are for the losses.
	least, at, place, many := v.local(), v.local(), v.local(), v.local()
	VMOVUPS(v.load(float(math.MaxFloat32)), least)
	VMOVUPS(v.zero(), at)
	var lanes []uint32
	for i := range v.width {
		lanes = append(lanes, uint32(i))
	}
	VMOVUPS(v.load(inMemory(lanes...)), place)
	count := v.reg()
	VMOVD(end.As32(), count.AsX())
	VPBROADCASTD(count.AsX(), count)
	VMOVUPS(count, many)
	walk := GP64()
	MOVQ(list, walk)
	Label("near")
	loss := v.losses(dims, walk, values, x, w, d, move)
	best, here := v.load(least), v.load(place)
	better := v.compare(less, loss, best)
	v.intersect(better, v.greaterInt(v.load(many), here))
	v.choose(better, loss, best)
	VMOVUPS(best, least)
	bestAt := v.load(at)
	v.choose(better, here, bestAt)
	VMOVUPS(bestAt, at)
	v.addInt(bits(uint32(v.width)), here, here)
	VMOVUPS(here, place)
	ADDQ(Imm(uint64(2*v.width)), walk)
	SUBQ(Imm(uint64(v.width)), end)
	JG(LabelRef("near"))

	all := v.load(best)
	v.fold(all, func(a, b, to Op) { VMINPS(a, b, to) })
	v.fill(v.compare(notEqual, best, all), bestAt) // the largest number where it is not the least
	v.fold(bestAt, func(a, b, to Op) { VPMINUD(a, b, to) })
	first := GP64()
	VMOVD(bestAt.AsX(), first.As32())
	MOVWLZX(Mem{Base: list, Index: first, Scale: 2}, n.As32())
}

// losses returns Σ w·(d·v−x)² of a vector of points whose numbers are at walk.
func (v isa) losses(dims int, walk, values, x, w reg.GPVirtual, d reg.VecVirtual, move func(values reg.VecVirtual)) reg.VecVirtual {
	sum := v.zero()
	for half := 0; half < dims; half += 4 {
		xs, ws := v.four(Mem{Base: x, Disp: 4 * half}), v.four(Mem{Base: w, Disp: 4 * half})
		var a [4]reg.VecVirtual
		for i := range a {
			a[i] = v.quads(func(q int) Mem {
				n := GP64()
				MOVWLZX(Mem{Base: walk, Disp: 2 * (i + 4*q)}, n.As32())
				SHLQ(Imm(uint64(dims/4+3)), n)
				return Mem{Base: values, Index: n, Scale: 1, Disp: 4 * half}
			})
			move(a[i])
			VMULPS(a[i], d, a[i])
			VSUBPS(xs, a[i], a[i])
			t := v.reg()
			VMULPS(ws, a[i], t)
			VMULPS(t, a[i], a[i])
		}
		for _, column := range v.turn(a) {
			VADDPS(column, sum, sum)
		}
	}
	return sum
}

// four repeats four float32.
func (v isa) four(m Mem) reg.VecVirtual {
	r := v.reg()
	if v == avx512 {
		VBROADCASTF32X4(m, r)
	} else {
		VBROADCASTF128(m, r)
	}
	return r
}
