package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A candidate is Σ w·x·v and Σ w·v² for one way to shift.
type candidate struct{ xv, v2 reg.VecVirtual }

// A splitSearch looks for the best split of so many sorted elements.
type splitSearch struct {
	name, doc string
	elems     int
	shifts    int // ways to shift
	// candidates computes them for the split at row and at each of the
	// places of a vector from column, both in bytes, in the order in which ways are compared.
	candidates func(v isa, sums, row, column reg.GPVirtual) []candidate
}

const shift1 = 0.125

func (v isa) thirds() {
	for _, s := range []splitSearch{
		{"splits32", "is the search of thirds32", 32, 2, candidates32},
		{"splits16", "is the search of thirds16", 16, 4, candidates16},
	} {
		v.splits(s)
	}
}

// splits writes a search: a vector of splits is tried at once, and those that are
// better are then taken one by one, as each makes it harder for the next.
func (v isa) splits(s splitSearch) {
	v.text(s.name, "(sums *float32) (d float32, from, to, way int)",
		s.doc+"; way counts the ways to shift from 1, and 0 is none; from and to are places times 4. Each of the prefix sums is followed by 15 copies of the last.")
	sums := Load(Param("sums"), GP64()).(reg.GPVirtual)
	zero := GP64()
	XORQ(zero, zero)
	Store(zero, Return("way"))
	Store(zero, Return("from"))
	Store(zero, Return("to"))
	found := v.zero()
	Store(found.AsX(), Return("d"))
	best := v.load(bits(math.Float32bits(-math.MaxFloat32)))
	row, column, offset := GP64(), GP64(), GP64()
	XORQ(row, row)
	stored := AllocLocal(2 * s.shifts * v.bytes())

	Label("row")
	MOVQ(row, column)
	Label("column")
	tried := s.candidates(v, sums, row, column)
	var squares []reg.VecVirtual
	for i, c := range tried {
		VMOVUPS(c.xv, stored.Offset(2*i*v.bytes()))
		VMOVUPS(c.v2, stored.Offset((2*i+1)*v.bytes()))
		none := v.compare(notGreater, c.v2, v.zero())
		VMULPS(c.xv, c.xv, c.xv)
		v.fill(none, c.xv) // NaN is not greater
		squares = append(squares, c.xv)
	}
	var allowed []reg.GPVirtual
	for range tried {
		a := GP32()
		MOVL(U32(1<<v.width-1), a)
		allowed = append(allowed, a)
	}

	Label("again")
	any := GP32()
	XORL(any, any)
	var masks []reg.GPVirtual
	for i, c := range tried {
		t := v.reg()
		VMULPS(c.v2, best, t)
		m := v.laneBits(v.compare(greater, squares[i], t))
		ANDL(allowed[i], m)
		ORL(m, any)
		masks = append(masks, m)
	}
	TESTL(any, any)
	JZ(LabelRef("none"))
	lane := GP32()
	BSFL(any, lane)
	for i := range tried[1:] {
		BTL(lane, masks[i])
		JCS(LabelRef(fmt.Sprintf("take%d", i)))
	}
	for i := len(tried) - 1; i >= 0; i-- {
		if i < len(tried)-1 {
			Label(fmt.Sprintf("take%d", i))
		}
		MOVQ(U32(uint32(i+1)), offset)
		Store(offset, Return("way"))
		MOVL(lane, offset.As32())
		d, xv := XMM(), XMM()
		at := func(k int) Mem {
			m := stored.Offset((2*i + k) * v.bytes())
			m.Index, m.Scale = offset, 4
			return m
		}
		VMOVSS(at(0), xv)
		VDIVSS(at(1), xv, d)
		Store(d, Return("d"))
		VMULSS(xv, d, d)
		VBROADCASTSS(d, best)
		for k := range allowed {
			after(lane, k > i, allowed[k])
		}
		if i > 0 {
			JMP(LabelRef("taken"))
		}
	}
	Label("taken")
	Store(row, Return("from"))
	LEAQ(Mem{Base: column, Index: offset, Scale: 4}, offset)
	Store(offset, Return("to"))
	JMP(LabelRef("again"))

	Label("none")
	ADDQ(Imm(uint64(v.bytes())), column)
	CMPQ(column, U32(uint32(4*s.elems)))
	JLE(LabelRef("column"))
	ADDQ(Imm(4), row)
	CMPQ(row, U32(uint32(4*s.elems)))
	JLE(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// after sets the bits of the lanes after lane, and with its own if itself.
func after(lane reg.GPVirtual, itself bool, to reg.GPVirtual) {
	shift := reg.CL
	MOVB(lane.As8(), shift)
	from := uint32(0xfffffffe)
	if itself {
		from = 0xffffffff
	}
	MOVL(U32(from), to)
	SHLL(shift, to)
}

// at is a sum of the array in sums at base, at place.
func at(sums, place reg.GPVirtual, base int) Mem {
	return Mem{Base: sums, Index: place, Scale: 1, Disp: base}
}

func candidates32(v isa, sums, row, column reg.GPVirtual) (c []candidate) {
	const w = 4 * 48
	last := func(base int) Mem { return Mem{Base: sums, Disp: base + 4*32} }
	for _, s := range []float32{shift1, -shift1} {
		low, mid, high := s-1, s, s+1
		xv, v2, t, u := v.reg(), v.reg(), v.reg(), v.reg()
		x0, w0 := v.spreadFrom(at(sums, row, 0)), v.spreadFrom(at(sums, row, w))
		v.mul(float(low), x0, xv)
		VMOVUPS(at(sums, column, 0), t)
		VSUBPS(x0, t, u)
		v.mul(float(mid), u, u)
		VADDPS(u, xv, xv)
		u = v.spreadFrom(last(0))
		VSUBPS(t, u, u)
		v.mul(float(high), u, u)
		VADDPS(u, xv, xv)

		v.mul(float(low), w0, v2)
		v.mul(float(low), v2, v2)
		VMOVUPS(at(sums, column, w), t)
		VSUBPS(w0, t, u)
		v.mul(float(mid), u, u)
		v.mul(float(mid), u, u)
		VADDPS(u, v2, v2)
		u = v.spreadFrom(last(w))
		VSUBPS(t, u, u)
		v.mul(float(high), u, u)
		v.mul(float(high), u, u)
		VADDPS(u, v2, v2)
		c = append(c, candidate{xv, v2})
	}
	return c
}

func candidates16(v isa, sums, row, column reg.GPVirtual) (c []candidate) {
	const w, next = 4 * 32, 8 * 32
	var of [2][2]candidate
	for eight := range of {
		for k, s := range []float32{shift1, -shift1} {
			base, high := eight*next, s+1
			xv, v2, t := v.spreadFrom(Mem{Base: sums, Disp: base + 4*16}), v.spreadFrom(Mem{Base: sums, Disp: base + w + 4*16}), v.spreadFrom(at(sums, row, base))
			v.mul(float(high), xv, xv)
			VADDPS(at(sums, column, base), t, t)
			VSUBPS(t, xv, xv)
			v.mul(float(high), v2, v2)
			v.mul(float(high), v2, v2)
			t = v.spreadFrom(at(sums, row, base+w))
			v.mul(float(1-s-s), t, t)
			VADDPS(t, v2, v2)
			VMOVUPS(at(sums, column, base+w), t)
			v.mul(float(-1-s-s), t, t)
			VADDPS(t, v2, v2)
			of[eight][k] = candidate{xv, v2}
		}
	}
	for s := range 4 {
		xv, v2 := v.reg(), v.reg()
		VADDPS(of[1][s&1].xv, of[0][s>>1].xv, xv)
		VADDPS(of[1][s&1].v2, of[0][s>>1].v2, v2)
		c = append(c, candidate{xv, v2})
	}
	return c
}
