//go:build !noasm

package cpu

import (
	"golang.org/x/sys/cpu"

	"github.com/smelt-project/smelt/tensor"
)

//go:generate go -C asm run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg cpu

var hasAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C

// vectorKernels have the names of package quantize's vector paths, the slowest
// first.
var vectorKernels = []kernels{
	{
		name: "avx2", available: hasAVX2, rows: 6, cols: 16, step: 8,
		tile: tileWith(16, tile1AVX2, tile2AVX2, tile3AVX2, tile4AVX2, tile5AVX2, tile6AVX2),
		pack: packAVX2, dot: dotWith(8, dotF32AVX2),
		stored: map[tensor.DType]func(w []byte, x []float32) float32{
			tensor.F16:  dotF16AVX2,
			tensor.BF16: dotBF16AVX2,
		},
		maximum: maximumWith(8, maximumAVX2), exp: expWith(8, expAVX2), silu: siluWith(8, siluAVX2), gelu: geluWith(8, geluAVX2),
	},
	{
		name: "avx512", rows: 12, cols: 32, step: 16,
		available: hasAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ,
		tile: tileWith(32, tile1AVX512, tile2AVX512, tile3AVX512, tile4AVX512, tile5AVX512, tile6AVX512,
			tile7AVX512, tile8AVX512, tile9AVX512, tile10AVX512, tile11AVX512, tile12AVX512),
		pack: packAVX512, dot: dotWith(16, dotF32AVX512),
		stored: map[tensor.DType]func(w []byte, x []float32) float32{
			tensor.F16:  dotF16AVX512,
			tensor.BF16: dotBF16AVX512,
		},
		maximum: maximumWith(16, maximumAVX512), exp: expWith(16, expAVX512), silu: siluWith(16, siluAVX512), gelu: geluWith(16, geluAVX512),
	},
}

// A tileKernel is kernels.tile for a number of rows.
type tileKernel func(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k int)

// tileWith takes the kernel for one row, two and so on. It makes sure that what
// they read and write is there.
func tileWith(cols int, byRows ...tileKernel) func(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, n int) {
	return func(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, n int) {
		_, _, _ = c[(n-1)*ldc+cols-1], a[(n-1)*lda+k-1], b[(k-1)*ldb+cols-1]
		byRows[n-1](c, ldc, a, lda, b, ldb, k)
	}
}

// The kernels take whole vectors of step elements. What is left of a slice goes
// through memory of that size, at most maxStep.
const maxStep = 16

func dotWith(step int, kernel func(w, x []float32) float32) func(x, y []float32) float32 {
	return func(x, y []float32) float32 {
		n := len(x) / step * step
		y = y[:len(x)]
		return kernel(x[:n], y[:n]) + dotGo(x[n:], y[n:])
	}
}

func maximumWith(step int, kernel func([]float32) float32) func([]float32) float32 {
	return func(x []float32) float32 {
		n := len(x) / step * step
		if n == 0 {
			return maximumGo(x)
		}
		m := kernel(x[:n])
		for _, v := range x[n:] {
			m = max(m, v)
		}
		return m
	}
}

func expWith(step int, kernel func([]float32, float32, float32) float32) func([]float32, float32, float32) float32 {
	return func(x []float32, scale, shift float32) float32 {
		n := len(x) / step * step
		sum := kernel(x[:n], scale, shift)
		if n < len(x) {
			var rest [maxStep]float32
			copy(rest[:], x[n:])
			kernel(rest[:step], scale, shift)
			for i := range x[n:] {
				x[n+i] = rest[i]
				sum += rest[i]
			}
		}
		return sum
	}
}

func siluWith(step int, kernel func(y, gate, up []float32)) func(y, gate, up []float32) {
	return func(y, gate, up []float32) {
		n := len(y) / step * step
		kernel(y[:n], gate[:n], up[:n])
		if n < len(y) {
			var g, u [maxStep]float32
			copy(g[:], gate[n:len(y)])
			copy(u[:], up[n:len(y)])
			kernel(g[:step], g[:], u[:])
			copy(y[n:], g[:])
		}
	}
}

func geluWith(step int, kernel func(y, x []float32)) func(y, x []float32) {
	return func(y, x []float32) {
		n := len(y) / step * step
		kernel(y[:n], x[:n])
		if n < len(y) {
			var rest [maxStep]float32
			copy(rest[:], x[n:len(y)])
			kernel(rest[:step], rest[:])
			copy(y[n:], rest[:])
		}
	}
}
