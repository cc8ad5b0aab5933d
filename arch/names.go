package arch

import (
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// maxParts bounds the parts of a dotted name that are looked at. PyTorch's
// module trees are less than half as deep; deeper names match nothing.
const maxParts = 48

// A slot is a place in a table: a rule or a drop, and the layer.
type slot struct {
	rule, drop int // index in the Spec; -1 for the other one
	layer      int // 0 if the name has no {n}
}

// A pattern is a tree of the names of one column of a Spec. A layer number is
// an edge of its own.
type pattern struct {
	next   map[string]*pattern
	number *pattern
	end    *slot
}

// newPattern returns the names of convention c. bare leaves out c.Root, as
// programs do that save the network without its head.
func newPattern(s *Spec, c Convention, bare bool) *pattern {
	root := &pattern{}
	for i, r := range s.Rules {
		root.add(named(r.From[c.Column].Name, c.Root, bare), slot{rule: i, drop: -1})
	}
	for i, d := range s.Drops {
		root.add(named(d.From[c.Column], c.Root, bare), slot{rule: -1, drop: i})
	}
	return root
}

// named returns how name is written, "" if it is not.
func named(name, root string, bare bool) string {
	if !bare {
		return name
	}
	name, ok := strings.CutPrefix(name, root+".")
	if !ok {
		return ""
	}
	return name
}

func (p *pattern) add(name string, s slot) {
	if name == "" {
		return
	}
	for part := range strings.SplitSeq(name, ".") {
		p = p.child(part)
	}
	p.end = &s
}

func (p *pattern) child(part string) *pattern {
	if part == "{n}" {
		if p.number == nil {
			p.number = &pattern{}
		}
		return p.number
	}
	if p.next == nil {
		p.next = map[string]*pattern{}
	}
	if p.next[part] == nil {
		p.next[part] = &pattern{}
	}
	return p.next[part]
}

// find walks parts of a name. Layers count below limit. skip, if not nil, says
// whether part i may be passed over where the pattern does not have it.
func (p *pattern) find(parts []string, limit int, skip func(i int) bool) (slot, bool) {
	layer := 0
	for i, part := range parts {
		if next := p.next[part]; next != nil {
			p = next
			continue
		}
		if n, ok := layerNumber(part, limit); ok && p.number != nil {
			p, layer = p.number, n
			continue
		}
		if i == 0 || skip == nil || !skip(i) {
			return slot{}, false
		}
	}
	if p.end == nil {
		return slot{}, false
	}
	s := *p.end
	s.layer = layer
	return s, true
}

// layerNumber parses a layer number as Python writes it.
func layerNumber(part string, limit int) (int, bool) {
	if part == "" || part[0] < '0' || part[0] > '9' { // Atoi would allocate an error
		return 0, false
	}
	n, err := strconv.Atoi(part)
	if err != nil || n >= limit || strconv.Itoa(n) != part {
		return 0, false
	}
	return n, true
}

// A forest is the dotted names of a model's tensors.
type forest struct {
	tensors []*tensor.Tensor
	parts   [][]string // of each tensor; nil if the name is too deep
	only    map[string]string
}

const several = "\x00" // in forest.only: the node has more than one child

func newForest(src *tensor.Model) *forest {
	f := &forest{tensors: src.Tensors(), only: map[string]string{}}
	f.parts = make([][]string, len(f.tensors))
	for i, t := range f.tensors {
		if strings.Count(t.Name, ".") < maxParts {
			f.parts[i] = strings.Split(t.Name, ".")
		}
		f.note(t.Name)
	}
	return f
}

// note records for each of the outer nodes of name whether it has one child.
func (f *forest) note(name string) {
	parent, rest := "", name
	for range maxParts {
		part, more, inner := strings.Cut(rest, ".")
		if old, ok := f.only[parent]; !ok {
			f.only[parent] = part
		} else if old != part {
			f.only[parent] = several
		}
		if !inner {
			return
		}
		parent, rest = name[:len(name)-len(more)-1], more
	}
}

// wrapper returns a function that says whether part start+i of tensor k's name
// is an inner node that has no siblings, such as a training framework puts
// around a module.
func (f *forest) wrapper(k, start int) func(i int) bool {
	parts := f.parts[k]
	return func(i int) bool {
		at := start + i
		return at < len(parts)-1 && f.only[prefix(f.tensors[k].Name, parts, at)] == parts[at]
	}
}

// prefix returns the first n parts of name without the dot after them.
func prefix(name string, parts []string, n int) string {
	if n == 0 {
		return ""
	}
	size := n - 1
	for _, p := range parts[:n] {
		size += len(p)
	}
	return name[:size]
}

// find looks tensor k up from part start on.
func (f *forest) find(p *pattern, k, start int, mode matching) (slot, bool) {
	parts := f.parts[k]
	if start >= len(parts) {
		return slot{}, false
	}
	var skip func(int) bool
	if mode == wrapped {
		skip = f.wrapper(k, start)
	}
	return p.find(parts[start:], len(f.tensors), skip)
}

// A matching says how names are compared with patterns.
type matching uint8

const (
	direct  matching = iota // part by part
	wrapped                 // nodes without siblings may stand between parts
)
