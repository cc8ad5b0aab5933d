package pickle

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// A place is where the elements of a tensor begin.
type place struct {
	blob  *blob
	start int64 // bytes
	typ   *scalarType
}

// A tie is the first of tensors that are the same.
type tie struct {
	*array
	name string
}

// key names a dict key as Python's str does, as far as keys are scalars.
func (w *walk) key(k any, i int) string {
	switch k := k.(type) {
	case string:
		if k == "" {
			w.odd.add(`""`)
			return `""`
		}
		return k
	case int:
		return strconv.Itoa(k)
	case *big.Int:
		return k.String()
	case []byte:
		return fmt.Sprintf("b%q", k)
	case *types.Tuple:
		return tupleText(*k, i)
	case nil, bool, float64:
		return scalarText(k)
	}
	name := fmt.Sprintf("<%s %d>", kindOf(k), i)
	w.odd.add(name)
	return name
}

// tupleText is the repr of a tuple of a few scalars.
func tupleText(t types.Tuple, i int) string {
	if len(t) > 16 {
		return fmt.Sprintf("<tuple %d>", i)
	}
	parts := make([]string, len(t))
	for k, v := range t {
		switch v := v.(type) {
		case string:
			parts[k] = "'" + v + "'"
		case nil, bool, int, float64, *big.Int:
			parts[k] = scalarText(v)
		default:
			return fmt.Sprintf("<tuple %d>", i)
		}
	}
	if len(parts) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// join returns parent.name, with characters that no name may have escaped.
func (w *walk) join(parent, name string) (string, error) {
	if name == "" {
		return parent, nil
	}
	if n := len(parent) + 1 + len(name); n > w.r.lim.NameBytes {
		return "", w.fail(parent+"."+name, fmt.Errorf("a name of %d bytes, at most %d are read: %w", n, w.r.lim.NameBytes, tensor.ErrTooLarge))
	}
	if err := w.r.toil(int64(len(parent) + len(name))); err != nil {
		return "", w.fail(parent, err)
	}
	if clean := escaped(name); clean != name {
		w.odd.add(clean)
		name = clean
	}
	return dotted(parent, name), nil
}

func dotted(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// label is the name of a tensor that stands alone at the top of a pickle.
func label(name string) string {
	if name == "" {
		return "tensor"
	}
	return name
}

// clipped is a name short enough for a message.
func clipped(name string) string {
	const most = 200
	if len(name) <= most {
		return escaped(name)
	}
	return escaped(name[:most]) + "…"
}

// escaped replaces control characters and bytes that are not UTF-8 by Go escapes.
func escaped(s string) string {
	odd := func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }
	if strings.IndexFunc(s, odd) < 0 {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// array names a tensor, or the dense tensors that a composite one is made of.
func (w *walk) array(name string, a *array) error {
	if a.noData != "" {
		w.noData.add(fmt.Sprintf("%s (%s)", label(name), a.noData))
		return nil
	}
	for _, p := range a.parts {
		if err := w.tensor(dotted(name, p.name), p.array, a.notes...); err != nil {
			return err
		}
	}
	if len(a.parts) > 0 {
		return nil
	}
	if err := w.tensor(name, a); err != nil || a.quant == nil {
		return err
	}
	if err := w.tensor(dotted(name, "scales"), a.quant.scales, "scales of "+label(name)); err != nil {
		return err
	}
	return w.tensor(dotted(name, "zero_points"), a.quant.zeros, "zero points of "+label(name))
}

// tensor adds one dense tensor under a name that no other has.
func (w *walk) tensor(name string, a *array, notes ...string) error {
	name = w.unique(label(name))
	if len(w.tensors) >= w.r.lim.Tensors {
		return w.fail(name, fmt.Errorf("more than %d tensors: %w", w.r.lim.Tensors, tensor.ErrTooLarge))
	}
	if err := w.r.take(tensorBytes + nameCopies*int64(len(name))); err != nil {
		return w.fail(name, err)
	}
	if first, tied := w.tie(name, a); tied {
		notes = append(notes, "tied to "+first)
		w.tied.add(name + " to " + first)
	}
	t, err := w.r.tensor(name, a, notes...)
	if err != nil {
		return err
	}
	w.count.tensors++
	w.tensors = append(w.tensors, t)
	return nil
}

// tensorBytes is what a named tensor takes in memory, about, without its name;
// nameCopies is how often a name is held: by the tensor, the index, and twice by
// what is said of a tied tensor.
const (
	tensorBytes = 300
	nameCopies  = 4
)

// unique returns name, or name#2 if it is taken: {"a": {"b": x}, "a.b": y} has
// two tensors of one dotted name.
func (w *walk) unique(name string) string {
	w.names[name]++
	if w.names[name] == 1 {
		return name
	}
	for {
		again := fmt.Sprintf("%s#%d", name, w.names[name])
		if w.names[again] == 0 {
			w.names[again]++
			w.odd.add(again)
			return again
		}
		w.names[name]++
	}
}

// tie returns the name of the earlier tensor with the same elements of the same
// storage, if there is one.
func (w *walk) tie(name string, a *array) (first string, tied bool) {
	p := place{typ: a.typ}
	if a.storage != nil {
		p.blob, p.start = a.storage.blob, a.storage.start+a.offset*a.typ.item
	}
	const compared = 16 // views of one place that are told apart
	for _, t := range w.ties[p] {
		if t.array == a || t.sameElements(a) {
			return t.name, true
		}
	}
	w.distinct++
	if len(w.ties[p]) < compared {
		w.ties[p] = append(w.ties[p], tie{a, name})
	}
	return "", false
}

// sameElements reports whether two tensors at one place are the same.
func (a *array) sameElements(b *array) bool {
	return a.storage != nil && a.storage.bytes > 0 && a.shape.Equal(b.shape) && slices.Equal(a.strides, b.strides) && a.conj == b.conj && a.neg == b.neg
}
