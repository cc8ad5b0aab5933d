package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// batch is the number of groups that one call of a lane kernel works on.
const batch = 16

// An isa is an instruction set with vectors of that many float32. Kernels say
// what lanes do in its terms; only what moves elements between lanes, and what
// compare and choose do with masks, is AVX2's own.
type isa struct {
	name  string
	width int
}

var avx2 = isa{name: "AVX2", width: 8}

// parts is the number of vectors that hold one float32 of each group of a batch.
func (v isa) parts() int { return batch / v.width }

func (v isa) bytes() int { return 4 * v.width }

// text begins a function that is called name with the isa's name after it.
func (v isa) text(name, signature, doc string) {
	TEXT(name+v.name, attr.NOSPLIT, "func"+signature)
	Doc(name + v.name + " " + doc)
	Pragma("noescape")
}

func (v isa) reg() reg.VecVirtual { return YMM() }

func (v isa) load(m Mem) reg.VecVirtual {
	r := v.reg()
	VMOVUPS(m, r)
	return r
}

func (v isa) copy(r Op) reg.VecVirtual {
	c := v.reg()
	VMOVAPS(r, c)
	return c
}

func (v isa) zero() reg.VecVirtual {
	r := v.reg()
	VXORPS(r, r, r)
	return r
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

// The predicates of comparisons: false for NaNs, but for notEqual.
const (
	equal    = 0x00
	less     = 0x11
	greater  = 0x1e
	notEqual = 0x04
)

// compare returns a mask of the lanes with a pred b.
func (v isa) compare(pred uint64, a, b Op) reg.VecVirtual {
	m := v.reg()
	VCMPPS(Imm(pred), b, a, m)
	return m
}

// choose sets to to with in the lanes of mask.
func (v isa) choose(mask, with, to reg.VecVirtual) { VBLENDVPS(mask, with, to, to) }

var constants = map[[8]uint32]Mem{}

// vector is a constant of 32 bytes.
func vector(u [8]uint32) Mem {
	if m, ok := constants[u]; ok {
		return m
	}
	m := GLOBL(fmt.Sprintf("vector%d", len(constants)), attr.RODATA|attr.NOPTR)
	for i, u := range u {
		DATA(4*i, U32(u))
	}
	constants[u] = m
	return m
}

// bits is a vector of equal numbers.
func bits(u uint32) Mem { return vector([8]uint32{u, u, u, u, u, u, u, u}) }

func float(f float32) Mem { return bits(math.Float32bits(f)) }

func floats(f [8]float32) Mem {
	var u [8]uint32
	for i := range f {
		u[i] = math.Float32bits(f[i])
	}
	return vector(u)
}

const (
	signBit = 1 << 31
	magBits = signBit - 1
	// magic is 1.5·2²³: what is added to it is rounded to an integer, which is
	// then the lower 22 bits of the sum's.
	magic     = 12582912
	magicBits = 0x4b400000
)

// A rounder turns f into the bits of magic + nearest(f) clamped to [low, high],
// bounds that carry magicBits themselves.
type rounder func(f reg.VecVirtual, low, high Op)

// round like the package's nearest keeps only what is in the mantissa if f is
// too large.
func round(f reg.VecVirtual, low, high Op) {
	VADDPS(float(magic), f, f)
	VPAND(bits(0x7fffff), f, f)
	VPOR(bits(magicBits&^0x7fffff), f, f)
	VPMAXSD(low, f, f)
	VPMINSD(high, f, f)
}

// roundSmall is round for magnitudes below small.
func roundSmall(f reg.VecVirtual, low, high Op) {
	VADDPS(float(magic), f, f)
	VPMAXSD(low, f, f)
	VPMINSD(high, f, f)
}

const small = 1 << 22

// loop repeats body until counter, which it decrements, is 0.
func loop(label string, counter reg.GPVirtual, body func()) {
	Label(label)
	body()
	DECQ(counter)
	JNZ(LabelRef(label))
}
