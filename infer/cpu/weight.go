package cpu

import (
	"fmt"

	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A weight is a tensor seen as a matrix, [first dimension, product of the others].
type weight struct {
	t          *tensor.Tensor
	codec      quantize.Codec
	rows, cols int
	rowBytes   int
	vector     []float32 // all elements, if the tensor is one row or one column
}

// Info describes the tensor.
func (w *weight) Info() tensor.Info { return w.t.Info }

// maxVector bounds the tensors that are kept decoded, far above any width.
const maxVector = 1 << 22

// maxRowBytes bounds what a worker reads at a time.
const maxRowBytes = 1 << 24

// Load returns a weight whose matrix stays where it is. Biases and the weights of
// norms are decoded.
func (b *Backend) Load(t *tensor.Tensor) (infer.Weight, error) {
	w, err := newWeight(t)
	if err != nil {
		return nil, &tensor.Error{Op: "load weight", File: t.Origin.File, Tensor: t.Name, Err: err}
	}
	if w.rows != 1 && w.cols != 1 {
		return w, nil
	}
	raw, err := t.ReadAll()
	if err != nil {
		return nil, err
	}
	w.vector = make([]float32, w.rows*w.cols)
	w.codec.Decode(w.vector, raw)
	return w, nil
}

func newWeight(t *tensor.Tensor) (*weight, error) {
	codec, err := quantize.CodecOf(t.DType)
	if err != nil {
		return nil, err
	}
	n, err := t.Shape.Elems()
	if err != nil {
		return nil, err
	}
	if len(t.Shape) == 0 || n == 0 {
		return nil, fmt.Errorf("shape %v has no rows: %w", t.Shape, tensor.ErrUnsupported)
	}
	w := &weight{t: t, codec: codec, rows: 1, cols: int(n)}
	if len(t.Shape) > 1 {
		w.rows, w.cols = t.Shape[0], int(n)/t.Shape[0]
	}
	w.rowBytes = int(t.Size()) / w.rows
	if w.rowBytes > maxRowBytes || (w.rows == 1 || w.cols == 1) && n > maxVector {
		return nil, fmt.Errorf("shape %v: a row or a vector of %d bytes: %w", t.Shape, w.rowBytes, tensor.ErrTooLarge)
	}
	return w, nil
}

// read returns the bytes of rows lo to hi.
func (w *weight) read(s *scratch, lo, hi int) ([]byte, error) {
	raw := sized(&s.raw, (hi-lo)*w.rowBytes)
	return raw, w.t.ReadFull(raw, int64(lo)*int64(w.rowBytes))
}

// decode fills dst with row i.
func (w *weight) decode(s *scratch, dst []float32, i int) error {
	raw, err := w.read(s, i, i+1)
	if err != nil {
		return err
	}
	w.codec.Decode(dst, raw)
	return nil
}

// Gather makes y[t] = w[ids[t]].
func (b *Backend) Gather(y infer.Buffer, w infer.Weight, ids []int32) {
	u := b.use("gather")
	m := u.matrix(w)
	out := u.rows(y, len(ids), m.cols)
	for _, id := range ids {
		u.check(id >= 0 && int(id) < m.rows, "row %d of the %d of %s: %w", id, m.rows, m.name(), tensor.ErrNotFound)
	}
	if !u.ok {
		return
	}
	b.each(u.op, len(ids), func(s *scratch, t int) error {
		return m.decode(s, out[t*m.cols:][:m.cols], int(ids[t]))
	})
}

// name is that of the tensor, for messages.
func (w *weight) name() string {
	if w.t == nil {
		return "a weight"
	}
	return fmt.Sprintf("%q", w.t.Name)
}

// AddRows makes y[t] += w[first+t].
func (b *Backend) AddRows(y infer.Buffer, w infer.Weight, first, n int) {
	u := b.use("add rows")
	m := u.matrix(w)
	out := u.rows(y, n, m.cols)
	u.check(first >= 0 && first <= m.rows && n <= m.rows-first, "rows %d to %d of the %d of %s: %w", first, first+n, m.rows, m.name(), tensor.ErrNotFound)
	if !u.ok {
		return
	}
	b.each(u.op, n, func(s *scratch, t int) error {
		row := sized(&s.rows, m.cols)
		if err := m.decode(s, row, first+t); err != nil {
			return err
		}
		for i, v := range row {
			out[t*m.cols+i] += v
		}
		return nil
	})
}
