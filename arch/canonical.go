package arch

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A Result is a model under the names that its output format gives it, and how
// it came about.
type Result struct {
	Model   *tensor.Model     // tensors in table order; Meta has general.architecture and the architecture's keys
	Sources map[string]string // canonical name → source name
	Why     map[string]string // canonical name → what was done with the source
	Dropped []Dropped         // source tensors that were left out, in source order
	Params  []Param           // where each key's value comes from, in order
}

// A Dropped is a source tensor that the result does not have, and why.
type Dropped struct{ Name, Why string }

// A Param is a key of the result and where its value was found.
type Param struct {
	Key   string
	Value any
	From  string // "checkpoint dims.n_mels", "shape of …", "config.json …", "default of …"
}

const checkpoint = "checkpoint" // how origins name the model's own scalars

// A mapping is the work of one call of Canonical.
type mapping struct {
	*Match
	src     *tensor.Model
	values  *Values
	bad     *UnmappedError
	from    map[slot]*tensor.Tensor
	layers  map[string]int    // layers found by the symbol that counts them
	dropped map[string]string // source name → why
	tied    map[int]bool      // rules whose tensor is left out, as it equals another
	notes   []string
}

// Canonical gives src's tensors and hyperparameters the names and types of the
// architecture's output. configs are read where the checkpoint and the shapes
// say nothing, earlier ones first. Everything that does not fit is reported
// together in an *UnmappedError.
func (m *Match) Canonical(src *tensor.Model, configs []Config) (*Result, error) {
	w := &mapping{Match: m, src: src, bad: &UnmappedError{Arch: m.Spec.Name},
		from: map[slot]*tensor.Tensor{}, layers: map[string]int{}, dropped: map[string]string{}, tied: map[int]bool{}}
	all := settings(m.conv, src.Meta, configs)
	if err := m.guard(all); err != nil {
		return nil, w.fail(err)
	}
	w.assign()
	if err := w.dropEqual(); err != nil {
		return nil, w.fail(err)
	}
	w.values = &Values{m: m, groups: all, bad: w.bad, memo: map[string]stated{}, failed: map[string]bool{}, present: map[int]bool{}}
	for s := range w.from {
		w.values.present[s.rule] = true
	}
	w.values.shapes = w.solve()
	w.setAside()
	r, err := w.build()
	if err == nil && !w.bad.empty() {
		err = w.bad
	}
	if err != nil {
		return nil, w.fail(err)
	}
	return r, nil
}

func (w *mapping) fail(err error) error {
	return &tensor.Error{Op: "map to " + w.Spec.Name, File: fileOf(w.src), Err: err}
}

// solve returns the counts that tensors decide: dimensions that are one symbol,
// from the first tensor that has it, and numbers of layers.
func (w *mapping) solve() map[string]stated {
	out := map[string]stated{}
	for symbol, n := range w.layers {
		if symbol != "" {
			out[symbol] = stated{int64(n), "the layers in the tensors' names"}
		}
	}
	for s := range w.Spec.slots(w.layers) {
		t, r := w.from[s], w.Spec.Rules[s.rule]
		if t == nil || len(t.Shape) != len(r.Shape) {
			continue
		}
		for i, expr := range r.Shape {
			if _, ok := out[expr]; ok || !isSymbol(expr) {
				continue
			}
			if n, err := Count.parse(int64(t.Shape[i])); err == nil {
				out[expr] = stated{n, "shape of " + t.Name}
			}
		}
	}
	return out
}

// setAside ignores groups of hyperparameters in the checkpoint that contradict
// the shapes if there are others that do not: training programs keep their
// command line beside the parameters of the model.
func (w *mapping) setAside() {
	v := w.values
	good := slices.ContainsFunc(v.groups, func(g group) bool { return g.inside && !v.contradicts(g) })
	if !good {
		return
	}
	v.groups = slices.DeleteFunc(v.groups, func(g group) bool {
		drop := g.inside && v.contradicts(g)
		if drop {
			w.notes = append(w.notes, fmt.Sprintf("The checkpoint's %q contradicts the tensors' shapes and is ignored.", g.prefix+"*"))
		}
		return drop
	})
}

// slots yields the places of all rules in the order of the output. Rules next
// to each other that count the same layers are repeated together.
func (s *Spec) slots(layers map[string]int) func(yield func(slot) bool) {
	return func(yield func(slot) bool) {
		for i := 0; i < len(s.Rules); {
			end := i + 1
			for end < len(s.Rules) && s.Rules[end].Layers == s.Rules[i].Layers {
				end++
			}
			n := 1
			if s.Rules[i].Layers != "" {
				n = max(1, layers[s.Rules[i].Layers]) // 1, so that what is missing is named
			}
			for layer := range n {
				for k := i; k < end; k++ {
					if !yield(slot{rule: k, drop: -1, layer: layer}) {
						return
					}
				}
			}
			i = end
		}
	}
}

// build makes the result, noting in w.bad what does not fit.
func (w *mapping) build() (*Result, error) {
	r := &Result{Sources: map[string]string{}, Why: map[string]string{}}
	meta := w.meta(r)
	var tensors []*tensor.Tensor
	for s := range w.Spec.slots(w.layers) {
		t, why, err := w.take(s)
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue
		}
		name := numbered(w.Spec.Rules[s.rule].Name, s.layer)
		if source := w.from[s]; source != nil {
			r.Sources[name] = source.Name
		}
		r.Why[name] = why
		tensors = append(tensors, t.Renamed(name))
	}
	for _, t := range w.src.Tensors() {
		if why, ok := w.dropped[t.Name]; ok {
			r.Dropped = append(r.Dropped, Dropped{t.Name, why})
		}
	}
	var err error
	if r.Model, err = tensor.NewModel(w.src.Format, meta, tensors); err != nil {
		return nil, err
	}
	r.Model.Notes = append(slices.Clone(w.src.Notes), w.notes...)
	return r, nil
}

// meta resolves all hyperparameters.
func (w *mapping) meta(r *Result) tensor.Meta {
	kvs := []tensor.KV{{Key: "general.architecture", Value: w.Spec.Name}}
	for _, h := range w.Spec.Hypers {
		s := w.values.resolve(h.Symbol)
		switch {
		case !w.values.holds(h.When):
		case s.value == nil && !h.Optional:
			w.lacks(h)
		case s.value != nil && h.Key != "":
			w.divides(h)
			p := Param{w.Spec.Name + "." + h.Key, h.Type.stored(s.value), s.from}
			kvs = append(kvs, tensor.KV{Key: p.Key, Value: p.Value})
			r.Params = append(r.Params, p)
		}
	}
	return tensor.NewMeta(kvs...)
}

// lacks reports a hyperparameter that nothing states.
func (w *mapping) lacks(h Hyper) {
	if w.values.failed[h.Symbol] {
		return
	}
	var where []string
	for _, g := range w.values.groups {
		where = append(where, strings.TrimRight(g.name(""), " ."))
	}
	w.bad.add(&w.bad.Params, "%s is not in %s; give a file that states it with --config",
		w.values.label(h.Symbol), strings.Join(slices.Compact(where), ", "))
}

func (w *mapping) divides(h Hyper) {
	if h.Divides == "" {
		return
	}
	part, _ := w.values.Count(h.Symbol)
	if whole, ok := w.values.Count(h.Divides); ok && part > 0 && whole%part != 0 {
		w.bad.add(&w.bad.Conflicts, "%s %d (%s) does not divide %s %d (%s)",
			w.values.label(h.Symbol), part, w.values.From(h.Symbol), w.values.label(h.Divides), whole, w.values.From(h.Divides))
	}
}

// take returns the tensor at s, rearranged, and what was done; nil if the model
// has none or if it does not fit.
func (w *mapping) take(s slot) (*tensor.Tensor, string, error) {
	r := &w.Spec.Rules[s.rule]
	t := w.from[s]
	switch {
	case r.Make != nil:
		made, err := r.Make(w.values)
		if err != nil {
			w.values.lack(err)
			return nil, "", nil
		}
		return made, r.Why, nil
	case !w.wanted(r, s, t) || !w.fits(r, t):
		return nil, "", nil
	}
	view := r.From[w.conv.Column].View
	if view == nil {
		return t, renamed(t.Name, numbered(r.Name, s.layer)), nil
	}
	out, err := view.Apply(t, w.values)
	if errors.Is(err, tensor.ErrCorrupt) {
		w.bad.add(&w.bad.Misshapen, "%s %v: %v", t.Name, t.Shape, err)
		return nil, "", nil
	}
	return out, view.Why, err
}

func renamed(from, to string) string {
	if from == to {
		return "as it is"
	}
	return "renamed"
}

// wanted reports whether r's tensor t belongs to the model, and notes if it is
// missing or must not be there.
func (w *mapping) wanted(r *Rule, s slot, t *tensor.Tensor) bool {
	if r.From[w.conv.Column].Name == "" {
		return false
	}
	needed := !r.Optional
	switch {
	case r.If != "":
		needed = w.values.Flag(r.If)
		if t != nil && !needed {
			w.bad.add(&w.bad.Unknown, "%s %v (%s is not true)", t.Name, t.Shape, w.values.label(r.If))
			return false
		}
	case r.TiedTo != "":
		isTied, stated := w.values.resolve(r.TiedIf).value.(bool)
		needed = stated && !isTied && !w.tied[s.rule]
		if t != nil && isTied {
			w.bad.add(&w.bad.Conflicts, "%s is true, but %s differs from %s", w.values.From(r.TiedIf), t.Name, r.TiedTo)
			return false
		}
	}
	if t == nil && needed {
		w.bad.add(&w.bad.Missing, "%s (for %s)", w.Prefix+w.sourceName(*r, s.layer), numbered(r.Name, s.layer))
	}
	return t != nil
}

// fits reports whether t has the shape of r, and notes if it has not. A
// dimension that is not known fits: it is reported as a hyperparameter.
func (w *mapping) fits(r *Rule, t *tensor.Tensor) bool {
	want := make([]string, len(r.Shape))
	ok := len(t.Shape) == len(r.Shape)
	for i, expr := range r.Shape {
		n, known := w.values.eval(expr)
		want[i] = expr
		if known && expr != strconv.Itoa(n) {
			want[i] += "=" + strconv.Itoa(n)
		}
		ok = ok && (!known || t.Shape[i] == n)
	}
	if !ok {
		w.bad.add(&w.bad.Misshapen, "%s is %v, want [%s]", t.Name, t.Shape, strings.Join(want, " "))
	}
	return ok
}

// sourceName returns how m's convention writes the tensor of r.
func (m *Match) sourceName(r Rule, layer int) string {
	return numbered(named(r.From[m.conv.Column].Name, m.conv.Root, m.bare), layer)
}

func numbered(name string, layer int) string {
	return strings.Replace(name, "{n}", strconv.Itoa(layer), 1)
}
