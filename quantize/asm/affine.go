package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"

	. "github.com/mmcloughlin/avo/operand"
)

// A measure turns a difference into what is summed.
type measure func(v isa, t reg.VecVirtual)

func square(_ isa, t reg.VecVirtual)    { VMULPS(t, t, t) }
func magnitude(v isa, t reg.VecVirtual) { v.abs(t, t) }

// affine writes affineSearch.fit of the package. factors[0] is the first way to
// round times max−min, the others follow.
func (v isa) affine(name string, of measure) {
	k := v.kernel(name, "(l *float32, n int, factors []float32, limit uint32)",
		"is affineSearch.fit: it sets scale and low to x ≈ scale·q + low and inv and from to q = inv·(x − from), inv 0 if all levels are; factors are the ways to round times max − min, limit is the top level in magic bits.")
	factors := Load(Param("factors").Base(), GP64()).(reg.GPVirtual)
	ways := Load(Param("factors").Len(), GP64()).(reg.GPVirtual)
	k.bounds("limit", top)
	k.extents()

	f := v.spreadFrom(Mem{Base: factors})
	k.each(func(p int) {
		lo, t, one := v.load(k.field(low, p)), v.reg(), v.load(float(1))
		VMOVUPS(k.field(high, p), t)
		VSUBPS(lo, t, t)
		VDIVPS(t, f, t)
		k.store(t, inv, p)
		k.store(lo, from, p)
		VDIVPS(t, one, one)
		k.store(one, scale, p)
	})
	by, lows := k.vectors(), k.vectors()
	k.each(func(p int) {
		VMOVUPS(k.field(inv, p), by[p])
		VMOVUPS(k.field(low, p), lows[p])
	})
	k.rows("firstLevels", 0, func(p int) {
		x := v.load(k.row(rowsX, p))
		VSUBPS(lows[p], x, x)
		VMOVUPS(v.level(round, x, by[p], bits(magicBits), k.field(top, p)), k.row(rowsLevel, p))
	})
	k.each(func(p int) { VMOVUPS(k.field(scale, p), by[p]) })
	loss := k.loss("firstLoss", by, lows, of)
	k.each(func(p int) { k.store(loss[p], least, p) })

	DECQ(ways)
	ADDQ(Imm(4), factors)
	loop("way", ways, func() {
		k.tryAffine(factors, of)
		ADDQ(Imm(4), factors)
	})

	k.each(func(p int) {
		lo0 := v.load(k.field(first, p))
		flat := v.compare(equal, lo0, k.field(high, p))
		for _, at := range []int{scale, inv} {
			r := v.load(k.field(at, p))
			v.drop(flat, r)
			k.store(r, at, p)
		}
		lo := v.load(k.field(low, p))
		v.choose(flat, lo0, lo)
		k.store(lo, low, p)
	})
	k.ret()
}

// extents sets low, high, sumW and sumX.
func (k *laneKernel) extents() {
	v := k.v
	lo, hi, sw, sx := k.vectors(), k.vectors(), k.vectors(), k.vectors()
	k.each(func(p int) {
		VMOVUPS(k.field(rowsX, p), lo[p])
		VMOVAPS(lo[p], hi[p])
		VMOVUPS(k.field(rowsW, p), sw[p])
		VMULPS(lo[p], sw[p], sx[p])
	})
	k.rows("extents", rowBytes, func(p int) {
		x, w := v.load(k.row(rowsX, p)), v.load(k.row(rowsW, p))
		VMINPS(lo[p], x, lo[p])
		VMAXPS(hi[p], x, hi[p])
		VADDPS(w, sw[p], sw[p])
		VMULPS(x, w, w)
		VADDPS(w, sx[p], sx[p])
	})
	k.each(func(p int) {
		above := v.compare(greater, lo[p], v.zero())
		v.drop(above, lo[p])
		k.store(lo[p], low, p)
		k.store(lo[p], first, p)
		k.store(hi[p], high, p)
		k.store(sw[p], sumW, p)
		k.store(sx[p], sumX, p)
	})
}

// loss returns Σ w·of(d·level + low − x).
func (k *laneKernel) loss(label string, d, low []reg.VecVirtual, of measure) []reg.VecVirtual {
	sum := k.zeros()
	k.rows(label, 0, func(p int) {
		t := k.v.reg()
		VMULPS(k.row(rowsLevel, p), d[p], t)
		VADDPS(low[p], t, t)
		VSUBPS(k.row(rowsX, p), t, t)
		of(k.v, t)
		VMULPS(k.row(rowsW, p), t, t)
		VADDPS(t, sum[p], sum[p])
	})
	return sum
}

// tryAffine rounds in one more way and keeps it where it is better.
func (k *laneKernel) tryAffine(factor reg.GPVirtual, of measure) {
	v := k.v
	f := v.spreadFrom(Mem{Base: factor})
	by, lows := k.vectors(), k.vectors()
	k.each(func(p int) {
		VMOVUPS(k.field(low, p), lows[p])
		VMOVUPS(k.field(high, p), by[p])
		VSUBPS(lows[p], by[p], by[p])
		VDIVPS(by[p], f, by[p])
		k.store(by[p], tried, p)
	})
	var ends []reg.VecVirtual
	k.each(func(p int) {
		for _, at := range []int{first, high} {
			end := v.load(k.field(at, p))
			VSUBPS(lows[p], end, end)
			VMULPS(by[p], end, end)
			ends = append(ends, end)
		}
	})
	sumL, sumL2, sumLX := k.zeros(), k.zeros(), k.zeros()
	k.roundedRows("levels", ends, func(rounder rounder, p int) {
		x, t := v.load(k.row(rowsX, p)), v.reg()
		VSUBPS(lows[p], x, t)
		l := v.level(rounder, t, by[p], bits(magicBits), k.field(top, p))
		VMOVUPS(l, k.row(rowsLevel, p))
		wl := v.reg()
		VMULPS(k.row(rowsW, p), l, wl)
		VADDPS(wl, sumL[p], sumL[p])
		VMULPS(wl, l, l)
		VADDPS(l, sumL2[p], sumL2[p])
		VMULPS(x, wl, wl)
		VADDPS(wl, sumLX[p], sumLX[p])
	})
	d, m := k.vectors(), k.vectors()
	k.each(func(p int) {
		a, b, det := v.reg(), v.reg(), v.reg()
		sw, sx := k.field(sumW, p), k.field(sumX, p)
		VMULPS(sw, sumL2[p], a)
		VMULPS(sumL[p], sumL[p], b)
		VSUBPS(b, a, det)
		ok := v.compare(greater, det, v.zero())
		v.storeMask(ok, k.field(solved, p))
		VMULPS(sw, sumLX[p], a)
		VMULPS(sx, sumL[p], b)
		VSUBPS(b, a, a)
		VDIVPS(det, a, d[p])
		VMULPS(sx, sumL2[p], a)
		VMULPS(sumL[p], sumLX[p], b)
		VSUBPS(b, a, a)
		VDIVPS(det, a, m[p])
		above := v.compare(greater, m[p], v.zero())
		VDIVPS(sumL2[p], sumLX[p], a)
		v.choose(above, a, d[p])
		v.drop(above, m[p])
	})
	loss := k.loss("loss", d, m, of)
	k.each(func(p int) {
		best := v.load(k.field(least, p))
		better := v.compare(less, loss[p], best)
		v.intersect(better, v.loadMask(k.field(solved, p)))
		for _, u := range []struct {
			with any
			to   int
		}{{loss[p], least}, {tried, inv}, {low, from}, {d[p], scale}, {m[p], low}} {
			with, ok := u.with.(reg.VecVirtual)
			if !ok {
				with = v.load(k.field(u.with.(int), p))
			}
			to := v.load(k.field(u.to, p))
			v.choose(better, with, to)
			k.store(to, u.to, p)
		}
	})
}
