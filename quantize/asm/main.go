// Command asm writes the vector kernels of package quantize: Go assembly, the
// declarations to call it, and methods that call the kernel of an instruction
// set. A kernel computes in every lane exactly what the package's Go code
// computes for one group of elements, in the same order, with the same
// roundings; it never multiplies and adds in one step.
package main

import (
	"flag"
	"log"
	"os"

	"github.com/mmcloughlin/avo/build"
)

func main() {
	calls := flag.String("calls", "", "write the methods to this file")
	flag.Parse()
	build.ConstraintExpr("!noasm")
	for _, v := range []isa{avx2, avx512} {
		v.halves()
		v.legacy()
		v.lanes()
		v.sums()
	}
	build.Generate()
	source, err := callsSource()
	if err == nil {
		err = os.WriteFile(*calls, source, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}
