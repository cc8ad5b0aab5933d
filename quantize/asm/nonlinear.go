package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// nonlinear are the values of the levels of iq4_nl (ggml-common.h, kvalues_iq4nl).
var nonlinear = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// middle is where the level turns from q to q+1.
func middle(q int) float32 { return (nonlinear[q] + nonlinear[q+1]) / 2 }

// nonlinearSearch looks for the level of f: in three steps for its upper bits, upper,
// and then its last one, which is set where the mask last is.
func (v isa) nonlinearSearch(f reg.VecVirtual) (upper reg.VecVirtual, last mask) {
	upper = v.zero()
	for bit := 3; bit >= 0; bit-- {
		var at Op
		if bit == 3 {
			at = float(middle(7))
		} else {
			var middles []float32
			for i := range 8 {
				middles = append(middles, middle(i%(8>>bit)<<(bit+1)+1<<bit-1))
			}
			t := v.reg()
			VPERMPS(v.table(middles...), upper, t)
			at = t
		}
		last = v.compare(notLess, f, at)
		if bit > 0 {
			if bit < 3 {
				VPADDD(upper, upper, upper)
			}
			v.increment(last, upper)
		}
	}
	return upper, last
}

// nonlinear writes nonlinearScale and nonlinearLevels of the package.
func (v isa) nonlinear() {
	k := v.kernel("nonlinearFit", "(l *float32, n int, factors []float32)",
		"is nonlinearScale: it sets scale; factors are the ways to round times the peak, but for the first.")
	factors := Load(Param("factors").Base(), GP64()).(reg.GPVirtual)
	ways := Load(Param("factors").Len(), GP64()).(reg.GPVirtual)
	k.peaks()
	k.each(func(p int) {
		by, one := v.load(k.field(peak, p)), v.load(float(1))
		v.div(float(-nonlinear[0]), by, by)
		VDIVPS(by, one, one)
		k.store(one, inv, p)
	})
	sumXV, sumV2 := k.nonlinearSums("firstSums")
	k.each(func(p int) {
		some := v.compare(greater, sumV2[p], v.zero())
		VDIVPS(sumV2[p], sumXV[p], sumV2[p])
		v.keep(some, sumV2[p])
		k.store(sumV2[p], scale, p)
		VMULPS(sumXV[p], sumV2[p], sumV2[p])
		k.store(sumV2[p], least, p)
	})
	loop("way", ways, func() {
		k.each(func(p int) {
			by := v.spreadFrom(Mem{Base: factors})
			VDIVPS(k.field(peak, p), by, by)
			k.store(by, inv, p)
		})
		sumXV, sumV2 := k.nonlinearSums("sums")
		k.each(func(p int) {
			some := v.compare(greater, sumV2[p], v.zero())
			a, b := v.reg(), v.reg()
			best, d := v.load(k.field(least, p)), v.load(k.field(scale, p))
			VMULPS(sumXV[p], sumXV[p], a)
			VMULPS(sumV2[p], best, b)
			better := v.compare(greater, a, b)
			v.intersect(better, some)
			VDIVPS(sumV2[p], sumXV[p], a)
			VMULPS(sumXV[p], a, b)
			v.choose(better, a, d)
			v.choose(better, b, best)
			k.store(d, scale, p)
			k.store(best, least, p)
		})
		ADDQ(Imm(4), factors)
	})
	k.dropTiny()
	k.ret()

	v.groups("nonlinearLevels", "(q *[256]uint8, x []float32, by *[16]float32)",
		"sets q to the levels of by·x, by one for each 16 of the 256 elements.",
		[]string{"by"}, func() rounding {
			return func(x reg.VecVirtual, per []reg.VecVirtual) {
				VMULPS(per[0], x, x)
				upper, last := v.nonlinearSearch(x)
				VPADDD(upper, upper, x)
				v.increment(last, x)
			}
		})
}

// nonlinearSums returns Σ w·x·v and Σ w·v² of the levels' values v.
func (k *laneKernel) nonlinearSums(label string) (sumXV, sumV2 []reg.VecVirtual) {
	v := k.v
	sumXV, sumV2 = k.zeros(), k.zeros()
	k.rows(label, 0, func(p int) {
		x, f := v.load(k.row(rowsX, p)), v.reg()
		VMULPS(k.field(inv, p), x, f)
		upper, last := v.nonlinearSearch(f)
		value, odd := v.reg(), v.reg()
		VPERMPS(v.everyOther(nonlinear, 0), upper, value)
		VPERMPS(v.everyOther(nonlinear, 1), upper, odd)
		v.choose(last, odd, value)
		w := v.load(k.row(rowsW, p))
		VMULPS(value, w, w)
		VMULPS(x, w, x)
		VADDPS(x, sumXV[p], sumXV[p])
		VMULPS(value, w, w)
		VADDPS(w, sumV2[p], sumV2[p])
	})
	return sumXV, sumV2
}
