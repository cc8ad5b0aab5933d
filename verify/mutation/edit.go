package mutation

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/verify"
)

// An edit is a result that is being spoilt. The first failure is kept.
type edit struct {
	subject *Subject
	tensors []*tensor.Tensor
	meta    tensor.Meta
	files   []verify.File
	err     error
}

// tensor returns the tensor called name.
func (e *edit) tensor(name string) *tensor.Tensor {
	for _, t := range e.tensors {
		if t.Name == name {
			return t
		}
	}
	if e.err == nil {
		e.err = fmt.Errorf("a mutation touches %s: %w", name, tensor.ErrNotFound)
	}
	return nil
}

func (e *edit) has(name string) bool {
	return slices.ContainsFunc(e.tensors, func(t *tensor.Tensor) bool { return t.Name == name })
}

// replace puts t in the place of the tensor called name.
func (e *edit) replace(name string, t *tensor.Tensor) {
	for i, old := range e.tensors {
		if old.Name == name && t != nil {
			e.tensors[i] = t
		}
	}
}

// bytes changes the stored bytes of a tensor.
func (e *edit) bytes(name string, change func(b []byte)) {
	t := e.tensor(name)
	if t == nil {
		return
	}
	b, err := t.ReadAll()
	if err != nil {
		e.err = err
		return
	}
	change(b)
	e.replace(name, e.made(t.Info, b))
}

// made returns a tensor in memory.
func (e *edit) made(info tensor.Info, b []byte) *tensor.Tensor {
	t, err := tensor.New(info, bytes.NewReader(b), tensor.Origin{Offset: -1})
	if err != nil && e.err == nil {
		e.err = err
	}
	return t
}

// A matrix is the numbers of a tensor; a vector is one row.
type matrix struct {
	x          []float32
	rows, cols int
}

func (m matrix) row(i int) []float32 { return m.x[i*m.cols : (i+1)*m.cols] }

// numbers returns the numbers of a tensor.
func (e *edit) numbers(name string) matrix {
	t := e.tensor(name)
	if t == nil {
		return matrix{}
	}
	codec, err := quantize.CodecOf(t.DType)
	if err != nil {
		e.err = err
		return matrix{}
	}
	b, err := t.ReadAll()
	if err != nil {
		e.err = err
		return matrix{}
	}
	n, err := t.Shape.Elems()
	if err != nil {
		e.err = err
		return matrix{}
	}
	m := matrix{x: make([]float32, n), cols: t.Shape.Row()}
	m.rows = len(m.x) / m.cols
	codec.Decode(m.x, b)
	return m
}

// store makes x the numbers of a tensor, in its stored type.
func (e *edit) store(name string, x []float32) {
	t := e.tensor(name)
	if t == nil || e.err != nil {
		return
	}
	codec, err := quantize.CodecOf(t.DType)
	if err != nil {
		e.err = err
		return
	}
	b := make([]byte, t.Size())
	codec.Encode(b, x, nil)
	e.replace(name, e.made(t.Info, b))
}

// values changes the numbers of a tensor.
func (e *edit) values(name string, change func(m matrix)) {
	if m := e.numbers(name); e.err == nil {
		change(m)
		e.store(name, m.x)
	}
}

// rows makes row r of a tensor its row from(r).
func (e *edit) rows(name string, from func(r, rows int) int) {
	e.values(name, func(m matrix) {
		old := matrix{slices.Clone(m.x), m.rows, m.cols}
		for r := range m.rows {
			copy(m.row(r), old.row(from(r, m.rows)))
		}
	})
}

// columns makes column c of a tensor its column from(c).
func (e *edit) columns(name string, from func(c, cols int) int) {
	e.values(name, func(m matrix) {
		for r := range m.rows {
			old := slices.Clone(m.row(r))
			for c := range old {
				m.row(r)[c] = old[from(c, m.cols)]
			}
		}
	})
}

// each changes every number of a tensor.
func (e *edit) each(name string, change func(x float32) float32) {
	e.values(name, func(m matrix) {
		for i, x := range m.x {
			m.x[i] = change(x)
		}
	})
}

// copyTo gives the tensor called to the bytes of another.
func (e *edit) copyTo(from, to string) {
	t := e.tensor(from)
	if t == nil {
		return
	}
	c := t.Renamed(to)
	c.Origin = tensor.Origin{Offset: -1} // a place of its own
	e.replace(to, c)
}

// swap exchanges the names of two tensors.
func (e *edit) swap(a, b string) {
	x, y := e.tensor(a), e.tensor(b)
	if x == nil || y == nil {
		return
	}
	for i, t := range e.tensors {
		switch t.Name {
		case a:
			e.tensors[i] = y.Renamed(a)
		case b:
			e.tensors[i] = x.Renamed(b)
		}
	}
}

// swapAll exchanges the tensors whose names start with two prefixes, and returns
// the names of those.
func (e *edit) swapAll(a, b string) []string {
	var names []string
	for _, t := range slices.Clone(e.tensors) {
		if rest, ok := strings.CutPrefix(t.Name, a); ok && e.has(b+rest) {
			e.swap(t.Name, b+rest)
			names = append(names, t.Name, b+rest)
		}
	}
	return names
}

// rename gives a tensor another name.
func (e *edit) rename(from, to string) {
	if t := e.tensor(from); t != nil {
		e.replace(from, t.Renamed(to))
	}
}

// remove takes tensors away and returns their names.
func (e *edit) remove(match func(name string) bool) []string {
	var names []string
	e.tensors = slices.DeleteFunc(e.tensors, func(t *tensor.Tensor) bool {
		if match(t.Name) {
			names = append(names, t.Name)
			return true
		}
		return false
	})
	return names
}

// dtype is the stored type of a tensor.
func (e *edit) dtype(name string) tensor.DType {
	if t := e.tensor(name); t != nil {
		return t.DType
	}
	return tensor.F32
}

// set changes metadata.
func (e *edit) set(key string, value any) { e.meta = e.meta.With(tensor.KV{Key: key, Value: value}) }

// unset takes a key away.
func (e *edit) unset(key string) {
	e.meta = e.meta.Without(func(k string) bool { return k == key })
}

// count returns the integer at a key of the correct result, 0 if there is none.
func (e *edit) count(key string) int {
	n, _ := e.meta.Int(key)
	return int(n)
}

// lastLayer returns the prefix of the last layer and of one more.
func (e *edit) lastLayer() (last, after string) {
	p := e.subject.parts
	n := e.count(p.layerCount)
	return fmt.Sprintf("%s%d.", p.lastLayer, n-1), fmt.Sprintf("%s%d.", p.lastLayer, n)
}
