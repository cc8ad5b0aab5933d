// Command asm writes the vector kernels of package cpu: Go assembly and the
// declarations to call it. What they compute is what the Go code of the package
// computes, in another order and with fused products and sums.
package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!noasm")
	for _, v := range []isa{avx2, avx512} {
		for rows := 1; rows <= v.tileRows; rows++ {
			v.tile(rows)
		}
		v.pack()
		v.dot("dotF32", "float32", 4, fromF32)
		v.dot("dotF16", "byte", 2, fromF16)
		v.dot("dotBF16", "byte", 2, fromBF16)
		v.maximum()
		v.exponential()
		v.silu()
		v.gelu()
	}
	Generate()
}

// An isa is an instruction set with vectors of that many float32. A tile has two
// vectors of columns; its rows are as many as leave registers for the factors.
type isa struct {
	name     string
	lanes    int
	shift    uint64 // lanes is 1<<shift
	tileRows int
	reg      func() reg.VecVirtual
}

var (
	avx2   = isa{"AVX2", 8, 3, 6, func() reg.VecVirtual { return YMM() }}
	avx512 = isa{"AVX512", 16, 4, 12, func() reg.VecVirtual { return ZMM() }}
)

// bytes is the size of a vector.
func (v isa) bytes() int { return 4 * v.lanes }

// text begins a kernel.
func (v isa) text(name, signature, doc string) {
	name += v.name
	TEXT(name, attr.NOSPLIT, "func"+signature)
	Doc(name + " " + doc)
	Pragma("noescape")
}

func end() {
	VZEROUPPER()
	RET()
}

// base is where a slice parameter starts.
func base(param string) reg.GPVirtual { return Load(Param(param).Base(), GP64()).(reg.GPVirtual) }

func length(param string) reg.GPVirtual { return Load(Param(param).Len(), GP64()).(reg.GPVirtual) }

func integer(param string) reg.GPVirtual { return Load(Param(param), GP64()).(reg.GPVirtual) }

// stride is an integer parameter that counts float32, in bytes.
func stride(param string) reg.GPVirtual {
	r := integer(param)
	SHLQ(Imm(2), r)
	return r
}

// spread fills a vector with a float32 parameter.
func (v isa) spread(param string) reg.VecVirtual {
	addr, err := Param(param).Resolve()
	if err != nil {
		panic(err)
	}
	r := v.reg()
	VBROADCASTSS(addr.Addr, r)
	return r
}

func (v isa) zero() reg.VecVirtual {
	r := v.reg()
	VXORPS(r, r, r)
	return r
}

// loop repeats body until counter, which it decrements, is 0; not at all if it is
// 0 at first.
func loop(label string, counter reg.GPVirtual, body func()) {
	TESTQ(counter, counter)
	JZ(LabelRef(label + "Done"))
	Label(label)
	body()
	DECQ(counter)
	JNZ(LabelRef(label))
	Label(label + "Done")
}
