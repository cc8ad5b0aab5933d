// Command asm writes the vector kernels of package quantize: Go assembly and
// the declarations to call it. A kernel computes in every lane exactly what the
// package's Go code computes for one group of elements, in the same order, with
// the same roundings; it never multiplies and adds in one step.
package main

import (
	"github.com/mmcloughlin/avo/build"
)

func main() {
	build.ConstraintExpr("!noasm")
	for _, v := range []isa{avx2} {
		v.halves()
		v.legacy()
		v.lanes()
	}
	build.Generate()
}
