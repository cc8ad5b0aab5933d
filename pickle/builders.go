package pickle

import (
	"fmt"
	"math"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// A builder makes the value that a known global stands for, or that calling it gives.
type builder struct {
	min, max int // arguments; max below 0: any number
	call     func(m *machine, a *arguments) (any, error)
	value    any // of a global that is no function: a dtype, a storage class, a layout
}

// builders is the one table of globals with a meaning, keyed "module.name"
// after Python 2 names have been mapped. Rebuilders are those of
// torch/_utils.py, torch/_tensor.py and torch/nn/parameter.py of PyTorch 0.1 to
// 2.11; whatever is not here makes inert objects.
var builders = withTypes(map[string]builder{
	"collections.OrderedDict": {0, 1, buildMapping, nil},
	"collections.Counter":     {0, 1, buildMapping, nil},
	"collections.defaultdict": {0, 2, buildDefaultDict, nil},
	"collections.deque":       {0, 2, buildList, nil},
	"builtins.dict":           {0, 1, buildMapping, nil},
	"builtins.list":           {0, 1, buildList, nil},
	"builtins.tuple":          {0, 1, buildTuple, nil},
	"builtins.set":            {0, 1, buildList, nil},
	"builtins.frozenset":      {0, 1, buildList, nil},
	"builtins.bytes":          {0, 2, buildBytes, nil},
	"builtins.bytearray":      {0, 2, buildBytes, nil},
	"builtins.complex":        {2, 2, buildComplex, nil},
	"builtins.int":            {1, 1, buildScalar, nil},
	"builtins.float":          {1, 1, buildScalar, nil},
	"builtins.bool":           {1, 1, buildScalar, nil},
	"builtins.str":            {1, 1, buildScalar, nil},
	"builtins.slice":          {},
	"builtins.range":          {},
	"builtins.object":         {},
	"copyreg._reconstructor":  {3, 3, buildReconstructed, nil},
	"copyreg.__newobj__":      {1, -1, buildNewObj, nil},
	"_codecs.encode":          {1, 2, buildEncoded, nil},

	"torch.Size":                                {1, 1, buildTuple, nil},
	"torch.device":                              {1, 2, buildDevice, nil},
	"torch.Tensor":                              {0, -1, buildTensorClass, nil},
	"torch.nn.parameter.Parameter":              {0, 2, buildTensorClass, nil},
	"torch.nn.parameter.Buffer":                 {0, 2, buildTensorClass, nil},
	"torch.nn.parameter.UninitializedParameter": {0, -1, buildNoData("uninitialized"), nil},
	"torch.nn.parameter.UninitializedBuffer":    {0, -1, buildNoData("uninitialized"), nil},
	"torch.autograd.variable.Variable":          {0, 2, buildTensorClass, nil},

	"torch._utils._rebuild_tensor":                        {4, 4, buildV1, nil},
	"torch._utils._rebuild_tensor_v2":                     {6, 7, buildV2, nil},
	"torch._utils._rebuild_tensor_v3":                     {7, 8, buildV3, nil},
	"torch._utils._rebuild_parameter":                     {3, 3, buildParameter, nil},
	"torch._utils._rebuild_parameter_with_state":          {4, 4, buildParameter, nil},
	"torch._utils._rebuild_qtensor":                       {7, 7, buildQuantized, nil},
	"torch._utils._rebuild_sparse_tensor":                 {2, 2, buildSparse, nil},
	"torch._utils._rebuild_sparse_csr_tensor":             {2, 2, buildSparse, nil},
	"torch._utils._rebuild_nested_tensor":                 {4, 4, buildNested, nil},
	"torch._utils._rebuild_meta_tensor_no_storage":        {4, 4, buildNoData("meta device"), nil},
	"torch._utils._rebuild_wrapper_subclass":              {8, 9, buildNoData("wrapper subclass"), nil},
	"torch._utils._rebuild_device_tensor_from_numpy":      {4, 4, buildFromNumpy, nil},
	"torch._utils._rebuild_xla_tensor":                    {4, 4, buildFromNumpy, nil},
	"torch._utils._rebuild_device_tensor_from_cpu_tensor": {4, 4, buildFromTensor, nil},
	"torch._tensor._rebuild_from_type":                    {4, 4, buildFromType, nil},
	"torch._tensor._rebuild_from_type_v2":                 {4, 4, buildFromType, nil},
	"torch.storage._load_from_bytes":                      {1, 1, buildFromBytes, nil},
	"torch.serialization._get_layout":                     {1, 1, buildLayout, nil},
	"torch.jit._pickle.build_intlist":                     {1, 1, buildList, nil},
	"torch.jit._pickle.build_doublelist":                  {1, 1, buildList, nil},
	"torch.jit._pickle.build_boollist":                    {1, 1, buildList, nil},
	"torch.jit._pickle.build_tensorlist":                  {1, 1, buildList, nil},
	"torch.jit._pickle.restore_type_tag":                  {2, 2, buildFirst, nil},

	"numpy.core.multiarray._reconstruct": {3, 3, buildNDArray, nil},
	"numpy.core.multiarray.scalar":       {1, 2, buildNumpyScalar, nil},
	"numpy.core.numeric._frombuffer":     {4, 4, buildFromBuffer, nil},
	"numpy.ndarray":                      {value: word("numpy.ndarray")},
	"numpy.dtype":                        {1, 3, buildNumpyType, nil},

	"torch.per_tensor_affine":                {value: scheme("per_tensor_affine")},
	"torch.per_tensor_symmetric":             {value: scheme("per_tensor_symmetric")},
	"torch.per_channel_affine":               {value: scheme("per_channel_affine")},
	"torch.per_channel_symmetric":            {value: scheme("per_channel_symmetric")},
	"torch.per_channel_affine_float_qparams": {value: scheme("per_channel_affine_float_qparams")},
	"torch.strided":                          {value: layoutName("strided")},
	"torch.sparse_coo":                       {value: layoutName("sparse_coo")},
	"torch.sparse_csr":                       {value: layoutName("sparse_csr")},
	"torch.sparse_csc":                       {value: layoutName("sparse_csc")},
	"torch.sparse_bsr":                       {value: layoutName("sparse_bsr")},
	"torch.sparse_bsc":                       {value: layoutName("sparse_bsc")},
	"torch.contiguous_format":                {value: word("torch.contiguous_format")},
	"torch.preserve_format":                  {value: word("torch.preserve_format")},
	"torch.channels_last":                    {value: word("torch.channels_last")},
	"torch.channels_last_3d":                 {value: word("torch.channels_last_3d")},
})

// withTypes adds the globals of the scalar types: torch.float32,
// torch.FloatStorage, torch.cuda.FloatStorage, torch.FloatTensor …
func withTypes(rows map[string]builder) map[string]builder {
	byName := make(map[string]*scalarType, len(scalarTypes))
	for _, s := range scalarTypes {
		byName[s.name] = s
		rows["torch."+s.name] = builder{value: s}
		if s.storage == "" {
			continue
		}
		storage := &storageClass{s}
		for _, module := range []string{"torch.", "torch.cuda.", "torch.storage."} {
			rows[module+s.storage+"Storage"] = builder{value: storage}
		}
		for _, module := range []string{"torch.", "torch.cuda."} {
			rows[module+s.storage+"Tensor"] = builder{0, -1, buildTensorClass, nil}
		}
	}
	for alias, name := range dtypeAliases {
		rows["torch."+alias] = builder{value: byName[name]}
	}
	raw := &storageClass{untyped}
	for _, name := range []string{"torch.UntypedStorage", "torch.storage.UntypedStorage", "torch.storage._UntypedStorage", "torch._UntypedStorage", "torch.cuda.UntypedStorage"} {
		rows[name] = builder{value: raw}
	}
	for _, n := range numpyTypes {
		if n.class != "" {
			rows["numpy.dtypes."+n.class] = builder{0, 0, n.build, nil}
		}
	}
	return rows
}

func buildFirst(_ *machine, a *arguments) (any, error) { return a.vals[0], nil }

// buildMapping is dict(), OrderedDict(), Counter(), with the entries of a dict
// or a list of pairs, as Python 2 writes them.
func buildMapping(m *machine, a *arguments) (any, error) {
	d := &mapping{}
	if len(a.vals) == 0 {
		return d, nil
	}
	if old, ok := rawEntries(a.vals[0]); ok {
		if err := m.r.take(int64(32 * len(old))); err != nil {
			return nil, err
		}
		d.Dict = append(d.Dict, old...)
		return d, nil
	}
	pairs := a.items(0)
	if err := m.r.take(int64(32 * len(pairs))); err != nil {
		return nil, err
	}
	for _, p := range pairs {
		kv, _ := items(p)
		if len(kv) != 2 {
			return nil, fmt.Errorf("%s from a list holding a %s: %w", a.of, kindOf(p), tensor.ErrCorrupt)
		}
		d.Set(kv[0], kv[1])
	}
	return d, nil
}

// buildDefaultDict drops the factory.
func buildDefaultDict(m *machine, a *arguments) (any, error) {
	return buildMapping(m, &arguments{of: a.of, vals: a.vals[min(1, len(a.vals)):], s: a.s})
}

func buildList(m *machine, a *arguments) (any, error) {
	l := types.NewList()
	if len(a.vals) == 0 {
		return l, nil
	}
	from := a.items(0)
	if err := m.r.take(int64(16 * len(from))); err != nil {
		return nil, err
	}
	*l = append(*l, from...)
	return l, nil
}

func buildTuple(_ *machine, a *arguments) (any, error) {
	if len(a.vals) == 0 {
		return &types.Tuple{}, nil
	}
	return types.NewTupleFromSlice(a.items(0)), nil
}

// buildBytes is bytes(), bytes(b), bytearray(b) and bytearray(text, "latin-1").
func buildBytes(m *machine, a *arguments) (any, error) {
	switch {
	case len(a.vals) == 0:
		return []byte{}, nil
	case len(a.vals) == 2:
		return buildEncoded(m, a)
	}
	return a.bytes(0), nil
}

// buildEncoded is _codecs.encode(text, encoding): how protocols 0 to 2 hold bytes.
func buildEncoded(m *machine, a *arguments) (any, error) {
	text, encoding := a.text(0), "utf-8"
	if len(a.vals) == 2 {
		encoding = a.text(1)
	}
	if a.err != nil {
		return nil, a.err
	}
	if err := m.r.take(int64(len(text))); err != nil {
		return nil, err
	}
	switch encoding {
	case "utf-8", "utf8":
		return []byte(text), nil
	case "latin1", "latin-1", "iso-8859-1":
		return latin1(text)
	}
	return nil, fmt.Errorf("%s in %.40q: %w", a.of, encoding, tensor.ErrUnsupported)
}

func latin1(text string) ([]byte, error) {
	b := make([]byte, 0, len(text))
	for i, r := range text {
		if r > 0xff {
			return nil, fmt.Errorf("character %q at %d is not in Latin-1: %w", r, i, tensor.ErrCorrupt)
		}
		b = append(b, byte(r)) //nolint:gosec // checked
	}
	return b, nil
}

func buildComplex(_ *machine, a *arguments) (any, error) {
	return complex(a.float(0), a.float(1)), nil
}

// buildScalar is int(x) and the like of a value that is one already.
func buildScalar(_ *machine, a *arguments) (any, error) {
	if _, ok := scalar(a.vals[0]); !ok {
		return nil, fmt.Errorf("%s of a %s: %w", a.of, kindOf(a.vals[0]), tensor.ErrUnsupported)
	}
	return a.vals[0], nil
}

// buildReconstructed is copyreg._reconstructor(class, base, state): what
// protocols 0 and 1 write for instances.
func buildReconstructed(_ *machine, a *arguments) (any, error) {
	c, ok := a.vals[0].(*class)
	base, ok2 := a.vals[1].(*class)
	if !ok || !ok2 {
		return nil, fmt.Errorf("%s of a %s and a %s: %w", a.of, kindOf(a.vals[0]), kindOf(a.vals[1]), tensor.ErrUnsupported)
	}
	if base.name == "builtins.object" {
		return c.PyNew()
	}
	return c.PyNew(a.vals[2])
}

func buildNewObj(_ *machine, a *arguments) (any, error) {
	c, ok := a.vals[0].(*class)
	if !ok {
		return nil, fmt.Errorf("%s of a %s: %w", a.of, kindOf(a.vals[0]), tensor.ErrUnsupported)
	}
	return c.PyNew(a.vals[1:]...)
}

// buildDevice is torch.device("cuda", 0), kept as the word "cuda:0".
func buildDevice(_ *machine, a *arguments) (any, error) {
	name := a.text(0)
	if len(a.vals) == 2 && a.vals[1] != nil {
		name = fmt.Sprintf("%s:%d", name, a.int(1))
	}
	return word(name), nil
}

func buildLayout(_ *machine, a *arguments) (any, error) {
	name := a.text(0)
	if len(name) > 6 && name[:6] == "torch." {
		name = name[6:]
	}
	return layoutName(name), nil
}

// buildFromBytes is a tensor that plain pickle wrote: its bytes are a whole file.
func buildFromBytes(m *machine, a *arguments) (any, error) {
	b := a.bytes(0)
	if a.err != nil {
		return nil, a.err
	}
	return m.nested(b)
}

// An arguments reads the arguments of a call. The first that is not what it
// should be is kept in err, and what follows reads as zero.
type arguments struct {
	of   string
	vals []any
	s    *session // is charged for copies
	err  error
}

// toil charges the copying of n bytes.
func (a *arguments) toil(n int) {
	if err := a.s.toil(int64(n)); err != nil && a.err == nil {
		a.err = err
	}
}

func (a *arguments) fail(i int, want string) {
	if a.err != nil {
		return
	}
	if i >= len(a.vals) {
		a.err = fmt.Errorf("%s has %d arguments and lacks %s: %w", a.of, len(a.vals), want, tensor.ErrCorrupt)
		return
	}
	a.err = fmt.Errorf("%s: argument %d is a %s %.40s, want %s: %w", a.of, i+1, kindOf(a.vals[i]), scalarText(a.vals[i]), want, tensor.ErrCorrupt)
}

// between checks the number of arguments; a row without a call takes any.
func (a *arguments) between(lo, hi int) {
	if n := len(a.vals); n < lo || hi >= 0 && n > hi {
		a.err = fmt.Errorf("%s has %d arguments, want %d to %d: %w", a.of, n, lo, hi, tensor.ErrUnsupported)
	}
}

// argument returns argument i if it is a T.
func argument[T any](a *arguments, i int, want string) (v T) {
	if i < len(a.vals) {
		var ok bool
		if v, ok = a.vals[i].(T); ok {
			return v
		}
	}
	a.fail(i, want)
	return v
}

func (a *arguments) text(i int) string   { return argument[string](a, i, "text") }
func (a *arguments) int(i int) int       { return argument[int](a, i, "an integer") }
func (a *arguments) tensor(i int) *array { return argument[*array](a, i, "a tensor") }

// dtype returns a torch.dtype.
func (a *arguments) dtype(i int) *scalarType { return argument[*scalarType](a, i, "a dtype") }

// float returns a float or an integer.
func (a *arguments) float(i int) float64 {
	if i < len(a.vals) {
		if n, ok := a.vals[i].(int); ok {
			return float64(n)
		}
	}
	return argument[float64](a, i, "a number")
}

func (a *arguments) items(i int) []any {
	if i < len(a.vals) {
		if l, ok := items(a.vals[i]); ok {
			return l
		}
	}
	a.fail(i, "a list or tuple")
	return nil
}

// bytes returns bytes, a bytearray, or the bytes of a Python 2 string.
func (a *arguments) bytes(i int) []byte {
	if i < len(a.vals) {
		switch v := a.vals[i].(type) {
		case []byte:
			return v
		case *types.ByteArray:
			return *v
		case string:
			if a.toil(len(v)); a.err != nil {
				return nil
			}
			return []byte(v)
		}
	}
	a.fail(i, "bytes")
	return nil
}

// ints returns a tuple or list of integers that are not negative.
func (a *arguments) ints(i int) []int64 {
	list := a.items(i)
	if a.toil(16 * len(list)); a.err != nil {
		return nil
	}
	out := make([]int64, len(list))
	for k, v := range list {
		n, ok := v.(int)
		if !ok || n < 0 {
			a.fail(i, fmt.Sprintf("sizes of 0 and above, not %s %.40s", kindOf(v), scalarText(v)))
			return nil
		}
		out[k] = int64(n)
	}
	return out
}

func (a *arguments) shape(i int) tensor.Shape {
	dims := a.ints(i)
	shape := make(tensor.Shape, len(dims))
	for k, d := range dims {
		if d > math.MaxInt {
			a.fail(i, "sizes that fit this machine")
			return nil
		}
		shape[k] = int(d)
	}
	return shape
}
