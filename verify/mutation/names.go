package mutation

import (
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// nameFaults are tensors that are missing, too many, or of the wrong shape or type.
var nameFaults = []Mutation{
	{Names, "a matrix left out", func(e *edit) expectation {
		p := e.subject.parts
		e.remove(func(n string) bool { return n == p.down })
		return expect(p.down, "lost", "left out")
	}},
	{Names, "the last norm left out", func(e *edit) expectation {
		p := e.subject.parts
		e.remove(func(n string) bool { return n == p.finalNorm })
		return expect(p.finalNorm, "lost", "left out")
	}},
	{Names, "the last layer left out", func(e *edit) expectation {
		last, _ := e.lastLayer()
		return expectation{e.remove(func(n string) bool { return strings.HasPrefix(n, last) }), []string{"layer"}}
	}},
	{Names, "the last layer left out, and not counted", func(e *edit) expectation {
		last, _ := e.lastLayer()
		p := e.subject.parts
		e.set(p.layerCount, uint32(e.count(p.layerCount)-1))
		return expectation{e.remove(func(n string) bool { return strings.HasPrefix(n, last) }), []string{"layer"}}
	}},
	{Names, "a misspelt name", func(e *edit) expectation {
		p := e.subject.parts
		e.rename(p.up, p.misspelt)
		return expect(p.up, "under the name "+p.misspelt)
	}},
	{Names, "layers counted from 1 at the end", func(e *edit) expectation {
		last, after := e.lastLayer()
		var names []string
		for _, t := range slices.Clone(e.tensors) {
			if rest, ok := strings.CutPrefix(t.Name, last); ok {
				e.rename(t.Name, after+rest)
				names = append(names, t.Name)
			}
		}
		return expectation{names, []string{"under the name " + after}}
	}},
	{Names, "a matrix too many", func(e *edit) expectation {
		p := e.subject.parts
		if t := e.tensor(p.query); t != nil {
			e.tensors = append(e.tensors, t.Renamed(p.copied))
			e.copyTo(p.query, p.copied)
		}
		return expect(p.copied, "equals "+p.query)
	}},
	{Names, "an output that is not the embedding", func(e *edit) expectation {
		p := e.subject.parts
		if !p.rotary || e.has(outputName) || e.original(outputName) != nil {
			return none
		}
		if t := e.tensor(p.embedding); t != nil {
			shifted, err := t.PermuteRows(func(i int) int { return (i + 1) % t.Shape[0] })
			if err != nil {
				e.err = err
				return none
			}
			e.tensors = append(e.tensors, shifted.Renamed(outputName))
		}
		return expect(outputName, "token embedding")
	}},
	{Names, "dimensions exchanged", func(e *edit) expectation {
		p := e.subject.parts
		t := e.tensor(p.up)
		if t == nil {
			return none
		}
		b, err := t.ReadAll()
		if err != nil {
			e.err = err
			return none
		}
		info := t.Info
		info.Shape = tensor.Shape{t.Shape[1], t.Shape[0]}
		if n, err := info.Size(); err != nil || n != t.Size() {
			return none // blocks do not divide the other dimension
		}
		e.replace(p.up, e.made(info, b))
		return expect(p.up, "only the shape is wrong")
	}},
	{Names, "a row too few", func(e *edit) expectation {
		p := e.subject.parts
		if t := e.tensor(p.embedding); t != nil {
			cut, err := t.Rows(0, t.Shape[0]-1)
			if err != nil {
				e.err = err
				return none
			}
			e.replace(p.embedding, cut)
		}
		return expect(p.embedding, "truncated")
	}},
	{Names, "a stated type of the same size", func(e *edit) expectation {
		p := e.subject.parts
		t := e.tensor(p.query)
		other := map[tensor.DType]tensor.DType{tensor.F16: tensor.BF16, tensor.BF16: tensor.F16, tensor.F32: tensor.I32, tensor.Q4_0: tensor.IQ4NL}
		if t == nil {
			return none
		}
		to, ok := other[t.DType]
		if !ok {
			return none
		}
		b, err := t.ReadAll()
		if err != nil {
			e.err = err
			return none
		}
		e.replace(p.query, e.made(tensor.Info{Name: t.Name, DType: to, Shape: t.Shape}, b))
		return expect(p.query, "read as", "another kind")
	}},
}

const outputName = "output.weight"
