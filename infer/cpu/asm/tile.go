package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The shape of a tile, package cpu's: 12 of the 16 registers are sums.
const (
	tileRows = 6
	tileCols = 2 * lanes
)

// tile multiplies that many rows of a with the columns of b. In each step the
// elements of a column of a are repeated in all lanes and multiplied with a row
// of b, which is read once.
func tile(rows int) {
	text(fmt.Sprintf("tile%d", rows), "(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k int)",
		fmt.Sprintf("is kernels.tile for %d rows.", rows))
	a, b, lda, ldb, k := base("a"), base("b"), stride("lda"), stride("ldb"), integer("k")
	var sums [tileRows][2]reg.VecVirtual
	for r := range rows {
		sums[r] = [2]reg.VecVirtual{zero(), zero()}
	}
	at := rowsFrom(a, lda, rows)
	step := func(p int) {
		left, right := YMM(), YMM()
		VMOVUPS(Mem{Base: b}, left)
		VMOVUPS(Mem{Base: b, Disp: 4 * lanes}, right)
		ADDQ(ldb, b)
		for r := range rows {
			x := YMM()
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
			m := Mem{Base: c, Disp: 4 * lanes * i}
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

// pack transposes squares of 8 by 8, of the first eight rows and the other eight.
func pack() {
	text("pack", "(panel, x []float32, ld, k int)", "is kernels.pack.")
	panel, x, ld, k := base("panel"), base("x"), stride("ld"), integer("k")
	SHRQ(Imm(3), k)
	upper := GP64()
	MOVQ(ld, upper)
	SHLQ(Imm(3), upper)
	ADDQ(x, upper)
	halves := []pointers{rowsFrom(x, ld, lanes), rowsFrom(upper, ld, lanes)}
	loop("square", k, func() {
		for h, rows := range halves {
			var square [lanes]reg.VecVirtual
			for r := range square {
				square[r] = YMM()
				VMOVUPS(rows.mem(r, 0), square[r])
			}
			for p, column := range transposed(square) {
				VMOVUPS(column, Mem{Base: panel, Disp: 4 * (p*tileCols + h*lanes)})
			}
			rows.advance(4 * lanes)
		}
		ADDQ(U32(4*lanes*tileCols), panel)
	})
	end()
}

// transposed returns the columns of a square: pairs of rows are interleaved by
// elements, then by pairs, then by halves.
func transposed(rows [lanes]reg.VecVirtual) (columns [lanes]reg.VecVirtual) {
	var pairs, fours [lanes]reg.VecVirtual
	for i := 0; i < lanes; i += 2 {
		pairs[i], pairs[i+1] = YMM(), YMM()
		VUNPCKLPS(rows[i+1], rows[i], pairs[i])
		VUNPCKHPS(rows[i+1], rows[i], pairs[i+1])
	}
	for i := 0; i < lanes; i += 4 {
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
