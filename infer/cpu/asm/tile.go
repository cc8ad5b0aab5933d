package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile multiplies that many rows of a with the columns of b. In each step the
// elements of a column of a are repeated in all lanes and multiplied with a row
// of b, which is read once.
func (v isa) tile(rows int) {
	v.text(fmt.Sprintf("tile%d", rows), "(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k int)",
		fmt.Sprintf("is kernels.tile for %d rows.", rows))
	a, b, lda, ldb, k := base("a"), base("b"), stride("lda"), stride("ldb"), integer("k")
	sums := make([][2]reg.VecVirtual, rows)
	for r := range sums {
		sums[r] = [2]reg.VecVirtual{v.zero(), v.zero()}
	}
	at := rowsFrom(a, lda, rows)
	step := func(p int) {
		left, right := v.reg(), v.reg()
		VMOVUPS(Mem{Base: b}, left)
		VMOVUPS(Mem{Base: b, Disp: v.bytes()}, right)
		ADDQ(ldb, b)
		for r := range rows {
			x := v.reg()
			VBROADCASTSS(at.mem(r, 4*p), x)
			VFMADD231PS(left, x, sums[r][0])
			VFMADD231PS(right, x, sums[r][1])
		}
	}
	const unroll = 4
	many := GP64()
	MOVQ(k, many)
	SHRQ(Imm(2), many)
	ANDQ(Imm(unroll-1), k)
	loop("many", many, func() {
		for p := range unroll {
			step(p)
		}
		at.advance(4 * unroll)
	})
	loop("one", k, func() {
		step(0)
		at.advance(4)
	})
	c, ldc := base("c"), stride("ldc")
	for r := range rows {
		for i, sum := range sums[r] {
			m := Mem{Base: c, Disp: v.bytes() * i}
			VADDPS(m, sum, sum)
			VMOVUPS(sum, m)
		}
		ADDQ(ldc, c)
	}
	end()
}

// A pointers reaches rows of a matrix: every third has a register, those after it
// are one and two strides on.
type pointers struct {
	third  []reg.GPVirtual
	stride reg.GPVirtual
}

func rowsFrom(first, stride reg.GPVirtual, rows int) pointers {
	p := pointers{[]reg.GPVirtual{first}, stride}
	for r := 3; r < rows; r += 3 {
		next := GP64()
		LEAQ(Mem{Base: p.third[len(p.third)-1], Index: stride, Scale: 2}, next)
		ADDQ(stride, next)
		p.third = append(p.third, next)
	}
	return p
}

// mem is what stands disp bytes from where row r is.
func (p pointers) mem(r, disp int) Mem {
	m := Mem{Base: p.third[r/3], Disp: disp}
	if r%3 > 0 {
		m.Index, m.Scale = p.stride, uint8(r%3)
	}
	return m
}

func (p pointers) advance(bytes int) {
	for _, r := range p.third {
		ADDQ(U32(bytes), r)
	}
}

// square is the side of the squares that are transposed, with AVX2 in any case.
const square = 8

// pack transposes squares, of eight rows after the other eight.
func (v isa) pack() {
	v.text("pack", "(panel, x []float32, ld, k int)", "is kernels.pack.")
	panel, x, ld, k := base("panel"), base("x"), stride("ld"), integer("k")
	SHRQ(Imm(3), k)
	cols := 2 * v.lanes
	for first := 0; first < cols; first += square {
		left, to, from := GP64(), GP64(), GP64()
		MOVQ(k, left)
		MOVQ(panel, to)
		MOVQ(x, from)
		rows := rowsFrom(from, ld, square)
		loop(fmt.Sprintf("square%d", first), left, func() {
			var side [square]reg.VecVirtual
			for r := range side {
				side[r] = YMM()
				VMOVUPS(rows.mem(r, 0), side[r])
			}
			for p, column := range transposed(side) {
				VMOVUPS(column, Mem{Base: to, Disp: 4 * (p*cols + first)})
			}
			rows.advance(4 * square)
			ADDQ(U32(4*square*cols), to)
		})
		next := GP64()
		MOVQ(ld, next)
		SHLQ(Imm(3), next)
		ADDQ(next, x)
	}
	end()
}

// transposed returns the columns of a square: pairs of rows are interleaved by
// elements, then by pairs, then by halves.
func transposed(rows [square]reg.VecVirtual) (columns [square]reg.VecVirtual) {
	var pairs, fours [square]reg.VecVirtual
	for i := 0; i < square; i += 2 {
		pairs[i], pairs[i+1] = YMM(), YMM()
		VUNPCKLPS(rows[i+1], rows[i], pairs[i])
		VUNPCKHPS(rows[i+1], rows[i], pairs[i+1])
	}
	for i := 0; i < square; i += 4 {
		for j := range 2 {
			low, high := YMM(), YMM()
			VSHUFPS(Imm(0x44), pairs[i+2+j], pairs[i+j], low)
			VSHUFPS(Imm(0xee), pairs[i+2+j], pairs[i+j], high)
			fours[i+2*j], fours[i+2*j+1] = low, high
		}
	}
	for i := range 4 {
		columns[i], columns[i+4] = YMM(), YMM()
		VPERM2F128(Imm(0x20), fours[i+4], fours[i], columns[i])
		VPERM2F128(Imm(0x31), fours[i+4], fours[i], columns[i+4])
	}
	return columns
}
