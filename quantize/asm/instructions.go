package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A constant is a vector of equal numbers, as an operand. In memory it is a
// vector for AVX2 and one number for AVX-512, whose instructions repeat it.
type constant uint32

// Asm makes a constant an operand; no instruction is printed with it.
func (c constant) Asm() string { return fmt.Sprintf("%#08x", uint32(c)) }

func bits(u uint32) constant { return constant(u) }

func float(f float32) constant { return bits(math.Float32bits(f)) }

// scalar is the number in memory.
func (c constant) scalar() Mem { return inMemory(uint32(c)) }

var placed = map[string]Mem{}

// inMemory is read-only memory with these numbers.
func inMemory(u ...uint32) Mem {
	key := fmt.Sprint(u)
	if m, ok := placed[key]; ok {
		return m
	}
	m := GLOBL(fmt.Sprintf("constant%d", len(placed)), attr.RODATA|attr.NOPTR)
	for i, u := range u {
		DATA(4*i, U32(u))
	}
	placed[key] = m
	return m
}

// vector repeats u until there is one for each lane.
func (v isa) vector(u ...uint32) Mem {
	var all []uint32
	for len(all) < v.width {
		all = append(all, u...)
	}
	return inMemory(all...)
}

// table is vector of float32.
func (v isa) table(f ...float32) Mem {
	var u []uint32
	for _, f := range f {
		u = append(u, math.Float32bits(f))
	}
	return v.vector(u...)
}

// An instruction has a form for each kind of its first operand.
type instruction struct {
	plain     func(...Op) // avx2's, and avx512's if it is nil
	wide      func(...Op)
	broadcast func(...Op) // with a float32 in memory
}

// with appends the instruction with operands, of which the one at n may be a
// constant.
func (v isa) with(i instruction, n int, operands ...Op) {
	f := i.plain
	if v == avx512 && i.wide != nil {
		f = i.wide
	}
	if c, ok := operands[n].(constant); ok && v == avx512 {
		f, operands[n] = i.broadcast, c.scalar()
	} else if ok {
		operands[n] = v.vector(uint32(c))
	}
	f(operands...)
}

// Instructions that take constants, in the operand order of the assembler: a is
// what is subtracted or divided by.

func (v isa) add(a, b, to Op) { v.with(instruction{VADDPS, nil, VADDPS_BCST}, 0, a, b, to) }
func (v isa) sub(a, b, to Op) { v.with(instruction{VSUBPS, nil, VSUBPS_BCST}, 0, a, b, to) }
func (v isa) mul(a, b, to Op) { v.with(instruction{VMULPS, nil, VMULPS_BCST}, 0, a, b, to) }
func (v isa) div(a, b, to Op) { v.with(instruction{VDIVPS, nil, VDIVPS_BCST}, 0, a, b, to) }

func (v isa) addInt(a, b, to Op) { v.with(instruction{VPADDD, nil, VPADDD_BCST}, 0, a, b, to) }
func (v isa) subInt(a, b, to Op) { v.with(instruction{VPSUBD, nil, VPSUBD_BCST}, 0, a, b, to) }
func (v isa) maxInt(a, b, to Op) { v.with(instruction{VPMAXSD, nil, VPMAXSD_BCST}, 0, a, b, to) }
func (v isa) minInt(a, b, to Op) { v.with(instruction{VPMINSD, nil, VPMINSD_BCST}, 0, a, b, to) }

func (v isa) and(a, b, to Op) { v.with(instruction{threeOf(VPAND), VPANDD, VPANDD_BCST}, 0, a, b, to) }
func (v isa) or(a, b, to Op)  { v.with(instruction{threeOf(VPOR), VPORD, VPORD_BCST}, 0, a, b, to) }

// threeOf is for instructions that have no mask as a fourth operand.
func threeOf(f func(a, b, to Op)) func(...Op) { return func(o ...Op) { f(o[0], o[1], o[2]) } }

// abs sets to to the magnitudes of x.
func (v isa) abs(x, to Op) {
	v.with(instruction{VANDPS, nil, VANDPS_BCST}, 0, bits(magBits), x, to)
}

func (v isa) clear(r reg.VecVirtual) {
	if v == avx512 {
		VPXORD(r, r, r)
	} else {
		VXORPS(r, r, r)
	}
}

// lookup sets to to the values of the elements of q, which are below 16.
func (v isa) lookup(values [16]float32, q, to reg.VecVirtual) {
	if v == avx512 {
		VPERMPS(v.table(values[:]...), q, to)
		return
	}
	odd, half, last := v.reg(), v.reg(), v.reg()
	VPSRLD(Imm(1), q, half)
	VPERMPS(v.everyOther(values, 0), half, to)
	VPERMPS(v.everyOther(values, 1), half, odd)
	VPSLLD(Imm(31), q, last)
	v.choose(last, odd, to)
}

// everyOther are the values with even or odd numbers.
func (v isa) everyOther(of [16]float32, odd int) Mem {
	var values []float32
	for i := odd; i < len(of); i += 2 {
		values = append(values, of[i])
	}
	return v.table(values...)
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
type rounder func(v isa, f reg.VecVirtual, low, high Op)

// round like the package's nearest keeps only what is in the mantissa if f is
// too large.
func round(v isa, f reg.VecVirtual, low, high Op) {
	v.add(float(magic), f, f)
	v.and(bits(0x7fffff), f, f)
	v.or(bits(magicBits&^0x7fffff), f, f)
	v.maxInt(low, f, f)
	v.minInt(high, f, f)
}

// roundSmall is round for magnitudes below small.
func roundSmall(v isa, f reg.VecVirtual, low, high Op) {
	v.add(float(magic), f, f)
	v.maxInt(low, f, f)
	v.minInt(high, f, f)
}

const small = 1 << 22

// level returns the level that x·inv rounds to, as a float32.
func (v isa) level(by rounder, x, inv reg.VecVirtual, low, high Op) reg.VecVirtual {
	l := v.reg()
	VMULPS(x, inv, l)
	by(v, l, low, high)
	v.sub(float(magic), l, l)
	return l
}

// truncateAway is roundAway of the package.
func (v isa) truncateAway(x reg.VecVirtual) {
	half := v.reg()
	v.and(bits(signBit), x, half)
	v.or(bits(0x3effffff), half, half)
	VADDPS(half, x, x)
	VCVTTPS2DQ(x, x)
}
