package pickle

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// view reads (storage, offset, size, stride) from argument i on.
func (a *arguments) view(i int) *array {
	s := argument[*storage](a, i, "a storage")
	offset, shape, strides := a.int(i+1), a.shape(i+2), a.ints(i+3)
	if a.err != nil {
		return nil
	}
	if offset < 0 || len(shape) != len(strides) {
		a.err = fmt.Errorf("%s: offset %d, size %v, %d strides: %w", a.of, offset, shape, len(strides), tensor.ErrCorrupt)
		return nil
	}
	return &array{storage: s, typ: s.elem, shape: shape, strides: strides, offset: int64(offset)}
}

// typedView is view of a storage whose class says the element type.
func (a *arguments) typedView() *array {
	t := a.view(0)
	if a.err == nil && t.typ == untyped {
		a.err = fmt.Errorf("%s: an untyped storage has no element type: %w", a.of, tensor.ErrUnsupported)
	}
	return t
}

// bits reads the metadata of _rebuild_tensor_v2 and v3: {"conj": True, "neg": True}.
func (a *arguments) bits(i int, t *array) {
	if a.err != nil || i >= len(a.vals) || a.vals[i] == nil {
		return
	}
	d, ok := a.s.entries(a.vals[i])
	if !ok {
		a.fail(i, "a dict")
		return
	}
	for _, e := range d {
		name, _ := e.Key.(string)
		on, ok := e.Value.(bool)
		switch {
		case ok && name == "conj":
			t.conj = on
		case ok && name == "neg":
			t.neg = on
		default:
			a.err = fmt.Errorf("%s: metadata %.40q is a %s: %w", a.of, name, kindOf(e.Value), tensor.ErrUnsupported)
		}
	}
}

func buildV1(_ *machine, a *arguments) (any, error) { return a.typedView(), nil }

func buildV2(_ *machine, a *arguments) (any, error) {
	t := a.typedView()
	a.bits(6, t)
	return t, nil
}

func buildV3(_ *machine, a *arguments) (any, error) {
	t, typ := a.view(0), a.dtype(6)
	a.bits(7, t)
	if a.err == nil {
		t.typ = typ
	}
	return t, nil
}

// buildParameter is _rebuild_parameter and _rebuild_parameter_with_state:
// (data, requires_grad, hooks[, state]).
func buildParameter(_ *machine, a *arguments) (any, error) {
	inert, ok := a.vals[0].(*object)
	if ok { // a parameter of a class that is not known
		return inert, nil
	}
	t := a.tensor(0)
	if a.err != nil || len(a.vals) < 4 {
		return t, nil
	}
	return t.withState(a.vals[3]), nil
}

// withState returns t with Python attributes.
func (a *array) withState(state any) *array {
	t := *a
	if pair, ok := state.(*types.Tuple); ok && pair.Len() == 2 {
		t.states = append(t.states[:len(t.states):len(t.states)], *pair...)
		return &t
	}
	t.states = append(t.states[:len(t.states):len(t.states)], state)
	return &t
}

// buildTensorClass is Parameter(tensor, requires_grad), or an empty instance
// that a BUILD fills.
func buildTensorClass(_ *machine, a *arguments) (any, error) {
	if len(a.vals) == 0 {
		return &array{blank: a.s}, nil
	}
	t := a.tensor(0)
	if a.err != nil {
		return nil, a.err
	}
	again := *t
	return &again, nil
}

// buildNoData is a tensor that was saved without its elements.
func buildNoData(why string) func(*machine, *arguments) (any, error) {
	return func(*machine, *arguments) (any, error) { return &array{noData: why}, nil }
}

// buildFromType is _rebuild_from_type(_v2): (function, class, arguments, state).
func buildFromType(_ *machine, a *arguments) (any, error) {
	function, args := argument[*class](a, 0, "a rebuilding function"), a.items(2)
	if a.err != nil {
		return nil, a.err
	}
	v, err := function.Call(args...)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case *array:
		t := v.withState(a.vals[3])
		if c, ok := a.vals[1].(*class); ok && c.row.call == nil {
			t.notes = append(t.notes[:len(t.notes):len(t.notes)], "tensor subclass "+c.name)
		}
		return t, nil
	case *object:
		v.states = append(v.states, a.vals[3])
	}
	return v, nil
}

func buildFromTensor(_ *machine, a *arguments) (any, error) {
	t, typ := a.tensor(0), a.dtype(1)
	if a.err == nil && t.typ != typ {
		return nil, fmt.Errorf("%s: a tensor of %s becomes %s: %w", a.of, typeName(t.typ), typ.name, tensor.ErrUnsupported)
	}
	return t, nil
}

func typeName(s *scalarType) string {
	if s == nil {
		return "no type"
	}
	return s.name
}

// buildFromNumpy is _rebuild_device_tensor_from_numpy: (array, dtype, device,
// requires_grad). PyTorch holds bfloat16 as float32 there; the upper half of
// each float is the value, if the lower half is zero as it should be.
func buildFromNumpy(m *machine, a *arguments) (any, error) {
	n, typ := argument[*ndarray](a, 0, "a numpy array"), a.dtype(1)
	if a.err != nil {
		return nil, a.err
	}
	t, err := n.array()
	if err != nil {
		return nil, err
	}
	switch {
	case t.typ.dtype == typ.dtype:
		return t, nil
	case typ.dtype == tensor.BF16 && t.typ.dtype == tensor.F32:
		if err := m.r.toil(int64(len(n.data))); err != nil {
			return nil, err
		}
		return n.upperHalves(t, typ)
	}
	return nil, fmt.Errorf("%s: a numpy array of %s becomes %s: %w", a.of, t.typ.name, typ.name, tensor.ErrUnsupported)
}

// upperHalves views float32 elements as the bfloat16 that they were made from.
func (n *ndarray) upperHalves(t *array, typ *scalarType) (any, error) {
	high := int64(1) // halves of a little-endian float
	if n.dtype.big {
		high = 0
	}
	for i := 0; i+4 <= len(n.data); i += 4 {
		low := n.data[i+int(2-2*high):]
		if low[0] != 0 || low[1] != 0 {
			return nil, fmt.Errorf("bfloat16 held as float32 has more digits than bfloat16 at element %d: %w", i/4, tensor.ErrUnsupported)
		}
	}
	t.typ, t.offset = typ, high
	for k := range t.strides {
		t.strides[k] *= 2
	}
	return t, nil
}

// buildQuantized is _rebuild_qtensor: (storage, offset, size, stride, quantizer
// parameters, requires_grad, hooks).
func buildQuantized(m *machine, a *arguments) (any, error) {
	t := a.typedView()
	if a.err != nil {
		return nil, a.err
	}
	q := &arguments{of: "quantizer of " + a.of, vals: a.items(4), s: a.s}
	s := argument[scheme](q, 0, "a quantization scheme")
	switch s {
	case "per_tensor_affine":
		scale, zero := q.float(1), q.int(2)
		t.quant = &quantization{scales: m.r.floats(scale), zeros: m.r.integers(zero)}
		t.notes = append(t.notes, fmt.Sprintf("quantized %s, scale %v, zero point %d", s, scale, zero))
	case "per_channel_affine", "per_channel_affine_float_qparams":
		t.quant = q.channels(m, t.shape, s)
		t.notes = append(t.notes, fmt.Sprintf("quantized %s, axis %d", s, q.int(3)))
	default:
		q.fail(0, "a scheme that is known")
	}
	return t, q.err
}

// channels reads (scheme, scales, zero points, axis) of a tensor of the shape.
func (a *arguments) channels(m *machine, shape tensor.Shape, s scheme) *quantization {
	axis := a.int(3)
	scales, zeros := a.vector(m, 1, s), a.vector(m, 2, s)
	if a.err != nil {
		return nil
	}
	if axis < 0 || axis >= len(shape) || len(scales.shape) != 1 || len(zeros.shape) != 1 ||
		scales.shape[0] != shape[axis] || zeros.shape[0] != shape[axis] {
		a.err = fmt.Errorf("%s: %v scales and %v zero points along axis %d of %v: %w", a.of, scales.shape, zeros.shape, axis, shape, tensor.ErrCorrupt)
		return nil
	}
	return &quantization{scales: scales, zeros: zeros}
}

// vector returns a tensor, or the list of numbers that PyTorch 1.3 wrote.
func (a *arguments) vector(m *machine, i int, s scheme) *array {
	if i < len(a.vals) {
		if t, ok := a.vals[i].(*array); ok {
			return t
		}
	}
	list := &arguments{of: a.of, vals: a.items(i), s: a.s}
	if a.toil(16 * len(list.vals)); a.err != nil {
		return &array{}
	}
	var ints []int
	var floats []float64
	whole := i == 2 && s == "per_channel_affine"
	for k := range list.vals {
		if whole {
			ints = append(ints, list.int(k))
		} else {
			floats = append(floats, list.float(k))
		}
	}
	if a.err == nil {
		a.err = list.err
	}
	if whole {
		return m.r.integers(ints...)
	}
	return m.r.floats(floats...)
}

// floats returns a float64 vector of numbers that the pickle itself held.
func (r *reader) floats(v ...float64) *array {
	b := make([]byte, 0, 8*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return r.numbers(tensor.F64, b)
}

// integers returns an int64 vector of numbers that the pickle itself held.
func (r *reader) integers(v ...int) *array {
	b := make([]byte, 0, 8*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x)) //nolint:gosec // two's complement is what is meant
	}
	return r.numbers(tensor.I64, b)
}

func (r *reader) numbers(d tensor.DType, b []byte) *array {
	typ := scalarTypeOf(d)
	return &array{storage: r.inMemory("numbers", typ, b), typ: typ, shape: tensor.Shape{len(b) / 8}, strides: []int64{1}}
}

// compressed names the index tensors of the compressed sparse layouts.
var compressed = map[layoutName][2]string{
	"sparse_csr": {"crow_indices", "col_indices"},
	"sparse_bsr": {"crow_indices", "col_indices"},
	"sparse_csc": {"ccol_indices", "row_indices"},
	"sparse_bsc": {"ccol_indices", "row_indices"},
}

// buildSparse is _rebuild_sparse_tensor: (layout, data). Counts are checked
// here; that every index is inside the dense size is left to who reads them.
func buildSparse(_ *machine, a *arguments) (any, error) {
	layout := argument[layoutName](a, 0, "a layout")
	data := &arguments{of: a.of + " of " + string(layout), vals: a.items(1), s: a.s}
	if a.err != nil {
		return nil, a.err
	}
	if layout == "sparse_coo" {
		data.between(3, 4)
		return data.coo()
	}
	names, ok := compressed[layout]
	if !ok {
		return nil, fmt.Errorf("%s: layout %.40q: %w", a.of, layout, tensor.ErrUnsupported)
	}
	data.between(4, 4)
	return data.compressedRows(layout, names)
}

func (a *arguments) coo() (any, error) {
	indices, values, size := a.tensor(0), a.tensor(1), a.shape(2)
	if a.err != nil {
		return nil, a.err
	}
	if len(indices.shape) != 2 || len(values.shape) == 0 || indices.shape[1] != values.shape[0] ||
		indices.shape[0]+len(values.shape)-1 != len(size) || !size[indices.shape[0]:].Equal(values.shape[1:]) {
		return nil, fmt.Errorf("%s: indices %v and values %v of a dense %v: %w", a.of, indices.shape, values.shape, size, tensor.ErrCorrupt)
	}
	return composite(fmt.Sprintf("sparse COO of a dense %v", size), part{"indices", indices}, part{"values", values}), nil
}

// compressedRows reads (compressed indices, plain indices, values, size).
func (a *arguments) compressedRows(layout layoutName, names [2]string) (any, error) {
	outer, inner, values, size := a.tensor(0), a.tensor(1), a.tensor(2), a.shape(3)
	if a.err != nil {
		return nil, a.err
	}
	batch := len(outer.shape) - 1
	if batch < 0 || len(inner.shape) != batch+1 || len(values.shape) < batch+1 || len(size) < batch+2 ||
		!inner.shape.Equal(values.shape[:batch+1]) || !outer.shape[:batch].Equal(inner.shape[:batch]) {
		return nil, fmt.Errorf("%s: %s %v, %s %v and values %v of a dense %v: %w",
			a.of, names[0], outer.shape, names[1], inner.shape, values.shape, size, tensor.ErrCorrupt)
	}
	along, block := size[batch], 1
	blocked := layout == "sparse_bsr" || layout == "sparse_bsc"
	if names[0] == "ccol_indices" {
		along = size[batch+1]
	}
	if blocked && len(values.shape) >= batch+3 {
		block = values.shape[batch+1]
		if names[0] == "ccol_indices" {
			block = values.shape[batch+2]
		}
	}
	if block < 1 || along%block != 0 || outer.shape[batch] != along/block+1 {
		return nil, fmt.Errorf("%s: %d %s for %d rows in blocks of %d: %w", a.of, outer.shape[batch], names[0], along, block, tensor.ErrCorrupt)
	}
	return composite(fmt.Sprintf("%s of a dense %v", layout, size), part{names[0], outer}, part{names[1], inner}, part{"values", values}), nil
}

// composite returns a tensor made of dense ones, each with the same note.
func composite(note string, parts ...part) *array { return &array{parts: parts, notes: []string{note}} }

// buildNested is _rebuild_nested_tensor: (buffer, sizes, strides, offsets).
func buildNested(m *machine, a *arguments) (any, error) {
	buffer, sizes, strides := a.tensor(0), a.tensor(1), a.tensor(2)
	var offsets *array
	if t, ok := a.vals[3].(*array); ok {
		offsets = t
	} else {
		dims := a.ints(3)
		ints := make([]int, len(dims))
		for i, d := range dims {
			ints[i] = int(d)
		}
		offsets = m.r.integers(ints...)
	}
	if a.err != nil {
		return nil, a.err
	}
	if len(buffer.shape) != 1 || len(sizes.shape) != 2 || !sizes.shape.Equal(strides.shape) || len(offsets.shape) != 1 || offsets.shape[0] != sizes.shape[0] {
		return nil, fmt.Errorf("%s: buffer %v, sizes %v, strides %v, offsets %v: %w", a.of, buffer.shape, sizes.shape, strides.shape, offsets.shape, tensor.ErrCorrupt)
	}
	return composite(fmt.Sprintf("nested tensor of %d", sizes.shape[0]),
		part{"values", buffer}, part{"sizes", sizes}, part{"strides", strides}, part{"offsets", offsets}), nil
}
