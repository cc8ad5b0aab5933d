package cpu

import (
	"math"

	"github.com/smelt-project/smelt/infer"
)

// Add makes y += x over n elements.
func (b *Backend) Add(y, x infer.Buffer, n int) {
	u := b.use("add")
	to, from := u.elems(y, 0, n), u.elems(x, 0, n)
	if !u.ok {
		return
	}
	b.pieces(u.op, n, 1, func(lo, hi int) {
		to := to[lo:hi]
		for i, v := range from[lo:hi] {
			to[i] += v
		}
	})
}

// RMSNorm makes y[t] = x[t]/√(mean x[t]²+eps)·w.
func (b *Backend) RMSNorm(y, x infer.Buffer, w infer.Weight, n int, eps float32) {
	u := b.use("normalise")
	m := u.matrix(w)
	width := len(m.vector)
	scale := u.vector(w, width)
	to, from := u.rows(y, n, width), u.rows(x, n, width)
	if !u.ok {
		return
	}
	b.pieces(u.op, n, width, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			x, y := from[t*width:][:width], to[t*width:][:width]
			mean := squares(x) / float64(width)
			inverse := float32(1 / math.Sqrt(mean+float64(eps)))
			for i, v := range x {
				y[i] = float32(v*inverse) * scale[i]
			}
		}
	})
}

// squares returns Σ x², in four sums so that an addition does not wait for the
// one before.
func squares(x []float32) float64 {
	var sum [4]float64
	for len(x) >= len(sum) {
		for j := range sum {
			sum[j] += float64(x[j]) * float64(x[j])
		}
		x = x[len(sum):]
	}
	for i, v := range x {
		sum[i] += float64(v) * float64(v)
	}
	return (sum[0] + sum[2]) + (sum[1] + sum[3])
}

// LayerNorm makes y[t] = (x[t]-mean)/√(variance+eps)·w+b.
func (b *Backend) LayerNorm(y, x infer.Buffer, w, bias infer.Weight, n int, eps float32) {
	u := b.use("normalise")
	m := u.matrix(w)
	width := len(m.vector)
	scale, shift := u.vector(w, width), u.vector(bias, width)
	to, from := u.rows(y, n, width), u.rows(x, n, width)
	if !u.ok {
		return
	}
	b.pieces(u.op, n, width, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			layerNorm(to[t*width:][:width], from[t*width:][:width], scale, shift, eps)
		}
	})
}

func layerNorm(y, x, scale, shift []float32, eps float32) {
	var sum float64
	for _, v := range x {
		sum += float64(v)
	}
	mean := float32(sum / float64(len(x)))
	for i, v := range x {
		y[i] = v - mean
	}
	inverse := float32(1 / math.Sqrt(squares(y)/float64(len(x))+float64(eps)))
	for i, v := range y {
		y[i] = float32(v*inverse)*scale[i] + shift[i]
	}
}
