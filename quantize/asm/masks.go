package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A mask says which lanes: all bits of their elements in a vector of AVX2, a bit
// for each in a mask register of AVX-512.
type mask = Op

func (v isa) mask() mask {
	if v == avx512 {
		return K()
	}
	return v.reg()
}

// The predicates of comparisons: false for NaNs, but for those that begin with not.
const (
	equal          = 0x00
	notEqual       = 0x04
	notLess        = 0x05
	notGreater     = 0x0a
	less           = 0x11
	greaterOrEqual = 0x1d
	greater        = 0x1e
)

// compare returns the lanes with a pred b.
func (v isa) compare(pred uint64, a, b Op) mask {
	m := v.mask()
	v.with(instruction{VCMPPS, nil, VCMPPS_BCST}, 1, Imm(pred), b, a, m)
	return m
}

// greaterInt returns the lanes with a > b.
func (v isa) greaterInt(a, b Op) mask {
	m := v.mask()
	v.with(instruction{VPCMPGTD, nil, VPCMPGTD_BCST}, 0, b, a, m)
	return m
}

func (v isa) equalInt(a, b Op) mask {
	m := v.mask()
	VPCMPEQD(b, a, m)
	return m
}

// none sets m to no lanes.
func (v isa) none(m mask) {
	if v == avx512 {
		KXORW(m, m, m)
	} else {
		VXORPS(m, m, m)
	}
}

// intersect leaves the lanes of b in a.
func (v isa) intersect(a, b mask) {
	if v == avx512 {
		KANDW(b, a, a)
	} else {
		VANDPS(b, a, a)
	}
}

// unite adds the lanes of b to a.
func (v isa) unite(a, b mask) {
	if v == avx512 {
		KORW(b, a, a)
	} else {
		VORPS(b, a, a)
	}
}

// choose sets to to with in the lanes of m.
func (v isa) choose(m mask, with, to reg.VecVirtual) {
	if v == avx512 {
		VMOVAPS(with, m, to)
	} else {
		VBLENDVPS(m, with, to, to)
	}
}

// keep makes r zero except in the lanes of m.
func (v isa) keep(m mask, r reg.VecVirtual) {
	if v == avx512 {
		VMOVAPS_Z(r, m, r)
	} else {
		VANDPS(m, r, r)
	}
}

// drop makes r zero in the lanes of m.
func (v isa) drop(m mask, r reg.VecVirtual) {
	if v == avx512 {
		VPXORD(r, r, m, r)
	} else {
		VANDNPS(r, m, r)
	}
}

// fill sets all bits of r in the lanes of m.
func (v isa) fill(m mask, r reg.VecVirtual) {
	if v == avx512 {
		VPTERNLOGD(Imm(0xff), r, r, m, r)
	} else {
		VPOR(m, r, r)
	}
}

// increment adds 1 to the integers of r in the lanes of m.
func (v isa) increment(m mask, r reg.VecVirtual) {
	if v == avx512 {
		VPADDD_BCST(bits(1).scalar(), r, m, r)
	} else {
		VPSUBD(m, r, r) // all bits are −1
	}
}

// set sets the bits of c in the lanes of m.
func (v isa) set(m mask, c constant, r reg.VecVirtual) {
	if v == avx512 {
		VPORD_BCST(c.scalar(), r, m, r)
		return
	}
	t := v.reg()
	v.and(c, m, t)
	v.or(t, r, r)
}

// jumpIfNone jumps if m has no lanes.
func (v isa) jumpIfNone(m mask, label string) {
	v.test(m)
	JZ(LabelRef(label))
}

// jumpIfAny jumps if m has lanes.
func (v isa) jumpIfAny(m mask, label string) {
	v.test(m)
	JNZ(LabelRef(label))
}

func (v isa) test(m mask) {
	if v == avx512 {
		KORTESTW(m, m)
	} else {
		VPTEST(m, m)
	}
}

// jumpUnlessAll jumps if m lacks a lane.
func (v isa) jumpUnlessAll(m mask, label string) {
	CMPL(v.laneBits(m), U32(1<<v.width-1))
	JNE(LabelRef(label))
}

// laneBits returns a bit for each lane.
func (v isa) laneBits(m mask) reg.GPVirtual {
	g := GP32()
	if v == avx512 {
		KMOVW(m, g)
	} else {
		VMOVMSKPS(m, g)
	}
	return g
}

// bitsOf32 returns a bit for each of 32 elements.
func (v isa) bitsOf32(m []mask) reg.GPVirtual {
	g := GP32()
	if v == avx512 {
		all := K()
		KUNPCKWD(m[0], m[1], all)
		KMOVD(all, g)
		return g
	}
	var l []reg.VecVirtual
	for _, m := range m {
		l = append(l, m.(reg.VecVirtual))
	}
	VPMOVMSKB(v.packBytes(l), g)
	return g
}

// storeMask stores m at the place of a vector.
func (v isa) storeMask(m mask, to Mem) {
	if v == avx512 {
		KMOVW(m, to)
	} else {
		VMOVUPS(m, to)
	}
}

func (v isa) loadMask(from Mem) mask {
	m := v.mask()
	if v == avx512 {
		KMOVW(from, m)
	} else {
		VMOVUPS(from, m)
	}
	return m
}
