//go:build !noasm

package cpu

import (
	"golang.org/x/sys/cpu"

	"github.com/smelt-project/smelt/tensor"
)

//go:generate go -C asm run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg cpu

// vectorKernels have the names of package quantize's vector paths.
var vectorKernels = []kernels{{
	name:      "avx2",
	available: cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C,
	tile:      tileAVX2, pack: packAVX2, dot: dotAVX2,
	stored: map[tensor.DType]func(w []byte, x []float32) float32{
		tensor.F16:  dotF16AVX2,
		tensor.BF16: dotBF16AVX2,
	},
	maximum: maximumWith(maximumAVX2), exp: expWith(expAVX2), silu: siluWith(siluAVX2), gelu: geluWith(geluAVX2),
}}

// tiles are kernels.tile by the number of rows less one.
var tiles = [tileRows]func(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k int){
	tile1AVX2, tile2AVX2, tile3AVX2, tile4AVX2, tile5AVX2, tile6AVX2,
}

// tileAVX2 makes sure that what the kernel reads and writes is there.
func tileAVX2(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, rows int) {
	_, _, _ = c[(rows-1)*ldc+tileCols-1], a[(rows-1)*lda+k-1], b[(k-1)*ldb+tileCols-1]
	tiles[rows-1](c, ldc, a, lda, b, ldb, k)
}

// lanes is how many elements a kernel takes at a time. What is left of a slice
// goes through memory of that size.
const lanes = 8

// split is where the whole vectors of n elements end.
func split(n int) int { return n / lanes * lanes }

func dotAVX2(x, y []float32) float32 {
	n := split(len(x))
	y = y[:len(x)]
	return dotF32AVX2(x[:n], y[:n]) + dotGo(x[n:], y[n:])
}

func maximumWith(kernel func([]float32) float32) func([]float32) float32 {
	return func(x []float32) float32 {
		n := split(len(x))
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

func expWith(kernel func([]float32, float32, float32) float32) func([]float32, float32, float32) float32 {
	return func(x []float32, scale, shift float32) float32 {
		n := split(len(x))
		sum := kernel(x[:n], scale, shift)
		if n < len(x) {
			var rest [lanes]float32
			copy(rest[:], x[n:])
			kernel(rest[:], scale, shift)
			for i := range x[n:] {
				x[n+i] = rest[i]
				sum += rest[i]
			}
		}
		return sum
	}
}

func siluWith(kernel func(y, gate, up []float32)) func(y, gate, up []float32) {
	return func(y, gate, up []float32) {
		n := split(len(y))
		kernel(y[:n], gate, up)
		if n < len(y) {
			var g, u [lanes]float32
			copy(g[:], gate[n:len(y)])
			copy(u[:], up[n:len(y)])
			kernel(g[:], g[:], u[:])
			copy(y[n:], g[:])
		}
	}
}

func geluWith(kernel func(y, x []float32)) func(y, x []float32) {
	return func(y, x []float32) {
		n := split(len(y))
		kernel(y[:n], x)
		if n < len(y) {
			var rest [lanes]float32
			copy(rest[:], x[n:len(y)])
			kernel(rest[:], rest[:])
			copy(y[n:], rest[:])
		}
	}
}
