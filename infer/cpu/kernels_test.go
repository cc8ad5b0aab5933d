package cpu

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/smelt-project/smelt/quantize"
)

// A trial is one call of every kernel, beside the Go code.
type trial struct {
	t *testing.T
	k *kernels
	r *rand.Rand
}

func (c *trial) normal(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(c.r.NormFloat64())
	}
	return x
}

// near compares numbers; each may differ by its bound.
func (c *trial) near(what string, got, want []float32, bound func(i int) float64) {
	c.t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= bound(i)) {
			c.t.Fatalf("%s: element %d = %v; want %v ± %.3g", what, i, got[i], want[i], bound(i))
		}
	}
}

// tile: two sums of k products in different orders are within 2(k+1)u of the sum
// of the magnitudes (see backendtest). Nothing else of c changes.
func (c *trial) tile(k, rows int) {
	cols := c.k.cols
	lda, ldb, ldc := k+c.r.IntN(9), cols+c.r.IntN(9), cols+c.r.IntN(9)
	a, b, got := c.normal(rows*lda), c.normal(k*ldb), c.normal(rows*ldc)
	want := append([]float32(nil), got...)
	size := make([]float64, len(got))
	for r := range rows {
		for j := range cols {
			size[r*ldc+j] = math.Abs(float64(got[r*ldc+j]))
			for p := range k {
				size[r*ldc+j] += math.Abs(float64(a[r*lda+p] * b[p*ldb+j]))
			}
		}
	}
	c.k.tile(got, ldc, a, lda, b, ldb, k, rows)
	for j := 0; j < cols; j += goCols {
		tileGo(want[j:], ldc, a, lda, b[j:], ldb, k, rows)
	}
	c.near("tile", got, want, func(i int) float64 { return 2.02 * float64(k+2) * 0x1p-24 * size[i] })
}

func (c *trial) pack(k int) {
	ld := k + c.r.IntN(9)
	cols := c.k.cols
	x := c.normal(cols * ld)
	got, want := c.normal(k*cols+1), make([]float32, k*cols+1)
	want[k*cols] = got[k*cols]
	c.k.pack(got, x, ld, k)
	for j := range cols {
		for p := range k {
			want[p*cols+j] = x[j*ld+p]
		}
	}
	c.near("pack", got, want, func(int) float64 { return 0 })
}

func (c *trial) dots(n int) {
	x, y := c.normal(n), c.normal(n)
	var size float64
	for i := range x {
		size += math.Abs(float64(x[i] * y[i]))
	}
	bound := func(int) float64 { return 2.02 * float64(n+1) * 0x1p-24 * size }
	c.near("dot", []float32{c.k.dot(x, y)}, []float32{dotGo(x, y)}, bound)
	n = n / c.k.step * c.k.step
	for d, dot := range c.k.stored {
		codec, err := quantize.CodecOf(d)
		if err != nil {
			c.t.Fatal(err)
		}
		l, _ := d.Layout()
		raw, w := make([]byte, n*l.Bytes), make([]float32, n)
		codec.Encode(raw, x[:n], nil)
		codec.Decode(w, raw)
		c.near("dot of "+d.String(), []float32{dot(raw, y[:n])}, []float32{dotGo(w, y[:n])}, bound)
	}
}

// functions: exp has 4 units in the last place, its result is a normal number.
func (c *trial) functions(x []float32) {
	n := len(x)
	most := maximumGo(x)
	if got := c.k.maximum(x); got != most {
		c.t.Fatalf("maximum = %v; want %v", got, most)
	}
	got, want := append([]float32(nil), x...), append([]float32(nil), x...)
	gotSum, wantSum := c.k.exp(got, 0.5, most/2), expGo(want, 0.5, most/2)
	slack := func(x float32) float64 { return (8 + math.Abs(float64(x-most))) * 0x1p-24 }
	c.near("exp", got, want, func(i int) float64 { return slack(x[i])*float64(want[i]) + 0x1p-125 })
	c.near("sum", []float32{gotSum}, []float32{wantSum}, func(int) float64 { return float64(wantSum) * 0x1p-24 * float64(2*n+220) })

	up := c.normal(n)
	c.k.silu(got, x, up)
	siluGo(want, x, up)
	c.near("silu", got, want, func(i int) float64 {
		return 16*0x1p-24*math.Abs(float64(want[i])) + 0x1p-125*math.Max(1, math.Abs(float64(x[i]*up[i])))
	})
	c.k.gelu(got, x)
	geluGo(want, x)
	c.near("gelu", got, want, func(i int) float64 { return 8*0x1p-24*math.Abs(float64(x[i])) + 0x1p-126 })
}

func TestKernelsEqualTheGoCode(t *testing.T) {
	onKernels(t, func(t *testing.T, k *kernels) {
		c := &trial{t, k, rand.New(rand.NewPCG(1, 9))}
		for round := range 200 {
			c.tile(1+c.r.IntN(2*blockElems), 1+round%k.rows)
			c.pack(8 * c.r.IntN(40))
			c.dots(c.r.IntN(600))
			x := c.normal(1 + c.r.IntN(100))
			for i := range x {
				x[i] *= float32(round % 40)
			}
			c.functions(x)
		}
	})
}

// A value that is not a number makes results that are none; otherwise a model
// that computes nonsense could look like one that does not.
func TestKernelsPassOnNaN(t *testing.T) {
	nan := float32(math.NaN())
	onKernels(t, func(t *testing.T, k *kernels) {
		for i := range 23 {
			x, y := make([]float32, 23), make([]float32, 23)
			x[i] = nan
			ones := make([]float32, 23)
			for i := range ones {
				ones[i] = 1
			}
			if v := k.dot(x, ones); v == v {
				t.Errorf("dot with a NaN at %d = %v", i, v)
			}
			k.silu(y, x, ones)
			if y[i] == y[i] {
				t.Errorf("silu of NaN at %d = %v", i, y[i])
			}
			k.gelu(y, x)
			if y[i] == y[i] {
				t.Errorf("gelu of NaN at %d = %v", i, y[i])
			}
			if v := k.exp(x, 1, 0); v == v || x[i] == x[i] {
				t.Errorf("exp with a NaN at %d = %v, sum %v", i, x[i], v)
			}
		}
	})
}

// FuzzKernels takes any finite numbers.
func FuzzKernels(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef012"), uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, n uint16) {
		x := make([]float32, len(data)/4)
		for i := range x {
			if x[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])); !(math.Abs(float64(x[i])) < 1e4) {
				x[i] = 1
			}
		}
		for i := range vectorKernels {
			if k := &vectorKernels[i]; k.available {
				c := &trial{t, k, rand.New(rand.NewPCG(uint64(n), 1))}
				c.tile(1+int(n)%600, 1+int(n)%k.rows)
				c.pack(int(n) % 600 / 8 * 8)
				c.dots(int(n) % 600)
				if len(x) > 0 {
					c.functions(x)
				}
			}
		}
	})
}

func TestVectorPathsWithoutKernelsTakeTheFastest(t *testing.T) {
	if k := kernelsOf(goKernels.name); k != &goKernels {
		t.Errorf("the kernels of %s are %s", goKernels.name, k.name)
	}
	best := &goKernels
	for i := range vectorKernels {
		k := &vectorKernels[i]
		if !k.available {
			continue
		}
		best = k
		if got := kernelsOf(k.name); got != k {
			t.Errorf("the kernels of %s are %s", k.name, got.name)
		}
	}
	if got := kernelsOf("an instruction set of the future"); got != best {
		t.Errorf("the kernels of another path are %s; want %s", got.name, best.name)
	}
}
