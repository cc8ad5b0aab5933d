package arch

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A stated is a value and where it was found. The zero stated is no value.
type stated struct {
	value any // int64, float64, string or bool, by the hyperparameter's Type
	from  string
}

// Values are the hyperparameters of one model, found when they are asked for.
type Values struct {
	m       *Match
	groups  []group
	shapes  map[string]stated // counts that tensors decide
	present map[int]bool      // rules whose tensor the source has
	memo    map[string]stated
	failed  map[string]bool // symbols whose default has said why there is none
	bad     *UnmappedError
}

// Count returns a hyperparameter of type Count.
func (v *Values) Count(symbol string) (int, bool) {
	n, ok := v.resolve(symbol).value.(int64)
	return int(n), ok
}

// Real returns a hyperparameter of type Real or Count.
func (v *Values) Real(symbol string) (float64, bool) {
	return tensor.AsFloat(v.resolve(symbol).value)
}

// Text returns a hyperparameter of type Text, "" if it is missing.
func (v *Values) Text(symbol string) string {
	s, _ := v.resolve(symbol).value.(string)
	return s
}

// Flag returns a hyperparameter of type Flag, false if it is missing.
func (v *Values) Flag(symbol string) bool {
	b, _ := v.resolve(symbol).value.(bool)
	return b
}

// From says where a hyperparameter's value was found.
func (v *Values) From(symbol string) string { return v.resolve(symbol).from }

// Has reports whether the source has its own tensor for the canonical name;
// one that is tied to another does not count.
func (v *Values) Has(canonical string) bool {
	i := slices.IndexFunc(v.m.Spec.Rules, func(r Rule) bool { return r.Name == canonical })
	return v.present[i]
}

// holds reports whether c holds.
func (v *Values) holds(c Cond) bool {
	return c.Symbol == "" || slices.Contains(c.In, asText(v.resolve(c.Symbol).value))
}

func (v *Values) resolve(symbol string) stated {
	if s, ok := v.memo[symbol]; ok {
		return s
	}
	v.memo[symbol] = stated{} // what a default finds that refers to itself
	i := slices.IndexFunc(v.m.Spec.Hypers, func(h Hyper) bool { return h.Symbol == symbol })
	if i < 0 {
		panic("arch: " + v.m.Spec.Name + " has no hyperparameter " + symbol)
	}
	s := v.explicit(&v.m.Spec.Hypers[i])
	if s.value == nil {
		s = v.fallback(&v.m.Spec.Hypers[i])
	}
	v.memo[symbol] = s
	return s
}

// explicit returns what the checkpoint states, else what shapes decide, else
// what configuration files state, and compares all of them.
func (v *Values) explicit(h *Hyper) stated {
	if shape, ok := v.shapes[h.Symbol]; ok {
		return v.decided(h, shape)
	}
	first, rest := v.choose(h)
	for _, s := range rest {
		if s.value != first.value {
			first.from += fmt.Sprintf("; %s says %v", s.from, s.value)
		}
	}
	return first
}

// choose returns the statement on h that counts, and all. Groups inside the
// checkpoint are equals: if they differ, a configuration file decides.
func (v *Values) choose(h *Hyper) (first stated, all []stated) {
	var inside, files []stated
	for _, g := range v.groups {
		s := v.read(h, g)
		if s.value == nil {
			continue
		}
		all = append(all, s)
		if g.inside {
			inside = append(inside, s)
		} else if g.from != checkpoint {
			files = append(files, s)
		}
	}
	if len(all) == 0 {
		return stated{}, nil
	}
	for _, s := range inside {
		if s.value == inside[0].value {
			continue
		}
		if len(files) > 0 {
			return files[0], all
		}
		v.bad.add(&v.bad.Conflicts, "%s: %s says %v, %s says %v; state it in a file given with --config",
			v.label(h.Symbol), inside[0].from, inside[0].value, s.from, s.value)
	}
	return all[0], all
}

// decided returns a count that shapes decide, under the name of the checkpoint
// if that states it too.
func (v *Values) decided(h *Hyper, shape stated) stated {
	out := shape
	for _, g := range v.groups {
		s := v.read(h, g)
		switch {
		case s.value == nil:
		case s.value != shape.value:
			v.bad.add(&v.bad.Conflicts, "%s: %s says %v, %s says %v", v.label(h.Symbol), s.from, s.value, shape.from, shape.value)
		case out.from == shape.from && g.from == checkpoint:
			out.from = s.from
		}
	}
	return out
}

// read returns what g states for h.
func (v *Values) read(h *Hyper, g group) stated {
	for _, alias := range h.Aliases[v.m.conv.Column] {
		raw, ok := g.get(alias)
		if !ok {
			continue
		}
		value, err := h.Type.parse(raw)
		if n, isNumber := tensor.AsFloat(raw); isNumber && h.Unset != 0 && n == h.Unset {
			continue
		}
		if err != nil {
			v.bad.add(&v.bad.Conflicts, "%s = %s: %v", g.name(alias), brief(raw), err)
			continue
		}
		return stated{value, g.name(alias)}
	}
	return stated{}
}

// contradicts reports whether g states a count that shapes decide otherwise.
func (v *Values) contradicts(g group) bool {
	for _, h := range v.m.Spec.Hypers {
		shape, ok := v.shapes[h.Symbol]
		for _, alias := range h.Aliases[v.m.conv.Column] {
			raw, has := g.get(alias)
			if n, isInt := tensor.AsInt(raw); ok && has && isInt && n != shape.value && (h.Unset == 0 || float64(n) != h.Unset) {
				return true
			}
		}
	}
	return false
}

func (v *Values) fallback(h *Hyper) stated {
	for _, d := range h.Defaults {
		if d.Convention != "" && d.Convention != v.m.Convention {
			continue
		}
		value, err := d.Of(v)
		if err != nil {
			v.lack(err)
			v.failed[h.Symbol] = true
			return stated{}
		}
		if value != nil {
			return stated{value, d.From}
		}
	}
	return stated{}
}

// lack notes why something that depends on hyperparameters has no value.
func (v *Values) lack(err error) {
	if errors.Is(err, tensor.ErrNotFound) {
		v.bad.add(&v.bad.Params, "%v", err)
		return
	}
	v.bad.add(&v.bad.Conflicts, "%v", err)
}

// label names a hyperparameter as users meet it: the key in the output and the
// keys in configurations.
func (v *Values) label(symbol string) string {
	for _, h := range v.m.Spec.Hypers {
		if h.Symbol != symbol {
			continue
		}
		aliases := strings.Join(h.Aliases[v.m.conv.Column], " or ")
		if h.Key == "" {
			return aliases
		}
		key := v.m.Spec.Name + "." + h.Key
		if aliases == "" {
			return key
		}
		return key + " (" + aliases + ")"
	}
	return symbol
}

// parse converts a configuration's value to the one kind of value that Values
// keeps for t.
func (t Type) parse(raw any) (any, error) {
	switch t {
	case Count:
		if n, ok := tensor.AsInt(raw); ok && n >= 1 && n <= math.MaxUint32 {
			return n, nil
		}
		return nil, errors.New("not a positive integer of 32 bits")
	case Real:
		if f, ok := tensor.AsFloat(raw); ok && !math.IsNaN(f) && math.Abs(f) <= math.MaxFloat32 {
			return f, nil
		}
		return nil, errors.New("not a number of 32 bits")
	case Text:
		if s, ok := raw.(string); ok {
			return s, nil
		}
		return nil, errors.New("not a string")
	}
	if b, ok := raw.(bool); ok {
		return b, nil
	}
	return nil, errors.New("not true or false")
}

// stored converts a parsed value to the type that is written.
func (t Type) stored(value any) any {
	switch value := value.(type) {
	case int64:
		return uint32(value) //nolint:gosec // parse has checked the range
	case float64:
		return float32(value)
	}
	return value
}

// asText formats a value for comparison with the words of a table.
func asText(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	return fmt.Sprint(value)
}

// brief formats a value of a file for a message.
func brief(value any) string {
	s := fmt.Sprint(value)
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	return s
}

// eval returns a dimension such as "4*n_state"; ok is false if a symbol has no
// value or the product does not fit.
func (v *Values) eval(expr string) (n int, ok bool) {
	n = 1
	for factor := range strings.SplitSeq(expr, "*") {
		f, err := strconv.Atoi(factor)
		if err != nil {
			if f, ok = v.Count(factor); !ok {
				return 0, false
			}
		}
		if f != 0 && n > math.MaxInt/f {
			return 0, false
		}
		n *= f
	}
	return n, true
}

// isSymbol reports whether a dimension is one symbol, which a tensor's shape
// therefore decides.
func isSymbol(expr string) bool {
	_, err := strconv.Atoi(expr)
	return err != nil && !strings.Contains(expr, "*")
}
