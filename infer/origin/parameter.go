package origin

import (
	"errors"
	"fmt"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A parameter is a tensor as a matrix [rows, width]: the dimensions after the
// first are one row. Its bytes stay in the file.
type parameter struct {
	tensor      *tensor.Tensor
	decode      func(dst []float32, src []byte)
	rows, width int
	rowBytes    int
}

// A reader takes the parameters of a network from its modules and keeps what
// it misses.
type reader struct{ errs []error }

// err returns everything that was missed, nil if nothing was.
func (r *reader) err() error { return errors.Join(r.errs...) }

// optional returns the parameter at path in m, nil if there is none. A dimension
// of 0 may have any length.
func (r *reader) optional(m *module, path string, shape ...int) *parameter {
	if at := m.at(path); at == nil || at.tensor == nil {
		return nil
	}
	return r.parameter(m, path, shape...)
}

// parameter is optional for one that has to be there. It never returns nil.
func (r *reader) parameter(m *module, path string, shape ...int) *parameter {
	at := m.at(path)
	if at == nil || at.tensor == nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", m.name(path), tensor.ErrNotFound))
		return &parameter{}
	}
	t := at.tensor
	p, err := newParameter(t)
	if err == nil && !fits(t.Shape, shape) {
		err = fmt.Errorf("shape %v, the settings say %v: %w", t.Shape, tensor.Shape(shape), tensor.ErrCorrupt)
	}
	if err != nil {
		r.errs = append(r.errs, &tensor.Error{Op: "use", Tensor: t.Name, Err: err})
		return &parameter{}
	}
	return p
}

func fits(got tensor.Shape, want []int) bool {
	if len(got) != len(want) {
		return false
	}
	for i, n := range want {
		if got[i] != n && n != 0 || got[i] == 0 {
			return false
		}
	}
	return true
}

func newParameter(t *tensor.Tensor) (*parameter, error) {
	codec, err := quantize.CodecOf(t.DType)
	if err != nil {
		return nil, err
	}
	p := &parameter{tensor: t, decode: codec.Decode, rows: 1, width: 1}
	row := t.Shape
	if len(row) > 1 {
		p.rows, row = row[0], row[1:]
	}
	for _, n := range row {
		p.width *= n
	}
	bytes, err := t.DType.Bytes(tensor.Shape{p.width})
	p.rowBytes = int(bytes)
	return p, err
}

// read decodes rows lo to hi; raw holds their bytes meanwhile.
func (p *parameter) read(dst []float32, raw []byte, lo, hi int) error {
	raw = raw[:(hi-lo)*p.rowBytes]
	if err := p.tensor.ReadFull(raw, int64(lo)*int64(p.rowBytes)); err != nil {
		return err
	}
	p.decode(dst[:(hi-lo)*p.width], raw)
	return nil
}

// vector returns all elements of a vector.
func (p *parameter) vector() ([]float32, error) {
	out := make([]float32, p.rows*p.width)
	return out, p.read(out, make([]byte, p.rows*p.rowBytes), 0, p.rows)
}
