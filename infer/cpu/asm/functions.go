package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var constants = map[uint32]Mem{}

// maxLanes is the number of lanes of the longest vectors.
const maxLanes = 16

// bits is a vector of equal numbers.
func bits(u uint32) Mem {
	if m, ok := constants[u]; ok {
		return m
	}
	m := GLOBL(fmt.Sprintf("all%08x", u), attr.RODATA|attr.NOPTR)
	for i := range maxLanes {
		DATA(4*i, U32(u))
	}
	constants[u] = m
	return m
}

func float(f float64) Mem { return bits(math.Float32bits(float32(f))) }

func (v isa) constant(f float64) reg.VecVirtual {
	r := v.reg()
	VMOVUPS(float(f), r)
	return r
}

// polynomial returns the value of that with the coefficients, the highest first.
func (v isa) polynomial(x reg.VecVirtual, coefficients ...float64) reg.VecVirtual {
	y := v.constant(coefficients[0])
	for _, c := range coefficients[1:] {
		VFMADD213PS(float(c), x, y)
	}
	return y
}

// clamp keeps NaNs, which the instructions take from their first operand here.
func (v isa) clamp(x reg.VecVirtual, low, high float64) {
	VMAXPS(x, v.constant(low), x)
	VMINPS(x, v.constant(high), x)
}

// exp replaces x by its exponential: 2ⁿ·eʳ with |r| ≤ ln2/2, and eʳ by the
// polynomial of Cephes' expf (Moshier, single/expf.c). x is clamped to where the
// result is normal.
func (v isa) exp(x reg.VecVirtual) reg.VecVirtual {
	v.clamp(x, -87.3, 88.3)
	n := v.reg()
	VMULPS(float(math.Log2E), x, n)
	v.round(n)
	VFNMADD231PS(float(0.693359375), n, x)
	VFNMADD231PS(float(-2.12194440e-4), n, x)
	y := v.polynomial(x, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
	square := v.reg()
	VMULPS(x, x, square)
	VFMADD213PS(x, square, y)
	VADDPS(float(1), y, y)
	VCVTPS2DQ(n, n)
	VPSLLD(Imm(23), n, n)
	VPADDD(n, y, y)
	return y
}

// round rounds to the nearest integers, halves to even ones.
func (v isa) round(x reg.VecVirtual) {
	if v.lanes == 16 {
		VRNDSCALEPS(Imm(0), x, x)
		return
	}
	VROUNDPS(Imm(0), x, x)
}

// elements runs body for the vectors of a slice; advance moves on.
func (v isa) elements(n reg.GPVirtual, pointers []reg.GPVirtual, body func()) {
	v.vectors(n)
	loop("next", n, func() {
		body()
		for _, p := range pointers {
			ADDQ(U32(v.bytes()), p)
		}
	})
}

func (v isa) maximum() {
	v.text("maximum", "(x []float32) float32", "returns the largest of the elements in whole vectors, of which there is one at least.")
	x, n := base("x"), length("x")
	most := v.reg()
	VMOVUPS(Mem{Base: x}, most)
	v.elements(n, []reg.GPVirtual{x}, func() { VMAXPS(Mem{Base: x}, most, most) })
	Store(v.across(most, VMAXPS), ReturnIndex(0))
	end()
}

func (v isa) exponential() {
	v.text("exp", "(x []float32, scale, shift float32) float32", "is kernels.exp for whole vectors.")
	x, n := base("x"), length("x")
	scale, shift, sum := v.spread("scale"), v.spread("shift"), v.zero()
	v.elements(n, []reg.GPVirtual{x}, func() {
		z := v.reg()
		VMOVUPS(Mem{Base: x}, z)
		VFMSUB213PS(shift, scale, z)
		y := v.exp(z)
		VADDPS(y, sum, sum)
		VMOVUPS(y, Mem{Base: x})
	})
	Store(v.across(sum, VADDPS), ReturnIndex(0))
	end()
}

func (v isa) silu() {
	v.text("silu", "(y, gate, up []float32)", "is kernels.silu for whole vectors.")
	y, gate, up, n := base("y"), base("gate"), base("up"), length("y")
	v.elements(n, []reg.GPVirtual{y, gate, up}, func() {
		g, negative := v.reg(), v.reg()
		VMOVUPS(Mem{Base: gate}, g)
		VXORPS(bits(1<<31), g, negative)
		e := v.exp(negative)
		VADDPS(float(1), e, e)
		VDIVPS(e, g, g)
		VMULPS(Mem{Base: up}, g, g)
		VMOVUPS(g, Mem{Base: y})
	})
	end()
}

// gelu takes erf as the quotient of odd and even polynomials on [-4, 4], whose
// coefficients are those of Eigen (Eigen/src/Core/MathFunctionsImpl.h and
// SpecialFunctionsImpl.h, erf of float).
func (v isa) gelu() {
	v.text("gelu", "(y, x []float32)", "is kernels.gelu for whole vectors.")
	to, from, n := base("y"), base("x"), length("y")
	v.elements(n, []reg.GPVirtual{to, from}, func() {
		x, t, square := v.reg(), v.reg(), v.reg()
		VMOVUPS(Mem{Base: from}, x)
		VMULPS(float(1/math.Sqrt2), x, t)
		v.clamp(t, -4, 4)
		VMULPS(t, t, square)
		p := v.polynomial(square, -2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
			-7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02)
		VMULPS(t, p, p)
		q := v.polynomial(square, -1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
			-1.42647390514189e-02)
		VDIVPS(q, p, p)
		VADDPS(float(1), p, p)
		VMULPS(float(0.5), x, x)
		VMULPS(p, x, x)
		VMOVUPS(x, Mem{Base: to})
	})
	end()
}
