package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// batch is the number of groups that one call of a lane kernel works on.
const batch = 16

// An isa is an instruction set with vectors of that many float32. Kernels say
// what lanes do in its terms: what differs between the sets is in this file, in
// instructions.go and in masks.go.
type isa struct {
	name  string
	width int
}

var (
	avx2   = isa{name: "AVX2", width: 8}
	avx512 = isa{name: "AVX512", width: 16}
)

// parts is the number of vectors that hold one float32 of each group of a batch.
func (v isa) parts() int { return batch / v.width }

func (v isa) bytes() int { return 4 * v.width }

// text begins a function that is called name with the isa's name after it.
func (v isa) text(name, signature, doc string) {
	TEXT(name+v.name, attr.NOSPLIT, "func"+signature)
	Doc(name + v.name + " " + doc)
	Pragma("noescape")
	written(name, signature, v)
}

func (v isa) reg() reg.VecVirtual {
	if v == avx512 {
		return ZMM()
	}
	return YMM()
}

// load returns a register with what is in memory, in a register or a constant.
func (v isa) load(m Op) reg.VecVirtual {
	r := v.reg()
	if c, ok := m.(constant); ok && v == avx512 {
		VBROADCASTSS(c.scalar(), r)
		return r
	} else if ok {
		m = v.vector(uint32(c))
	}
	VMOVUPS(m, r)
	return r
}

func (v isa) zero() reg.VecVirtual {
	r := v.reg()
	v.clear(r)
	return r
}

// local returns a place for a vector on the stack, or a register where there
// are 32 of them.
func (v isa) local() Op {
	if v == avx512 {
		return v.reg()
	}
	return AllocLocal(v.bytes())
}

// broadcast fills a vector with a parameter of 32 bits.
func (v isa) broadcast(param string) reg.VecVirtual {
	r, g := v.reg(), GP32()
	Load(Param(param), g)
	x := XMM()
	VMOVD(g, x)
	VPBROADCASTD(x, r)
	return r
}

// spreadFrom fills a vector with a float32.
func (v isa) spreadFrom(m Mem) reg.VecVirtual {
	r := v.reg()
	VBROADCASTSS(m, r)
	return r
}

// scalar fills a vector with a parameter.
func (v isa) scalar(param string) reg.VecVirtual {
	p, err := Param(param).Resolve()
	if err != nil {
		panic(err)
	}
	return v.spreadFrom(p.Addr)
}

// quads returns a vector of fours of float32.
func (v isa) quads(at func(i int) Mem) reg.VecVirtual {
	r := v.reg()
	VMOVUPS(at(0), r.AsX())
	if v == avx512 {
		for i := 1; i < 4; i++ {
			VINSERTF32X4(Imm(uint64(i)), at(i), r, r)
		}
	} else {
		VINSERTF128(Imm(1), at(1), r, r)
	}
	return r
}

// turn makes four columns of four vectors of quads, of which vector i has those
// of row i, row i+4 and so on.
func (v isa) turn(a [4]reg.VecVirtual) [4]reg.VecVirtual {
	var t [4]reg.VecVirtual
	for i := range t {
		t[i] = v.reg()
	}
	VUNPCKLPS(a[1], a[0], t[0])
	VUNPCKHPS(a[1], a[0], t[1])
	VUNPCKLPS(a[3], a[2], t[2])
	VUNPCKHPS(a[3], a[2], t[3])
	VUNPCKLPD(t[2], t[0], a[0])
	VUNPCKHPD(t[2], t[0], a[1])
	VUNPCKLPD(t[3], t[1], a[2])
	VUNPCKHPD(t[3], t[1], a[3])
	return a
}

// fold leaves op over all elements of a in each of them.
func (v isa) fold(a reg.VecVirtual, op func(a, b, to Op)) {
	b := v.reg()
	if v == avx512 {
		VSHUFF64X2(Imm(0b01_00_11_10), a, a, b)
		op(a, b, a)
	}
	VPERMQ(Imm(0b01_00_11_10), a, b)
	op(a, b, a)
	VPSHUFD(Imm(0b01_00_11_10), a, b)
	op(a, b, a)
	VPSHUFD(Imm(0b10_11_00_01), a, b)
	op(a, b, a)
}

// reduce returns a vector with op over all elements of the vectors in each.
func (v isa) reduce(x []reg.VecVirtual, op func(a, b, to Op)) reg.VecVirtual {
	for len(x) > 1 {
		var halves []reg.VecVirtual
		for i := 0; i < len(x); i += 2 {
			r := v.reg()
			op(x[i], x[i+1], r)
			halves = append(halves, r)
		}
		x = halves
	}
	v.fold(x[0], op)
	return x[0]
}

// packBytes returns the lowest bytes of the 32 elements of l in their order.
func (v isa) packBytes(l []reg.VecVirtual) reg.VecVirtual {
	if v == avx512 {
		lower, upper := YMM(), XMM()
		VPMOVDB(l[0], lower.AsX())
		VPMOVDB(l[1], upper)
		VINSERTI128(Imm(1), upper, lower, lower)
		return lower
	}
	for i := range l {
		v.and(bits(255), l[i], l[i])
	}
	VPACKUSDW(l[1], l[0], l[0])
	VPACKUSDW(l[3], l[2], l[2])
	VPACKUSWB(l[2], l[0], l[0])
	// The packing instructions leave groups of four bytes in another order.
	VPERMD(l[0], v.load(v.vector(0, 4, 1, 5, 2, 6, 3, 7)), l[0])
	return l[0]
}

// storeWords stores the lower halves of 16 elements.
func (v isa) storeWords(l []reg.VecVirtual, to Mem) {
	if v == avx512 {
		VPMOVDW(l[0], to)
		return
	}
	VPACKUSDW(l[1], l[0], l[0])
	VPERMQ(Imm(0b11_01_10_00), l[0], l[0])
	VMOVDQU(l[0], to)
}

// loop repeats body until counter, which it decrements, is 0.
func loop(label string, counter reg.GPVirtual, body func()) {
	Label(label)
	body()
	DECQ(counter)
	JNZ(LabelRef(label))
}
