package cpu

import (
	"github.com/smelt-project/smelt/infer"
)

// fewRows is up to how many rows of x each row of a weight is multiplied with
// them one by one; from there on packing it pays.
const fewRows = 3

// blockElems is how many elements of a row are decoded, packed and multiplied at
// a time: a multiple of every type's block, small enough that a panel of them
// stays in the first cache.
const blockElems = 256

// MatMul makes y[t,o] = Σᵢ w[o,i]·x[t,i] + bias[o].
func (b *Backend) MatMul(y infer.Buffer, w, bias infer.Weight, x infer.Buffer, n int) {
	u := b.use("multiply")
	m := u.matrix(w)
	in, out := u.rows(x, n, m.cols), u.rows(y, n, m.rows)
	add := u.vector(bias, m.rows)
	if u.ok {
		b.multiply(u.op, out, m, add, in, n)
	}
}

// multiply is MatMul of what has been checked.
func (b *Backend) multiply(op string, y []float32, w *weight, bias, x []float32, n int) {
	if n <= fewRows {
		b.multiplyFew(op, y, w, bias, x, n)
		return
	}
	cols, rows := b.kernels.cols, b.kernels.rows
	b.each(op, (w.rows+cols-1)/cols, func(s *scratch, task int) error {
		first := task * cols
		width := min(cols, w.rows-first)
		panel, err := b.panel(s, w, first, width)
		if err != nil {
			return err
		}
		for t := range n {
			set(y[t*w.rows+first:][:width], bias, first)
		}
		for p := 0; p < w.cols; p += blockElems {
			k := min(blockElems, w.cols-p)
			for t := 0; t < n; t += rows {
				b.tile(s, y[t*w.rows+first:], w.rows, width, x[t*w.cols+p:], w.cols, panel[p*cols:], k, min(rows, n-t))
			}
		}
		return nil
	})
}

// set fills y with what products are added to: bias from first, or zeros.
func set(y, bias []float32, first int) {
	if bias != nil {
		copy(y, bias[first:])
		return
	}
	clear(y)
}

// tile is kernels.tile for a panel, and results of which only width columns exist.
func (b *Backend) tile(s *scratch, c []float32, ldc, width int, a []float32, lda int, panel []float32, k, n int) {
	cols := b.kernels.cols
	if width == cols {
		b.kernels.tile(c, ldc, a, lda, panel, cols, k, n)
		return
	}
	whole := sized(&s.tile, n*cols)
	clear(whole)
	b.kernels.tile(whole, cols, a, lda, panel, cols, k, n)
	for r := range n {
		for j, v := range whole[r*cols:][:width] {
			c[r*ldc+j] += v
		}
	}
}

// panel returns width rows of w from first side by side: element p of row first+j
// at p·cols+j. Columns beyond width are of no use.
func (b *Backend) panel(s *scratch, w *weight, first, width int) ([]float32, error) {
	raw, err := w.read(s, first, first+width)
	if err != nil {
		return nil, err
	}
	cols := b.kernels.cols
	panel := sized(&s.panel, (w.cols+7)/8*8*cols)
	rows := sized(&s.rows, cols*blockElems)
	for p := 0; p < w.cols; p += blockElems {
		k := min(blockElems, w.cols-p)
		for j := range width {
			w.decodeStored(rows[j*blockElems:][:k], raw, j, p)
		}
		b.kernels.pack(panel[p*cols:], rows, blockElems, (k+7)/8*8)
	}
	return panel, nil
}

// decodeStored fills dst with the elements from p, the first of a block, of row j
// of raw.
func (w *weight) decodeStored(dst []float32, raw []byte, j, p int) {
	lo := j*w.rowBytes + int(w.t.DTypeBytes(p))
	w.codec.Decode(dst, raw[lo:lo+int(w.t.DTypeBytes(len(dst)))])
}

// readBytes is how much of a weight a task of multiplyFew reads at a time: large
// enough that reading is fast, small enough to stay in the second cache.
const readBytes = 1 << 17

// multiplyFew multiplies each row of w with each of x.
func (b *Backend) multiplyFew(op string, y []float32, w *weight, bias, x []float32, n int) {
	rows := min(w.rows, max(1, readBytes/w.rowBytes))
	dot := b.dotOf(w)
	b.each(op, (w.rows+rows-1)/rows, func(s *scratch, task int) error {
		lo := task * rows
		hi := min(w.rows, lo+rows)
		raw, err := w.read(s, lo, hi)
		if err != nil {
			return err
		}
		for o := lo; o < hi; o++ {
			dot(s, y[o:], raw, o-lo, x, n)
			if bias != nil {
				for t := range n {
					y[t*w.rows+o] += bias[o]
				}
			}
		}
		return nil
	})
}

// dotOf returns how the products of row j of raw with n rows of x are made:
// y[t·rows].
func (b *Backend) dotOf(w *weight) func(s *scratch, y []float32, raw []byte, j int, x []float32, n int) {
	if direct := b.kernels.stored[w.t.DType]; direct != nil {
		step := b.kernels.step
		whole := w.cols / step * step
		return func(s *scratch, y []float32, raw []byte, j int, x []float32, n int) {
			row, rest := raw[j*w.rowBytes:][:w.rowBytes], sized(&s.rows, step)[:w.cols-whole]
			w.decodeStored(rest, raw, j, whole)
			for t := range n {
				x := x[t*w.cols:][:w.cols]
				y[t*w.rows] = direct(row, x[:whole]) + dotGo(rest, x[whole:])
			}
		}
	}
	return func(s *scratch, y []float32, raw []byte, j int, x []float32, n int) {
		row := sized(&s.rows, w.cols)
		w.decodeStored(row, raw, j, 0)
		for t := range n {
			y[t*w.rows] = b.kernels.dot(row, x[t*w.cols:][:w.cols])
		}
	}
}
