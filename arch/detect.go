package arch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A Match says which architecture a model holds, in which convention, and
// where.
type Match struct {
	Spec       *Spec
	Convention string // name of one of Spec.Conventions
	Prefix     string // what stands before the names, "" or ending in a dot

	conv     Convention
	bare     bool   // names lack conv.Root
	asserted bool   // the user named the architecture
	anchor   string // a source name under Prefix
}

// String describes m: llama (Hugging Face transformers) under "module".
func (m *Match) String() string {
	s := fmt.Sprintf("%s (%s)", m.Spec.Name, m.conv.Title)
	if m.Prefix != "" {
		s += fmt.Sprintf(" under %q", strings.TrimSuffix(m.Prefix, "."))
	}
	return s
}

// Detect finds which architecture src holds, in which naming convention and
// under which prefix: the one under which all names exist that the convention
// requires. Only names are compared, and the hyperparameters that src itself
// has; shapes and values are left to Canonical. want is the name of a Spec, or
// "" for any. It fails with an *UnknownError if nothing fits and an
// *AmbiguousError if several complete networks are there; DetectAt chooses.
func Detect(src *tensor.Model, want string) (*Match, error) {
	return DetectAt(src, want, "")
}

// DetectAt is Detect for a network at one place of src: root is one of
// AmbiguousError's Roots, or "" for any place.
func DetectAt(src *tensor.Model, want, root string) (*Match, error) {
	f := newForest(src)
	var found []*Match
	var closest near
	for _, s := range Specs() {
		if want == "" || s.Name == want {
			found = append(found, detect(f, s, src.Meta, &closest)...)
		}
	}
	m, err := choose(found, root)
	if len(found) == 0 {
		err = unknown(f, want, closest)
	}
	if err != nil {
		return nil, &tensor.Error{Op: "detect architecture", File: fileOf(src), Err: err}
	}
	m.asserted = want != ""
	return m, nil
}

// choose returns the only network at root.
func choose(found []*Match, root string) (*Match, error) {
	var at []*Match
	e := &AmbiguousError{}
	for _, m := range found {
		e.Found = append(e.Found, m.String())
		e.Roots = append(e.Roots, m.root())
		if root == "" || root == m.root() {
			at = append(at, m)
		}
	}
	switch len(at) {
	case 0:
		return nil, fmt.Errorf("no complete network under %q, but %s: %w", root, list(e.Found), tensor.ErrNotFound)
	case 1:
		return at[0], nil
	}
	return nil, e
}

// root returns the node that m lies under, "." for the top.
func (m *Match) root() string {
	if m.Prefix == "" {
		return "."
	}
	return strings.TrimSuffix(m.Prefix, ".")
}

// fileOf returns the file that src was read from, "" if it has no tensors.
func fileOf(src *tensor.Model) string {
	if len(src.Tensors()) == 0 {
		return ""
	}
	return src.Tensors()[0].Origin.File
}

// near is the best of the incomplete networks.
type near struct {
	text  string
	share float64
}

func unknown(f *forest, want string, closest near) *UnknownError {
	e := &UnknownError{Want: want}
	seen := map[string]bool{}
	for i, t := range f.tensors {
		if i < shown {
			e.First = append(e.First, t.Name)
		}
		if top, _, _ := strings.Cut(t.Name, "."); !seen[top] {
			seen[top] = true
			e.Groups = append(e.Groups, top)
		}
	}
	if closest.share >= 0.5 {
		e.Closest = closest.text
	}
	return e
}

// detect returns the complete networks of architecture s. A way of reading
// names is tried only where those before it find nothing.
func detect(f *forest, s *Spec, meta tensor.Meta, closest *near) []*Match {
	var found []*Match
	columns := map[int]bool{} // that have been found
	for _, c := range s.Conventions {
		if columns[c.Column] || c.Inside && len(groups(meta, c.Group)) == 0 {
			continue
		}
		for _, way := range ways {
			m := Match{Spec: s, Convention: c.Name, conv: c, bare: way.bare}
			if way.bare && c.Root == "" {
				continue
			}
			if complete := m.complete(f, way.mode, closest); len(complete) > 0 {
				found = append(found, complete...)
				columns[c.Column] = true
				break
			}
		}
	}
	return found
}

// ways are the ways of reading names, the most complete first: a network that
// lies among wrappers beside its head is not a bare one.
var ways = []struct {
	bare bool
	mode matching
}{{false, direct}, {false, wrapped}, {true, direct}, {true, wrapped}}

// complete returns m for every prefix under which all required names exist.
func (m Match) complete(f *forest, mode matching, closest *near) []*Match {
	p := newPattern(m.Spec, m.conv, m.bare)
	required := m.required()
	have := map[string]map[int]string{} // prefix → required rule → source name
	var order []string
	for k, t := range f.tensors {
		for start := range f.parts[k] {
			s, ok := f.find(p, k, start, mode)
			if !ok || s.rule < 0 || s.layer != 0 || !required[s.rule] {
				continue
			}
			at := prefix(t.Name, f.parts[k], start)
			if have[at] == nil {
				have[at] = map[int]string{}
				order = append(order, at)
			}
			have[at][s.rule] = t.Name
		}
	}
	var out []*Match
	for _, at := range order {
		n := m
		if at != "" {
			n.Prefix = at + "."
		}
		if len(have[at]) < len(required) {
			closest.offer(&n, required, have[at])
			continue
		}
		n.anchor = have[at][m.firstRequired(required)]
		out = append(out, &n)
	}
	return innermost(out)
}

// required returns the rules whose tensors every model in m's convention has.
func (m *Match) required() map[int]bool {
	out := map[int]bool{}
	for i, r := range m.Spec.Rules {
		if !r.Optional && r.If == "" && named(r.From[m.conv.Column].Name, m.conv.Root, m.bare) != "" {
			out[i] = true
		}
	}
	return out
}

func (m *Match) firstRequired(required map[int]bool) int {
	for i := range m.Spec.Rules {
		if required[i] {
			return i
		}
	}
	return -1
}

// innermost drops a match if a longer prefix finds the same tensors.
func innermost(all []*Match) []*Match {
	return slices.DeleteFunc(slices.Clone(all), func(m *Match) bool {
		return slices.ContainsFunc(all, func(n *Match) bool {
			return len(n.Prefix) > len(m.Prefix) && n.anchor == m.anchor
		})
	})
}

// offer keeps m if it is the most complete so far.
func (c *near) offer(m *Match, required map[int]bool, have map[int]string) {
	share := float64(len(have)) / float64(len(required))
	if share <= c.share {
		return
	}
	var missing []string
	for i, r := range m.Spec.Rules {
		if required[i] && have[i] == "" {
			missing = append(missing, m.Prefix+m.sourceName(r, 0))
		}
	}
	c.share = share
	c.text = fmt.Sprintf("%v, which lacks %s", m, list(missing))
}
