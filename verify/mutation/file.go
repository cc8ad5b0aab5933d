package mutation

import (
	"cmp"
	"slices"

	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/verify"
)

// fileFaults are about where tensors are in their file.
var fileFaults = []Mutation{
	{File, "two tensors at one place", func(e *edit) expectation {
		p := e.subject.parts
		a, b := e.tensor(p.query), e.tensor(p.out)
		if a == nil || b == nil || !a.Shape.Equal(b.Shape) || a.DType != b.DType {
			return none
		}
		e.replace(p.out, a.Renamed(p.out))
		return expectation{[]string{p.query, p.out}, []string{"shares bytes"}}
	}},
	{File, "the end of the file is missing", func(e *edit) expectation {
		last := slices.MaxFunc(e.tensors, func(a, b *tensor.Tensor) int { return cmp.Compare(a.Origin.Offset, b.Origin.Offset) })
		e.files = slices.Clone(e.files)
		for i, f := range e.files {
			e.files[i] = verify.File{Path: f.Path, Size: f.Size - last.Size()}
		}
		return expect(last.Name, "truncated")
	}},
}
