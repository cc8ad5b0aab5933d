package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Places in the struct lanes of the package, in bytes. Each field has one
// float32 for every group of the batch, and rows one such vector per element.
const (
	rowsX  = 0
	rowsW  = 2048
	fields = 4096
)

const (
	scale = fields + 64*iota
	low
	inv
	from
	sumW
	sumX
	spread
	least
	high
	first
	top
	solved
	tried
	peak
	tiny
)

// Level rows lie four rows off the elements', modulo 4,096, so that no load
// waits for a store to the level of another element.
const rowsLevel = 8192 - 4*rowBytes

const rowBytes = 4 * batch

// A laneKernel is one on the struct lanes, l points to it.
type laneKernel struct {
	v isa
	l reg.GPVirtual
	n reg.GPVirtual // bytes of the rows in use
	i reg.GPVirtual // row, in bytes
	// ahead is the number of rows after i that an unrolled loop is at.
	ahead int
}

func (v isa) kernel(name, signature, doc string) *laneKernel {
	v.text(name, signature, doc)
	k := &laneKernel{v: v, i: GP64()}
	k.l = Load(Param("l"), GP64()).(reg.GPVirtual)
	k.n = Load(Param("n"), GP64()).(reg.GPVirtual)
	SHLQ(Imm(6), k.n)
	return k
}

func (k *laneKernel) ret() {
	VZEROUPPER()
	RET()
}

// field is part p of a field.
func (k *laneKernel) field(at, p int) Mem { return Mem{Base: k.l, Disp: at + p*k.v.bytes()} }

// row is part p of the vector of the current element.
func (k *laneKernel) row(at, p int) Mem {
	return Mem{Base: k.l, Index: k.i, Scale: 1, Disp: at + k.ahead*rowBytes + p*k.v.bytes()}
}

func (k *laneKernel) store(r reg.VecVirtual, at, p int) { VMOVUPS(r, k.field(at, p)) }

// rows calls body for every element from the one at begin, in bytes. The number
// of elements is a multiple of unroll.
func (k *laneKernel) rows(label string, begin int, body func(p int)) {
	times := 1
	if begin == 0 {
		times = unroll
		XORQ(k.i, k.i)
	} else {
		MOVQ(U32(uint32(begin)), k.i)
	}
	Label(label)
	for k.ahead = 0; k.ahead < times; k.ahead++ {
		k.each(body)
	}
	k.ahead = 0
	ADDQ(U32(uint32(times*rowBytes)), k.i)
	CMPQ(k.i, k.n)
	JLT(LabelRef(label))
}

// unroll is the number of elements that a loop does at a time.
const unroll = 4

func (k *laneKernel) each(body func(p int)) {
	for p := range k.v.parts() {
		body(p)
	}
}

// vectors returns one register for each part.
func (k *laneKernel) vectors() (r []reg.VecVirtual) {
	for range k.v.parts() {
		r = append(r, k.v.reg())
	}
	return r
}

func (k *laneKernel) zeros() []reg.VecVirtual {
	r := k.vectors()
	for _, r := range r {
		k.v.clear(r)
	}
	return r
}

// bounds stores a parameter of 32 bits in a field.
func (k *laneKernel) bounds(param string, at int) {
	r := k.v.broadcast(param)
	k.each(func(p int) { k.store(r, at, p) })
}

func (v isa) lanes() {
	v.transpose()
	v.weights()
	v.affine("affineFit", square)
	v.affine("affineFitMagnitude", magnitude)
	v.symmetric()
	v.refined()
	v.nonlinear()
	v.levels()
	v.numbers()
	v.simple()
	v.lattices()
	v.thirds()
}

func (v isa) transpose() {
	v.text("transpose", "(rows *float32, src []float32, n int) (most uint32)",
		"stores element i of each of 16 groups of n in row i, n a multiple of 4, and returns the bits of the largest magnitude, of a NaN if there is one.")
	dst := Load(Param("rows"), GP64()).(reg.GPVirtual)
	src := Load(Param("src").Base(), GP64()).(reg.GPVirtual)
	n := Load(Param("n"), GP64()).(reg.GPVirtual)
	stride, stride3, stride4 := GP64(), GP64(), GP64()
	MOVQ(n, stride)
	SHLQ(Imm(2), stride)
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	MOVQ(stride, stride4)
	SHLQ(Imm(2), stride4)
	SHRQ(Imm(2), n)
	most := v.zero()
	loop("columns", n, func() {
		row := src
		for p := range v.parts() {
			var four []reg.GPVirtual // where each four of the groups of the part begins
			for q := range v.width / 4 {
				if p > 0 || q > 0 {
					next := GP64()
					LEAQ(Mem{Base: row, Index: stride4, Scale: 1}, next)
					row = next
				}
				four = append(four, row)
			}
			var a [4]reg.VecVirtual
			for i := range a {
				a[i] = v.quads(func(q int) Mem {
					return []Mem{
						{Base: four[q]},
						{Base: four[q], Index: stride, Scale: 1},
						{Base: four[q], Index: stride, Scale: 2},
						{Base: four[q], Index: stride3, Scale: 1},
					}[i]
				})
				mag := v.reg()
				v.abs(a[i], mag)
				VPMAXUD(mag, most, most)
			}
			for i, column := range v.turn(a) {
				VMOVUPS(column, Mem{Base: dst, Disp: i*rowBytes + p*v.bytes()})
			}
		}
		ADDQ(Imm(16), src)
		ADDQ(U32(4*rowBytes), dst)
	})
	v.fold(most, maxBits)
	largest := GP32()
	VMOVD(most.AsX(), largest)
	Store(largest, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func (v isa) weights() {
	k := v.kernel("weightsRMS", "(l *float32, n int)", "sets w to the root mean square of the group + |x|; n is 32.")
	sum := k.zeros()
	k.rows("squares", 0, func(p int) {
		x := v.load(k.row(rowsX, p))
		VMULPS(x, x, x)
		VADDPS(x, sum[p], sum[p])
	})
	k.each(func(p int) {
		v.mul(float(1./32), sum[p], sum[p])
		VSQRTPS(sum[p], sum[p])
	})
	k.rows("weights", 0, func(p int) {
		x := v.load(k.row(rowsX, p))
		v.abs(x, x)
		VADDPS(x, sum[p], x)
		VMOVUPS(x, k.row(rowsW, p))
	})
	k.ret()

	k = v.kernel("weightsMagnitude", "(l *float32, n int)", "sets w to |x|.")
	k.rows("weights", 0, func(p int) {
		x := v.load(k.row(rowsX, p))
		v.abs(x, x)
		VMOVUPS(x, k.row(rowsW, p))
	})
	k.ret()

	k = v.kernel("weightsSquare", "(l *float32, n int)", "sets w to x².")
	k.rows("weights", 0, func(p int) {
		x := v.load(k.row(rowsX, p))
		VMULPS(x, x, x)
		VMOVUPS(x, k.row(rowsW, p))
	})
	k.ret()

	k = v.kernel("weightsImportance", "(l *float32, n int)", "multiplies w by √(spread + x²).")
	s := k.vectors()
	k.each(func(p int) { VMOVUPS(k.field(spread, p), s[p]) })
	k.rows("weights", 0, func(p int) {
		x := v.load(k.row(rowsX, p))
		VMULPS(x, x, x)
		VADDPS(x, s[p], x)
		VSQRTPS(x, x)
		VMULPS(k.row(rowsW, p), x, x)
		VMOVUPS(x, k.row(rowsW, p))
	})
	k.ret()
}

// roundedRows is rows with roundSmall if all lanes of ends, what the ends of the
// groups are before rounding, are small, and with round otherwise.
func (k *laneKernel) roundedRows(label string, ends []reg.VecVirtual, body func(by rounder, p int)) {
	var all mask
	for i, end := range ends {
		k.v.abs(end, end)
		m := k.v.compare(less, end, float(small))
		if i == 0 {
			all = m
		} else {
			k.v.intersect(all, m)
		}
	}
	k.v.jumpUnlessAll(all, label+"Large")
	k.rows(label+"Small", 0, func(p int) { body(roundSmall, p) })
	JMP(LabelRef(label + "End"))
	Label(label + "Large")
	k.rows(label+"Rows", 0, func(p int) { body(round, p) })
	Label(label + "End")
}
