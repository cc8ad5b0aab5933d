package quantize

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/quantize/quantizetest"
	"github.com/smelt-project/smelt/tensor"
)

// onPaths calls f for every path that is not the Go code; those that this
// machine lacks are skipped.
func onPaths(t *testing.T, f func(t *testing.T, p *vectorPath)) {
	t.Helper()
	if len(paths) == 1 {
		t.Skip("this build has no vector path")
	}
	for i := range paths[1:] {
		p := &paths[1+i]
		t.Run(p.name, func(t *testing.T) {
			if !p.available {
				t.Skipf("this machine has no %s", p.name)
			}
			f(t, p)
		})
	}
}

// differ encodes x both ways and reports the first difference.
func differ(t *testing.T, p *vectorPath, d tensor.DType, what string, x, importance []float32) {
	t.Helper()
	l, _ := d.Layout()
	want, wantLost := encoded(d, x, importance)
	got := bytes.Repeat([]byte{0xa5}, len(want)+64)
	lost := p.encode[d](got[:len(want)], x, importance)
	if lost != wantLost {
		t.Errorf("%v, %s: %d values lost; want %d", d, what, lost, wantLost)
	}
	sameBlocks(t, got[:len(want)], want, l.Bytes)
	for _, b := range got[len(want):] {
		if b != 0xa5 {
			t.Fatalf("%v, %s: written beyond the end", d, what)
		}
	}
	if t.Failed() {
		t.Fatalf("%v, %s, %d elements, importance: %v", d, what, len(x), importance != nil)
	}
}

// Every encoder of a vector path is put to rows of every kind, alone and with
// others, so that a batch holds rows of several kinds.
func TestVectorEncodersEqualTheGoCode(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	onPaths(t, func(t *testing.T, p *vectorPath) {
		for d := range p.encode {
			l, _ := d.Layout()
			step := max(l.Elems, 16)
			r := rand.New(rand.NewPCG(14, uint64(d)))
			for round := range rounds {
				for _, g := range quantizetest.Generators {
					row := step * (1 + r.IntN(40*32/step+1))
					x := make([]float32, row*(1+r.IntN(3)))
					for i := 0; i < len(x); i += row {
						kind := g
						if round%4 == 3 && i > 0 {
							kind = quantizetest.Generators[r.IntN(len(quantizetest.Generators))]
						}
						kind.Fill(r, x[i:i+row])
					}
					differ(t, p, d, g.Name, x, nil)
					importance := make([]float32, row)
					quantizetest.Importance(r, importance)
					differ(t, p, d, g.Name, x, importance)
				}
			}
		}
	})
}

func TestVectorDecodersEqualTheGoCode(t *testing.T) {
	onPaths(t, func(t *testing.T, p *vectorPath) {
		for d := range p.decode {
			l, _ := d.Layout()
			r := rand.New(rand.NewPCG(15, uint64(d)))
			for n := range 300 {
				src := make([]byte, r.IntN(40)*l.Bytes)
				for i := range src {
					src[i] = byte(r.Uint32())
				}
				if n == 0 { // every code of the types of two bytes, every scale
					src = make([]byte, l.Bytes<<16)
					for i := range src {
						src[i] = byte(i / l.Bytes >> (8 * (i % l.Bytes)))
					}
				}
				sameNumbers(t, p, d, src)
			}
		}
	})
}

// sameNumbers decodes src both ways and reports the first difference.
func sameNumbers(t *testing.T, p *vectorPath, d tensor.DType, src []byte) {
	t.Helper()
	l, _ := d.Layout()
	want := decoded(d, src)
	got := make([]float32, len(want)+1)
	got[len(want)] = 0.5
	p.decode[d](got[:len(want)], src)
	for i, v := range want {
		if math.Float32bits(got[i]) != math.Float32bits(v) {
			t.Fatalf("%v: element %d of %x = %08x; want %08x", d, i, src[i/l.Elems*l.Bytes:][:l.Bytes], math.Float32bits(got[i]), math.Float32bits(v))
		}
	}
	if got[len(want)] != 0.5 {
		t.Fatalf("%v: written beyond the end", d)
	}
}

func TestVectorTranscodersEqualTheGoCode(t *testing.T) {
	onPaths(t, func(t *testing.T, p *vectorPath) {
		for k, transcode := range p.direct {
			from, _ := k.from.Layout()
			to, _ := k.to.Layout()
			x := interesting(20000, 10)
			for _, n := range []int{0, 1, 15, 16, 17, 1000, len(x)} {
				src := make([]byte, 4*n)
				encodeF32(src, x[:n], nil)
				n = len(src) / from.Bytes
				got, want, scratch := make([]byte, n*to.Bytes), make([]byte, n*to.Bytes), make([]float32, n)
				lost, wantLost := transcode(got, src, scratch), direct[k](want, src, scratch)
				if lost != wantLost || !bytes.Equal(got, want) {
					t.Errorf("%v to %v, %d elements: bytes differ, or %d lost; want %d", k.from, k.to, n, lost, wantLost)
				}
			}
		}
	})
}

// The parts are compared bit by bit, but for what is no number.
func TestVectorSumsEqualTheGoCode(t *testing.T) {
	onPaths(t, func(t *testing.T, p *vectorPath) {
		r := rand.New(rand.NewPCG(18, 19))
		for _, g := range quantizetest.Generators {
			for _, n := range []int{1, 15, 16, 17, 4096, 5000} {
				x, y := make([]float32, n), make([]float32, n)
				g.Fill(r, x)
				g.Fill(r, y)
				var got, want sums
				for range 2 { // to sums that are not zero
					p.sum(&got, x, y)
					want.addAll(x, y)
				}
				if got.finite() != want.finite() {
					t.Errorf("%s, %d elements: finite %v; want %v", g.Name, n, got.finite(), want.finite())
				}
				for i := range sumLanes {
					sameSum(t, g.Name, got.squares[i], want.squares[i])
					sameSum(t, g.Name, got.errors[i], want.errors[i])
				}
			}
		}
	})
}

func sameSum(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Float64bits(got) != math.Float64bits(want) && (got == got || want == want) {
		t.Errorf("%s: %g; want %g", what, got, want)
	}
}

// FuzzVectorEncoders takes any bytes, repeated, for numbers and importance.
func FuzzVectorEncoders(f *testing.F) {
	r := rand.New(rand.NewPCG(16, 17))
	for i, g := range quantizetest.Generators {
		x := make([]float32, 64)
		g.Fill(r, x)
		b := make([]byte, 4*len(x))
		encodeF32(b, x, nil)
		f.Add(b, uint8(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, rowSteps uint8, weighted bool) {
		if len(data) < 4 {
			return
		}
		for i := range paths[1:] {
			p := &paths[1+i]
			if !p.available {
				continue
			}
			for d := range p.encode {
				l, _ := d.Layout()
				row := max(l.Elems, 16) * (1 + int(rowSteps)%5)
				x := make([]float32, 3*row)
				for i := range x {
					var b [4]byte
					for j := range b {
						b[j] = data[(4*i+j)%len(data)]
					}
					decodeF32(x[i:i+1], b[:])
				}
				var importance []float32
				if weighted {
					importance = x[row : 2*row]
				}
				differ(t, p, d, "fuzz", x, importance)
			}
		}
	})
}

func FuzzVectorDecoders(f *testing.F) {
	f.Add([]byte("\x00\x7e\x01\x7c\xff\xff\x01\x02\x03"), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, blocks uint8) {
		if len(data) == 0 {
			return
		}
		for i := range paths[1:] {
			p := &paths[1+i]
			if !p.available {
				continue
			}
			for d := range p.decode {
				l, _ := d.Layout()
				src := make([]byte, int(blocks)%20*l.Bytes)
				for i := range src {
					src[i] = data[i%len(data)]
				}
				sameNumbers(t, p, d, src)
			}
		}
	})
}

func TestPathsAreChosenByName(t *testing.T) {
	if p, err := choosePath("scalar"); err != nil || p.name != "scalar" {
		t.Errorf("scalar: %v, %v", p, err)
	}
	_, err := choosePath("mmx")
	if err == nil || !strings.Contains(err.Error(), `SMELT_CPU="mmx"`) || !strings.Contains(err.Error(), "scalar") {
		t.Errorf("error of an unknown path: %v; want both what was asked for and what there is", err)
	}
	fastest, err := choosePath("")
	if err != nil {
		t.Fatal(err)
	}
	for i := range paths {
		p := &paths[i]
		named, err := choosePath(p.name)
		if p.available != (err == nil) || p.available && named != p {
			t.Errorf("%s: %v, %v; available: %v", p.name, named, err, p.available)
		}
		if p.available && p == &paths[len(paths)-1] && fastest != p {
			t.Errorf("the fastest path is %s; want %s", fastest.name, p.name)
		}
	}
}

// Registers from the 17th on, those of 512 bits and masks are AVX-512's: the
// assembler takes them, and a machine with AVX2 alone stops at the instruction.
func TestKernelsKeepToTheRegistersOfTheirInstructionSet(t *testing.T) {
	b, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	wide := regexp.MustCompile(`(?m)^.*\b([XY](1[6-9]|2[0-9]|3[01])|Z[0-9]+|K[0-7])\b.*$`)
	kernels := map[string]int{}
	for _, kernel := range bytes.Split(b, []byte("\nTEXT ·"))[1:] {
		name, _, _ := strings.Cut(string(kernel), "(SB)")
		set := name[strings.Index(name, "AVX"):]
		kernels[set]++
		if set != "AVX2" {
			continue
		}
		for _, line := range wide.FindAll(kernel, -1) {
			t.Errorf("%s: %s", name, line)
		}
	}
	if kernels["AVX2"] < 20 || kernels["AVX512"] < 20 {
		t.Fatalf("kernels of each instruction set: %v; want those of the package", kernels)
	}
}

// One rounding where the Go code has two would be another number.
func TestKernelsDoNotFuse(t *testing.T) {
	b, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range regexp.MustCompile(`(?m)^.*\bVFN?M(ADD|SUB).*$`).FindAll(b, -1) {
		t.Errorf("%s", line)
	}
}
