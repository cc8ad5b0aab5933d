package origin

import (
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// maxDepth bounds the modules inside each other that are looked at; names that
// are deeper belong to no network.
const maxDepth = 64

// A module is a node of the tree that dotted names spell: a torch.nn.Module, or
// a parameter if it has a tensor.
type module struct {
	path     string
	children map[string]*module
	order    []string // of children, as they occur
	tensor   *tensor.Tensor
}

func newTree(m *tensor.Model) *module {
	top := &module{}
	for _, t := range m.Tensors() {
		if strings.Count(t.Name, ".") >= maxDepth {
			continue
		}
		node := top
		for part := range strings.SplitSeq(t.Name, ".") {
			node = node.grow(part)
		}
		node.tensor = t
	}
	return top
}

// grow returns the child called part, which it makes if need be.
func (m *module) grow(part string) *module {
	if c, ok := m.children[part]; ok {
		return c
	}
	if m.children == nil {
		m.children = map[string]*module{}
	}
	c := &module{path: m.name(part)}
	m.children[part] = c
	m.order = append(m.order, part)
	return c
}

// walk calls visit with m and all modules in it, outer ones first.
func (m *module) walk(visit func(*module)) {
	visit(m)
	for _, name := range m.order {
		m.children[name].walk(visit)
	}
}

// at returns the module that path names inside m, nil if there is none. A module
// whose only child is another stands for that child: DistributedDataParallel,
// torch.compile and FSDP put such wrappers around any module.
func (m *module) at(path string) *module {
	for part := range strings.SplitSeq(path, ".") {
		for m.children[part] == nil {
			if len(m.order) != 1 {
				return nil
			}
			m = m.children[m.order[0]]
		}
		m = m.children[part]
	}
	return m
}

// list returns the modules 0, 1, 2 … of the torch.nn.ModuleList at path.
func (m *module) list(path string) []*module {
	first := m.at(path + ".0")
	if first == nil {
		return nil
	}
	parent := m.at(path)
	for parent.children["0"] != first {
		parent = parent.children[parent.order[0]]
	}
	var out []*module
	for {
		item := parent.children[strconv.Itoa(len(out))]
		if item == nil {
			return out
		}
		out = append(out, item)
	}
}

// name returns what path in m is called in the file.
func (m *module) name(path string) string { return strings.TrimPrefix(m.path+"."+path, ".") }
