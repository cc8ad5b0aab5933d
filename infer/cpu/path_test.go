package cpu

import (
	"bytes"
	"os"
	"regexp"
	"testing"
)

// Registers from the 17th on, and those of 512 bits, are AVX-512's: the assembler
// takes them, and a machine with AVX2 alone stops at the instruction.
func TestAVX2KernelsKeepToTheRegistersOfAVX2(t *testing.T) {
	b, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	others := regexp.MustCompile(`(?m)^.*\b([XY](1[6-9]|2[0-9]|3[01])|Z[0-9]+|K[0-7])\b.*$`)
	kernels := 0
	for _, text := range bytes.Split(b, []byte("\nTEXT ·"))[1:] {
		name, _, _ := bytes.Cut(text, []byte("("))
		if !bytes.HasSuffix(name, []byte("AVX2")) {
			continue
		}
		kernels++
		for _, line := range others.FindAll(text, -1) {
			t.Errorf("%s: %s", name, line)
		}
	}
	if kernels < 14 {
		t.Errorf("%d kernels; want all", kernels)
	}
}
