package cpu

import "github.com/smelt-project/smelt/infer"

// taps is the width of a convolution's window.
const taps = 3

// Conv1D makes y [ceil(n/stride), out] from x [n, in] with w [out, in, 3] and a
// padding of one: a product with the windows of x laid out as rows.
func (b *Backend) Conv1D(y infer.Buffer, w, bias infer.Weight, x infer.Buffer, n, stride int) {
	u := b.use("convolve")
	m := u.matrix(w)
	u.check(stride > 0 && n > 0, "%d rows with a stride of %d", n, stride)
	if u.ok {
		shape := m.t.Shape
		u.check(len(shape) == 3 && shape[2] == taps, "shape %v of %s, want [out, in, %d]", shape, m.name(), taps)
	}
	if !u.ok {
		return
	}
	channels, rows := m.cols/taps, (n+stride-1)/stride
	in, out := u.rows(x, n, channels), u.rows(y, rows, m.rows)
	add := u.vector(bias, m.rows)
	if !u.ok {
		return
	}
	windows := make([]float32, rows*m.cols)
	b.pieces(u.op, rows, m.cols, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			window(windows[t*m.cols:][:m.cols], in, t*stride, n)
		}
	})
	b.multiply(u.op, out, m, add, windows, rows)
}

// window fills dst [in, taps] with the rows of x around row t of n.
func window(dst, x []float32, t, n int) {
	channels := len(dst) / taps
	for j := range taps {
		row := t + j - taps/2
		if row < 0 || row >= n {
			continue
		}
		for i, v := range x[row*channels:][:channels] {
			dst[i*taps+j] = v
		}
	}
}
