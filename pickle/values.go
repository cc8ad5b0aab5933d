package pickle

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// What a pickle becomes: nil, bool, int, *big.Int, float64, complex128, string,
// []byte, *types.ByteArray, *types.Tuple, *types.List (sets too), *types.Dict,
// and the types below. All but the scalars are pointers, so that every value
// but a []byte can be compared and two paths to one value be recognised.

// A class is a global of a pickle as the machine sees it. Calling one that has
// no builder makes an object; nothing is ever executed.
type class struct {
	m    *machine
	name string // "argparse.Namespace"
	row  builder
}

// Call is the REDUCE, INST and OBJ of a class.
func (c *class) Call(args ...any) (any, error) {
	if err := c.m.r.take(int64(valueBytes + 16*len(args))); err != nil {
		return nil, err
	}
	if c.row.call == nil {
		return &object{class: c, args: slices.Clone(args)}, nil
	}
	a := &arguments{of: c.name, vals: args, s: c.m.r.session}
	if a.between(c.row.min, c.row.max); a.err != nil {
		return nil, a.err
	}
	v, err := c.row.call(c.m, a)
	if err == nil {
		err = a.err
	}
	return v, err
}

// PyNew is the NEWOBJ and NEWOBJ_EX of a class. The arguments are copied:
// gopickle appends keyword arguments in the memory of a tuple that the memo
// may hold.
func (c *class) PyNew(args ...any) (any, error) { return c.Call(slices.Clone(args)...) }

// PySetState refuses a BUILD that would change a class for everybody.
func (c *class) PySetState(any) error {
	return fmt.Errorf("BUILD changes the class %s itself: %w", c.name, tensor.ErrUnsupported)
}

// valueBytes is what an object, array or mapping is charged, besides what it holds.
const valueBytes = 192

// An object is an instance of a class without a builder. It keeps what the
// pickle put into it and does nothing.
type object struct {
	class  *class
	args   []any
	states []any // of each BUILD
	items  types.Dict
	list   []any
}

// Call makes the call of an object inert as well: what it would give is not known.
func (o *object) Call(args ...any) (any, error) {
	return &object{class: o.class, args: append([]any{o}, args...)}, nil
}

// PySetState keeps the state of a BUILD.
func (o *object) PySetState(state any) error {
	o.states = append(o.states, state)
	return nil
}

// Set keeps an item of a subclass of dict.
func (o *object) Set(key, value any) { o.items.Set(key, value) }

// Append keeps an item of a subclass of list.
func (o *object) Append(v any) { o.list = append(o.list, v) }

// A mapping is an OrderedDict, defaultdict or Counter: a dict that can have
// attributes.
type mapping struct {
	types.Dict
	attrs any
}

// PySetState keeps the attributes that a BUILD gives.
func (d *mapping) PySetState(state any) error {
	d.attrs = state
	return nil
}

// A word is a constant that stands for itself, such as a memory format or the
// device "cuda:0".
type word string

// A layoutName is a torch.layout such as "sparse_coo".
type layoutName string

// A scheme is a torch.qscheme such as "per_channel_affine".
type scheme string

// kindOf names the Python type of v for messages.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int, *big.Int:
		return "int"
	case float64:
		return "float"
	case complex128:
		return "complex"
	case string:
		return "str"
	case []byte:
		return "bytes"
	case *types.ByteArray:
		return "bytearray"
	case *types.Tuple:
		return "tuple"
	case *types.List:
		return "list"
	case *types.Dict, *mapping:
		return "dict"
	case *storage:
		return "storage"
	case *array:
		return "tensor"
	case *class:
		return "class " + v.name
	case *object:
		return "instance of " + v.class.name
	}
	return fmt.Sprintf("%T", v)
}

// items returns the elements of a tuple or list.
func items(v any) ([]any, bool) {
	switch v := v.(type) {
	case *types.Tuple:
		return *v, true
	case *types.List:
		return *v, true
	}
	return nil, false
}

// rawEntries returns the entries of a dict as the pickle has set them.
func rawEntries(v any) (types.Dict, bool) {
	switch v := v.(type) {
	case *types.Dict:
		return *v, true
	case *mapping:
		return v.Dict, true
	}
	return nil, false
}

// entries returns the entries of a dict, a repeated key kept once with its
// last value, as Python does.
func (r *session) entries(v any) (types.Dict, bool) {
	d, ok := rawEntries(v)
	if r.toil(int64(64*len(d))) != nil {
		return nil, false
	}
	return lastWins(d), ok
}

func lastWins(d types.Dict) types.Dict {
	at := make(map[any]int, len(d))
	var out types.Dict
	for i, e := range d {
		k := hashKey(e.Key)
		first, again := at[k]
		switch {
		case again && out == nil:
			out = append(slices.Grow(types.Dict{}, len(d)), d[:i]...)
			fallthrough
		case again:
			out[first].Value = e.Value
			continue
		}
		at[k] = i
		if out != nil {
			at[k] = len(out)
			out = append(out, e)
		}
	}
	if out == nil {
		return d
	}
	return out
}

// hashKey returns a comparable value that is equal for keys that Python holds
// to be equal: 1, 1.0 and True are one key.
func hashKey(k any) any {
	switch k := k.(type) {
	case bool:
		if k {
			return 1
		}
		return 0
	case float64:
		if n := int(k); float64(n) == k {
			return n
		}
	case *big.Int:
		return bigKey(k.String())
	case []byte:
		return bytesKey(k)
	case *types.Tuple:
		return tupleKey(*k)
	}
	return k
}

type (
	bigKey   string
	bytesKey string
)

// tupleKey hashes tuples of scalars by what they hold; others by identity.
func tupleKey(t types.Tuple) any {
	var key [4]any
	if len(t) > len(key)-1 {
		return &t
	}
	key[len(key)-1] = len(t)
	for i, v := range t {
		if _, nested := v.(*types.Tuple); nested {
			return &t
		}
		key[i] = hashKey(v)
	}
	return key
}

// lookup returns the last value of a string key of a dict or mapping.
func (r *session) lookup(v any, key string) (value any, ok bool) {
	d, _ := rawEntries(v)
	if r.toil(int64(32*len(d))) != nil {
		return nil, false
	}
	for i := len(d) - 1; i >= 0; i-- {
		if d[i].Key == any(key) {
			return d[i].Value, true
		}
	}
	return nil, false
}
