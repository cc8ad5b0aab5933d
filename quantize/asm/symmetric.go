package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// symmetric writes symmetric of the package.
func (v isa) symmetric() {
	k := v.kernel("symmetricFit", "(l *float32, n int, factors []float32, bottom, limit uint32)",
		"is symmetric: it sets scale and, for the levels inv·x, inv, 0 for a group of zeros; factors are the ways to round times the peak, bottom and limit the ends of the levels in magic bits. It overwrites the levels.")
	factors := Load(Param("factors").Base(), GP64()).(reg.GPVirtual)
	ways := Load(Param("factors").Len(), GP64()).(reg.GPVirtual)
	k.bounds("bottom", first)
	k.bounds("limit", top)
	k.peaks()
	k.rows("products", 0, func(p int) {
		x := v.load(k.row(rowsX, p))
		VMULPS(k.row(rowsW, p), x, x)
		VMOVUPS(x, k.row(rowsLevel, p))
	})
	sumLX, sumL2 := k.symmetricSums("firstSums", factors)
	k.each(func(p int) {
		some := v.compare(notEqual, sumL2[p], v.zero())
		d := v.reg()
		VDIVPS(sumL2[p], sumLX[p], d)
		v.keep(some, d)
		k.store(d, scale, p)
		VMULPS(sumLX[p], d, d)
		k.store(d, least, p)
		t := v.load(k.field(tried, p))
		k.store(t, inv, p)
	})
	DECQ(ways)
	ADDQ(Imm(4), factors)
	loop("way", ways, func() {
		sumLX, sumL2 := k.symmetricSums("sums", factors)
		k.each(func(p int) {
			some := v.compare(greater, sumL2[p], v.zero())
			a, b := v.reg(), v.reg()
			best := v.load(k.field(least, p))
			VMULPS(sumLX[p], sumLX[p], a)
			VMULPS(best, sumL2[p], b)
			better := v.compare(greater, a, b)
			v.intersect(better, some)
			VDIVPS(sumL2[p], sumLX[p], a)
			VMULPS(sumLX[p], a, b)
			v.choose(better, b, best)
			k.store(best, least, p)
			d, by := v.load(k.field(scale, p)), v.load(k.field(inv, p))
			v.choose(better, a, d)
			k.store(d, scale, p)
			v.choose(better, v.load(k.field(tried, p)), by)
			k.store(by, inv, p)
		})
		ADDQ(Imm(4), factors)
	})
	k.dropTiny()
	k.ret()
}

// peaks sets peak and tiny.
func (k *laneKernel) peaks() {
	v := k.v
	most, at := k.zeros(), k.zeros()
	k.rows("peaks", 0, func(p int) {
		x, mag := v.load(k.row(rowsX, p)), v.reg()
		v.abs(x, mag)
		above := v.compare(greater, mag, most[p])
		v.choose(above, mag, most[p])
		v.choose(above, x, at[p])
	})
	k.each(func(p int) {
		k.store(at[p], peak, p)
		v.storeMask(v.compare(less, most[p], float(1e-15)), k.field(tiny, p))
	})
}

// dropTiny makes scale and inv 0 where the group is one of zeros.
func (k *laneKernel) dropTiny() {
	k.each(func(p int) {
		none := k.v.loadMask(k.field(tiny, p))
		for _, at := range []int{scale, inv} {
			r := k.v.load(k.field(at, p))
			k.v.drop(none, r)
			k.store(r, at, p)
		}
	})
}

// symmetricSums sets tried and returns the sums of its levels; the products w·x
// are in the level rows.
func (k *laneKernel) symmetricSums(label string, factor reg.GPVirtual) (sumLX, sumL2 []reg.VecVirtual) {
	v := k.v
	by := make([]reg.VecVirtual, v.parts())
	k.each(func(p int) {
		by[p] = v.spreadFrom(Mem{Base: factor})
		VDIVPS(k.field(peak, p), by[p], by[p])
		k.store(by[p], tried, p)
	})
	ends := k.vectors()
	k.each(func(p int) { VMULPS(k.field(peak, p), by[p], ends[p]) })
	sumLX, sumL2 = k.zeros(), k.zeros()
	k.roundedRows(label, ends, func(rounder rounder, p int) {
		l := v.level(rounder, v.load(k.row(rowsX, p)), by[p], k.field(first, p), k.field(top, p))
		t := v.reg()
		VMULPS(k.row(rowsLevel, p), l, t)
		VADDPS(t, sumLX[p], sumLX[p])
		VMULPS(k.row(rowsW, p), l, t)
		VMULPS(l, t, t)
		VADDPS(t, sumL2[p], sumL2[p])
	})
	return sumLX, sumL2
}

// refined writes refined of the package, for four levels below zero.
func (v isa) refined() {
	k := v.kernel("refinedFit", "(l *float32, n int)",
		"is refined for levels from −4: it sets scale and the levels, as signed numbers; inv is 0 for a group of zeros.")
	const n = 4
	bottom, limit := bits(magicBits-n), bits(magicBits+n-1)
	k.peaks()
	sumLX, sumL2 := k.zeros(), k.zeros()
	k.each(func(p int) {
		by := v.load(float(-n))
		VDIVPS(k.field(peak, p), by, by)
		k.store(by, inv, p)
	})
	k.rows("firstLevels", 0, func(p int) {
		x, w, t := v.load(k.row(rowsX, p)), v.reg(), v.reg()
		l := v.level(round, x, v.load(k.field(inv, p)), bottom, limit)
		VMOVUPS(l, k.row(rowsLevel, p))
		VMULPS(x, x, w)
		VMULPS(x, w, t)
		VMULPS(l, t, t)
		VADDPS(t, sumLX[p], sumLX[p])
		VMULPS(l, w, t)
		VMULPS(l, t, t)
		VADDPS(t, sumL2[p], sumL2[p])
	})
	rounds := GP64()
	MOVQ(U32(5), rounds)
	changed := v.mask()
	loop("round", rounds, func() {
		v.none(changed)
		k.rows("elements", 0, func(p int) {
			x, l := v.load(k.row(rowsX, p)), v.load(k.row(rowsLevel, p))
			w, wx, lx, l2, t := v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
			VMULPS(x, x, w)
			VMULPS(x, w, wx)
			VMULPS(l, wx, t)
			VSUBPS(t, sumLX[p], lx)
			VMULPS(l, w, t)
			VMULPS(l, t, t)
			VSUBPS(t, sumL2[p], l2)
			ok := v.compare(greater, lx, v.zero())
			to := v.reg()
			VMULPS(l2, x, to)
			VDIVPS(lx, to, to)
			round(v, to, bottom, limit)
			v.sub(float(magic), to, to)
			v.intersect(ok, v.compare(notEqual, to, l))
			// Mostly no level changes, and then the next element need not wait for the sums.
			same := fmt.Sprintf("same%d_%d", k.ahead, p)
			v.jumpIfNone(ok, same)
			VMULPS(to, wx, t)
			VADDPS(t, lx, lx)
			VMULPS(to, w, t)
			VMULPS(to, t, t)
			VADDPS(t, l2, l2)
			v.intersect(ok, v.compare(greater, l2, v.zero()))
			VMULPS(lx, lx, t)
			VMULPS(sumL2[p], t, t)
			u := v.reg()
			VMULPS(sumLX[p], sumLX[p], u)
			VMULPS(l2, u, u)
			v.intersect(ok, v.compare(greater, t, u))
			v.choose(ok, lx, sumLX[p])
			v.choose(ok, l2, sumL2[p])
			v.choose(ok, to, l)
			VMOVUPS(l, k.row(rowsLevel, p))
			v.unite(changed, ok)
			Label(same)
		})
		v.jumpIfNone(changed, "settled")
	})
	Label("settled")
	k.each(func(p int) {
		some := v.compare(greater, sumL2[p], v.zero())
		VDIVPS(sumL2[p], sumLX[p], sumLX[p])
		v.keep(some, sumLX[p])
		k.store(sumLX[p], scale, p)
	})
	k.dropTiny()
	k.ret()
}
