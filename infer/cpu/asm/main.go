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
	for rows := 1; rows <= tileRows; rows++ {
		tile(rows)
	}
	pack()
	dot("dotF32", "float32", 4, fromF32)
	dot("dotF16", "byte", 2, fromF16)
	dot("dotBF16", "byte", 2, fromBF16)
	maximum()
	exponential()
	silu()
	gelu()
	Generate()
}

// lanes is the number of float32 in a vector.
const lanes = 8

// text begins a kernel.
func text(name, signature, doc string) {
	name += "AVX2"
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
func spread(param string) reg.VecVirtual {
	addr, err := Param(param).Resolve()
	if err != nil {
		panic(err)
	}
	r := YMM()
	VBROADCASTSS(addr.Addr, r)
	return r
}

func zero() reg.VecVirtual {
	r := YMM()
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
