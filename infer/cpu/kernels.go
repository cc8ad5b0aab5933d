package cpu

import (
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// kernels is a set of inner loops. Its slices may be longer than what is used.
type kernels struct {
	name      string
	available bool // on this machine
	// The shape of a tile: rows of the left matrix, columns of the right one, which
	// are the lanes of vectors.
	rows, cols int
	step       int // elements of a vector
	// tile makes c[r·ldc+j] += Σₚ a[r·lda+p]·b[p·ldb+j] for j below cols, p
	// below k, at least 1, and r below n, at most rows.
	tile func(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, n int)
	// pack makes panel[p·cols+j] = x[j·ld+p] for j below cols, p below k, a
	// multiple of 8.
	pack func(panel, x []float32, ld, k int)
	// dot returns Σ x[i]·y[i] over x.
	dot func(x, y []float32) float32
	// stored has products of x with a row of a type as it is stored, Σ w[i]·x[i]
	// over x, a multiple of step elements, where that is faster than dot of the
	// decoded row.
	stored map[tensor.DType]func(w []byte, x []float32) float32
	// maximum returns the largest of x, which is not empty.
	maximum func(x []float32) float32
	// exp makes x[i] = exp(x[i]·scale-shift) and returns the sum.
	exp func(x []float32, scale, shift float32) float32
	// silu makes y[i] = gate[i]·up[i]/(1+exp(-gate[i])) over y.
	silu func(y, gate, up []float32)
	// gelu makes y[i] = x[i]·Φ(x[i]) over y.
	gelu func(y, x []float32)
}

// goKernels are the reference, in plain Go.
var goKernels = kernels{
	name: "scalar", available: true, rows: 6, cols: goCols, step: 8, tile: tileGo, pack: packGo, dot: dotGo,
	maximum: maximumGo, exp: expGo, silu: siluGo, gelu: geluGo,
}

// kernelsOf returns the kernels of a vector path: those of that name, or the
// fastest that there are for a path whose instructions no kernels here use.
func kernelsOf(path string) *kernels {
	best := &goKernels
	if path == best.name {
		return best
	}
	for i := range vectorKernels {
		if k := &vectorKernels[i]; k.available {
			if best = k; k.name == path {
				break
			}
		}
	}
	return best
}

const goCols = 16

func tileGo(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, n int) {
	for r := range n {
		var sum [goCols]float32
		for p, x := range a[r*lda:][:k] {
			for j, y := range b[p*ldb:][:goCols] {
				sum[j] += x * y
			}
		}
		for j, s := range sum {
			c[r*ldc+j] += s
		}
	}
}

func packGo(panel, x []float32, ld, k int) {
	for j := range goCols {
		for p, v := range x[j*ld:][:k] {
			panel[p*goCols+j] = v
		}
	}
}

func dotGo(x, y []float32) float32 {
	y = y[:len(x)]
	var sum [8]float32
	for len(x) >= len(sum) {
		for j := range sum {
			sum[j] += x[j] * y[j]
		}
		x, y = x[len(sum):], y[len(sum):]
	}
	for i, v := range x {
		sum[i] += v * y[i]
	}
	return (sum[0] + sum[4]) + (sum[1] + sum[5]) + ((sum[2] + sum[6]) + (sum[3] + sum[7]))
}

func maximumGo(x []float32) float32 {
	m := x[0]
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

func expGo(x []float32, scale, shift float32) float32 {
	var sum float32
	for i, v := range x {
		x[i] = float32(math.Exp(float64(v*scale - shift)))
		sum += x[i]
	}
	return sum
}

func siluGo(y, gate, up []float32) {
	for i := range y {
		g := float64(gate[i])
		y[i] = float32(g / (1 + math.Exp(-g)) * float64(up[i]))
	}
}

func geluGo(y, x []float32) {
	for i := range y {
		v := float64(x[i])
		y[i] = float32(v * (0.5 * math.Erfc(-v/math.Sqrt2)))
	}
}
