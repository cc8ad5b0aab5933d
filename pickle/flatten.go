package pickle

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// A child is a value under a name inside another.
type child struct {
	name string // "" keeps the name of the parent
	v    any
}

// A frame is a container on the way from the root to where the walk is.
type frame struct {
	id   any // identity of the container
	name string
	kids []child
	next int
	was  content // of the walk when the frame was entered
}

// A content counts what lies below a container.
type content struct{ tensors, scalars int }

// A walk gives every tensor and scalar of a checkpoint its dotted name, in the
// order of the pickle. It does not recurse, follows no cycle, and bounds how
// often containers that several names lead to are entered again.
type walk struct {
	r       *reader
	tensors []*tensor.Tensor
	meta    *scalars
	names   map[string]int   // how often a tensor name has been wanted
	seen    map[any]content  // containers that were walked to the end
	above   map[any]bool     // containers on the stack
	first   map[place]*array // the first tensor at a place of a storage
	named   map[*array]string
	arrays  map[*ndarray]*array
	count   content
	aliases int
	stack   []frame

	unread, noData, odd []string // names for the notes
}

// A place is what two tied tensors have in common.
type place struct {
	blob   *blob
	start  int64 // bytes
	typ    *scalarType
	shape  string
	stride string
	flags  [2]bool
}

// flatten names everything under the roots.
func (r *reader) flatten(roots []child) (*walk, error) {
	w := &walk{r: r, meta: newScalars(r), names: map[string]int{}, seen: map[any]content{}, above: map[any]bool{},
		first: map[place]*array{}, named: map[*array]string{}, arrays: map[*ndarray]*array{}}
	for _, root := range roots {
		name, err := w.join("", root.name)
		if err != nil {
			return nil, err
		}
		if err := w.visit(root, name); err != nil {
			return nil, err
		}
		for len(w.stack) > 0 {
			if err := w.step(); err != nil {
				return nil, err
			}
		}
	}
	return w, nil
}

// step visits the next child of the innermost container, or leaves it.
func (w *walk) step() error {
	top := &w.stack[len(w.stack)-1]
	if top.next == len(top.kids) {
		w.leave(top)
		return nil
	}
	kid := top.kids[top.next]
	top.next++
	name, err := w.join(top.name, kid.name)
	if err != nil {
		return err
	}
	return w.visit(kid, name)
}

func (w *walk) leave(f *frame) {
	delete(w.above, f.id)
	w.seen[f.id] = content{w.count.tensors - f.was.tensors, w.count.scalars - f.was.scalars}
	w.stack = w.stack[:len(w.stack)-1]
}

// visit names v if it is a tensor or a scalar and enters it if it is a container.
func (w *walk) visit(c child, name string) error {
	switch v := c.v.(type) {
	case *array:
		if err := w.array(name, v); err != nil {
			return err
		}
		if len(v.states) == 0 {
			return nil
		}
	case *storage:
		n := v.bytes / v.elem.item
		typ := v.elem
		if typ == untyped {
			typ = scalarTypeOf(tensor.U8)
		}
		return w.array(name, &array{storage: v, typ: typ, shape: tensor.Shape{int(n)}, strides: []int64{1}, notes: []string{"bare storage"}})
	case *ndarray:
		return w.ndarray(name, v)
	}
	if value, ok := scalar(c.v); ok {
		w.count.scalars++
		w.meta.add(name, value)
		return nil
	}
	return w.enter(c.v, name)
}

func (w *walk) enter(v any, name string) error {
	if !isContainer(v) || w.above[v] {
		return nil
	}
	if in, again := w.seen[v]; again {
		if in.tensors == 0 && (in.scalars == 0 || w.meta.full()) {
			return nil
		}
		w.aliases += in.tensors
	}
	if limit := 1000 + 4*len(w.named); w.aliases > limit {
		return w.fail(name, fmt.Errorf("the same containers are reached by so many paths that tensors get more than %d further names: %w", limit, tensor.ErrTooLarge))
	}
	if len(w.stack) >= w.r.lim.Depth {
		return w.fail(name, fmt.Errorf("values are nested deeper than %d: %w", w.r.lim.Depth, tensor.ErrTooLarge))
	}
	kids := w.children(v, name)
	if len(kids) == 0 {
		return nil
	}
	w.above[v] = true
	w.stack = append(w.stack, frame{id: v, name: name, kids: kids, was: w.count})
	return nil
}

func (w *walk) fail(name string, err error) error {
	return &tensor.Error{Op: "pickle: name tensors", File: w.r.file, Tensor: name, Err: err}
}

func isContainer(v any) bool {
	switch v.(type) {
	case *types.Dict, *mapping, *types.List, *types.Tuple, *object, *array:
		return true
	}
	return false
}

// children lists what v holds. The levels in which a torch.nn.Module keeps its
// parts have no name of their own, and the _metadata of a state dict is not data.
func (w *walk) children(v any, name string) []child {
	switch v := v.(type) {
	case *types.List:
		return w.unlessScalars(name, *v)
	case *types.Tuple:
		return w.unlessScalars(name, *v)
	case *types.Dict:
		return w.keyed(nil, lastWins(*v))
	case *mapping:
		kids := w.keyed(nil, lastWins(v.Dict))
		return append(kids, w.attributes(v.attrs)...)
	case *array:
		var kids []child
		for _, s := range v.states {
			kids = append(kids, w.attributes(s)...)
		}
		return kids
	case *object:
		return w.object(v, name)
	}
	return nil
}

func (w *walk) object(o *object, name string) []child {
	var kids []child
	for _, s := range o.states {
		kids = append(kids, w.attributes(s)...)
	}
	kids = w.keyed(kids, lastWins(o.items))
	kids = indexed(kids, o.list)
	if list, ok := homogeneous(o.args); ok && len(o.states) == 0 {
		w.count.scalars++
		w.meta.add(name, list)
		return kids
	}
	if !w.r.opt.TakeUnknown && holdsTensor(o.args) {
		w.unread = append(w.unread, fmt.Sprintf("%s (argument of %s)", label(name), o.class.name))
		return kids
	}
	return indexed(kids, o.args)
}

// holdsTensor reports whether a tensor is among the arguments of a call or
// directly inside one of them.
func holdsTensor(args []any) bool {
	for _, v := range args {
		inner, _ := items(v)
		if d, ok := entries(v); ok {
			for _, e := range d {
				inner = append(inner[:len(inner):len(inner)], e.Value)
			}
		}
		for _, v := range append([]any{v}, inner...) {
			switch v.(type) {
			case *array, *storage, *ndarray:
				return true
			}
		}
	}
	return false
}

// attributes lists the state of an object: a dict of attributes, or a pair of
// it and a dict of slots, or whatever a __setstate__ takes.
func (w *walk) attributes(state any) []child {
	if pair, ok := state.(*types.Tuple); ok {
		if pair.Len() != 2 || !isAttributes(pair.Get(0)) || !isAttributes(pair.Get(1)) {
			return indexed(nil, *pair)
		}
		return append(w.attributes(pair.Get(0)), w.attributes(pair.Get(1))...)
	}
	d, ok := entries(state)
	if !ok {
		return []child{{"state", state}}
	}
	kids := w.keyed(nil, d)
	for i := range kids {
		switch kids[i].name {
		case "_parameters", "_buffers", "_modules":
			kids[i].name = ""
		case "_metadata":
			kids[i].v = nil
		}
	}
	return kids
}

func isAttributes(v any) bool {
	_, dict := entries(v)
	return v == nil || dict
}

func (w *walk) keyed(kids []child, d types.Dict) []child {
	for i, e := range d {
		kids = append(kids, child{w.key(e.Key, i), e.Value})
	}
	return kids
}

func indexed(kids []child, list []any) []child {
	for i, v := range list {
		kids = append(kids, child{strconv.Itoa(i), v})
	}
	return kids
}

// unlessScalars lists the elements of a list, or stores them as one metadata
// value if they are scalars of one kind.
func (w *walk) unlessScalars(name string, list []any) []child {
	if values, ok := homogeneous(list); ok {
		w.count.scalars++
		w.meta.add(name, values)
		return nil
	}
	return indexed(nil, list)
}

// key names a dict key as Python's str does, as far as keys are scalars.
func (w *walk) key(k any, i int) string {
	switch k := k.(type) {
	case string:
		if k == "" {
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
	w.odd = append(w.odd, kindOf(k))
	return fmt.Sprintf("<%s %d>", kindOf(k), i)
}

// tupleText is the repr of a tuple of scalars.
func tupleText(t types.Tuple, i int) string {
	parts := make([]string, len(t))
	for k, v := range t {
		if _, ok := scalar(v); !ok && v != nil {
			return fmt.Sprintf("<tuple %d>", i)
		}
		parts[k] = scalarText(v)
		if s, ok := v.(string); ok {
			parts[k] = "'" + s + "'"
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
	if clean := escaped(name); clean != name {
		w.odd = append(w.odd, clean)
		name = clean
	}
	if parent != "" {
		name = parent + "." + name
	}
	if len(name) > w.r.lim.NameBytes {
		return "", w.fail(name[:80]+"…", fmt.Errorf("a name of %d bytes, at most %d are read: %w", len(name), w.r.lim.NameBytes, tensor.ErrTooLarge))
	}
	return name, nil
}

// escaped replaces control characters and bytes that are not UTF-8 by Go escapes.
func escaped(s string) string {
	plain := true
	for _, r := range s {
		if r < 0x20 || r == utf8.RuneError || r > 0x7e && unicode.IsControl(r) || r == 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// array names a tensor, or the dense tensors that a composite one is made of.
func (w *walk) array(name string, a *array) error {
	if a.noData != "" {
		w.noData = append(w.noData, fmt.Sprintf("%s (%s)", label(name), a.noData))
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

func (w *walk) ndarray(name string, n *ndarray) error {
	a, ok := w.arrays[n]
	if !ok {
		made, err := n.array()
		if err != nil { // text, records, objects: not tensors
			w.unread = append(w.unread, fmt.Sprintf("%s (numpy array of %s)", label(name), n.typeText()))
			return nil
		}
		a = made
		w.arrays[n] = a
	}
	return w.array(name, a)
}

// tensor adds one dense tensor under a name that no other has.
func (w *walk) tensor(name string, a *array, notes ...string) error {
	name = w.unique(label(name))
	if len(w.tensors) >= w.r.lim.Tensors {
		return w.fail(name, fmt.Errorf("more than %d tensors: %w", w.r.lim.Tensors, tensor.ErrTooLarge))
	}
	if err := w.r.take(tensorBytes + int64(len(name))); err != nil {
		return w.fail(name, err)
	}
	if first := w.tiedTo(a); first != nil {
		notes = append(notes, "tied to "+w.named[first])
	} else {
		w.named[a] = name
	}
	t, err := w.r.tensor(name, a, notes...)
	if err != nil {
		return err
	}
	w.count.tensors++
	w.tensors = append(w.tensors, t)
	return nil
}

// tensorBytes is what a named tensor takes in memory, about.
const tensorBytes = 512

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
			w.odd = append(w.odd, again)
			return again
		}
		w.names[name]++
	}
}

// tiedTo returns the earlier tensor with the same elements of the same storage.
func (w *walk) tiedTo(a *array) *array {
	if a.storage == nil || a.storage.bytes == 0 {
		return nil
	}
	p := place{a.storage.blob, a.storage.start + a.offset*a.typ.item, a.typ, a.shape.String(), fmt.Sprint(a.strides), [2]bool{a.conj, a.neg}}
	if first, ok := w.first[p]; ok {
		return first
	}
	w.first[p] = a
	return nil
}
