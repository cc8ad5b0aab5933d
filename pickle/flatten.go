package pickle

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// A child is a value under a name inside another.
type child struct {
	name string // "" keeps the name of the parent
	v    any
	of   string // the class that it is an argument of, if what that does is not known
}

// A frame is a container on the way from the root to where the walk is.
type frame struct {
	id   visit
	name string
	held
	next int
	was  content // of the walk when the frame was entered
}

// A held is what a container holds: children, then the elements of a list, which
// get their names when they are reached.
type held struct {
	kids []child
	list []any
	of   string // as child.of, for all of them if it is not ""
}

func (h *held) len() int { return len(h.kids) + len(h.list) }

func (h *held) at(i int) child {
	var c child
	if n := len(h.kids); i < n {
		c = h.kids[i]
	} else {
		c = child{name: strconv.Itoa(i - n), v: h.list[i-n]}
	}
	if h.of != "" {
		c.of = h.of
	}
	return c
}

// A visit is a container, and whether tensors in it are named.
type visit struct {
	v       any
	unknown bool
}

// A content counts what was named below a container.
type content struct{ tensors, scalars int }

// A walk gives every tensor and scalar of a checkpoint its dotted name, in the
// order of the pickle. It does not recurse, follows no cycle, and bounds how
// often containers that several names lead to are entered again.
type walk struct {
	r       *reader
	stack   []frame
	seen    map[visit]content // containers that were walked to the end
	above   map[any]bool      // containers on the stack
	lists   map[any]any       // lists of scalars as metadata; nil for lists of other things
	count   content
	aliases int // tensors in containers that were entered again

	tensors  []*tensor.Tensor
	meta     *scalars
	names    map[string]int // how often a tensor name has been wanted
	ties     map[place][]tie
	distinct int            // tensors that are tied to no earlier one
	views    map[any]*array // of storages and numpy arrays

	unread, noData, odd, tied tally // for the notes
}

// A tally counts names and keeps the first few.
type tally struct {
	n     int
	first []string
}

func (t *tally) add(name string) {
	if t.n++; len(t.first) < shown {
		t.first = append(t.first, name)
	}
}

// String lists the names.
func (t *tally) String() string { return listed(t.first, t.n) }

// flatten names everything under the roots.
func (r *reader) flatten(roots []child) (*walk, error) {
	w := &walk{r: r, seen: map[visit]content{}, above: map[any]bool{}, lists: map[any]any{},
		meta: newScalars(r.session), names: map[string]int{}, ties: map[place][]tie{}, views: map[any]*array{}}
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
	if top.next == top.len() {
		return w.leave(top)
	}
	kid := top.at(top.next)
	top.next++
	name, err := w.join(top.name, kid.name)
	if err != nil {
		return err
	}
	return w.visit(kid, name)
}

// seenBytes is what remembering a container takes, about: an entry of seen, and
// of lists.
const seenBytes = 160

func (w *walk) leave(f *frame) error {
	delete(w.above, f.id.v)
	if _, again := w.seen[f.id]; !again {
		if err := w.r.take(seenBytes); err != nil {
			return w.fail(f.name, err)
		}
	}
	w.seen[f.id] = content{w.count.tensors - f.was.tensors, w.count.scalars - f.was.scalars}
	w.stack = w.stack[:len(w.stack)-1]
	return nil
}

// visit names c if it is a tensor or a scalar and enters it if it is a container.
func (w *walk) visit(c child, name string) error {
	if a := w.asArray(c, name); a != nil {
		if c.of != "" {
			w.unread.add(fmt.Sprintf("%s (argument of %s)", label(name), c.of))
			return nil
		}
		if err := w.array(name, a); err != nil {
			return err
		}
	}
	if value, ok := scalar(c.v); ok {
		w.scalar(name, value)
		return nil
	}
	return w.enter(c, name)
}

// asArray returns c as a tensor, nil if it is none.
func (w *walk) asArray(c child, name string) *array {
	switch v := c.v.(type) {
	case *array:
		return v
	case *storage:
		return w.cached(v, func() *array { return v.bare() })
	case *ndarray:
		return w.cached(v, func() *array {
			a, err := v.array()
			if err != nil { // text, records, objects: not tensors
				w.unread.add(fmt.Sprintf("%s (numpy array of %s)", label(name), v.typeText()))
			}
			return a
		})
	}
	return nil
}

// cached makes the one array of v, so that v under two names is tied.
func (w *walk) cached(v any, make func() *array) *array {
	a, ok := w.views[v]
	if !ok {
		a = make()
		w.views[v] = a
	}
	return a
}

func (w *walk) scalar(name string, value any) {
	if w.meta.add(name, value) {
		w.count.scalars++
	}
}

// enter puts the container c on the stack. One that was walked before is walked
// again under its new name if something in it has a name.
func (w *walk) enter(c child, name string) error {
	id := visit{c.v, c.of != ""}
	if !isContainer(c.v) || w.above[c.v] {
		return nil
	}
	if in, again := w.seen[id]; again {
		if in.tensors == 0 && (in.scalars == 0 || w.meta.full()) {
			return nil
		}
		w.aliases += in.tensors
	}
	if limit := 1000 + 4*w.distinct; w.aliases > limit {
		return w.fail(name, fmt.Errorf("the same containers are reached by so many paths that tensors get more than %d further names: %w", limit, tensor.ErrTooLarge))
	}
	if len(w.stack) >= w.r.lim.Depth {
		return w.fail(name, fmt.Errorf("values are nested deeper than %d: %w", w.r.lim.Depth, tensor.ErrTooLarge))
	}
	was := w.count
	in := w.children(c, name)
	const childBytes = 64
	if err := w.r.toil(int64(childBytes * in.len())); err != nil {
		return w.fail(name, err)
	}
	w.above[c.v] = true
	w.stack = append(w.stack, frame{id: id, name: name, held: in, was: was})
	return nil
}

func (w *walk) fail(name string, err error) error {
	return &tensor.Error{Op: "pickle: name tensors", File: w.r.file, Tensor: clipped(name), Err: err}
}

func isContainer(v any) bool {
	switch v := v.(type) {
	case *types.Dict, *mapping, *types.List, *types.Tuple, *object:
		return true
	case *array:
		return len(v.states) > 0
	}
	return false
}

// children lists what c holds. What the class of c's arguments does with them
// is as unknown for what they hold.
func (w *walk) children(c child, name string) held {
	in := held{of: c.of}
	switch v := c.v.(type) {
	case *types.List:
		in.list = w.listed(name, v, *v)
	case *types.Tuple:
		in.list = w.listed(name, v, *v)
	case *types.Dict, *mapping:
		in.kids = w.keyed(nil, v)
		if m, ok := v.(*mapping); ok && m.attrs != nil {
			in.kids = w.attributes(in.kids, m.attrs)
		}
	case *array:
		for _, s := range v.states {
			in.kids = w.attributes(in.kids, s)
		}
	case *object:
		in.kids = w.object(v, name)
	}
	return in
}

// object lists the attributes, items and constructor arguments of an object.
// Arguments that are scalars and all there is stand for the object: a path, an
// enumeration's value.
func (w *walk) object(o *object, name string) []child {
	var kids []child
	for _, s := range o.states {
		kids = w.attributes(kids, s)
	}
	kids = w.keyed(kids, &o.items)
	kids = indexed(kids, o.list)
	if len(kids) == 0 && len(o.args) > 0 {
		if values := w.homogeneous(o, o.args); values != nil {
			w.scalar(name, values)
			return nil
		}
	}
	n := len(kids)
	kids = indexed(kids, o.args)
	for i := range kids[n:] {
		if !w.r.opt.TakeUnknown {
			kids[n+i].of = o.class.name
		}
	}
	return kids
}

// attributes lists the state of an object: a dict of attributes, or a pair of
// it and a dict of slots, or whatever a __setstate__ takes. The levels in which
// a torch.nn.Module keeps its parts have no name of their own, and the
// _metadata of a state dict is not data.
func (w *walk) attributes(kids []child, state any) []child {
	if pair, ok := state.(*types.Tuple); ok {
		if pair.Len() != 2 || !isAttributes(pair.Get(0)) || !isAttributes(pair.Get(1)) {
			return indexed(kids, *pair)
		}
		return w.attributes(w.attributes(kids, pair.Get(0)), pair.Get(1))
	}
	if state == nil {
		return kids
	}
	if _, ok := rawEntries(state); !ok {
		return append(kids, child{name: "state", v: state})
	}
	n := len(kids)
	kids = w.keyed(kids, state)
	for i := range kids[n:] {
		switch kid := &kids[n+i]; kid.name {
		case "_parameters", "_buffers", "_modules":
			kid.name = ""
		case "_metadata":
			kid.v = nil
		}
	}
	return kids
}

func isAttributes(v any) bool {
	_, dict := rawEntries(v)
	return v == nil || dict
}

func (w *walk) keyed(kids []child, dict any) []child {
	d, _ := w.r.entries(dict)
	kids = slices.Grow(kids, len(d))
	for i, e := range d {
		kids = append(kids, child{name: w.key(e.Key, i), v: e.Value})
	}
	return kids
}

func indexed(kids []child, list []any) []child {
	kids = slices.Grow(kids, len(list))
	for i, v := range list {
		kids = append(kids, child{name: strconv.Itoa(i), v: v})
	}
	return kids
}

// listed lists the elements of a list, or stores them as one metadata value if
// they are scalars of one kind.
func (w *walk) listed(name string, id any, list []any) []any {
	if values := w.homogeneous(id, list); values != nil {
		w.scalar(name, values)
		return nil
	}
	return list
}

// homogeneous converts a list of scalars of one kind, once for each list.
func (w *walk) homogeneous(id any, list []any) any {
	if len(list) == 0 {
		return nil
	}
	values, ok := w.lists[id]
	if !ok {
		values = homogeneous(list)
		w.lists[id] = values
	}
	return values
}
