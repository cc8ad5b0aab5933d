package arch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// Merge joins the files of tensor-parallel ranks, each read as a model of its
// own and given in the order of the ranks, into the model that they were split
// from. Each tensor is joined along the dimension that its architecture's table
// names; tensors that every rank holds must be equal. Metadata is the first
// rank's.
func Merge(ranks []*tensor.Model) (*tensor.Model, error) {
	if len(ranks) == 0 {
		return nil, &tensor.Error{Op: "merge ranks", Err: fmt.Errorf("no files: %w", tensor.ErrNotFound)}
	}
	if len(ranks) == 1 {
		return ranks[0], nil
	}
	m, err := Detect(ranks[0], "")
	if err != nil {
		return nil, err
	}
	m, ok := m.ranked()
	if !ok {
		return nil, &tensor.Error{Op: "merge ranks", File: fileOf(ranks[0]),
			Err: fmt.Errorf("%v is not split into ranks: %w", m, tensor.ErrUnsupported)}
	}
	return m.merge(ranks)
}

// ranked returns m in a convention of the same names that knows ranks.
func (m *Match) ranked() (*Match, bool) {
	for _, c := range m.Spec.Conventions {
		if c.Ranks && c.Column == m.conv.Column {
			n := *m
			n.Convention, n.conv = c.Name, c
			return &n, true
		}
	}
	return m, false
}

func (m *Match) merge(ranks []*tensor.Model) (*tensor.Model, error) {
	if err := sameNames(ranks); err != nil {
		return nil, err
	}
	f := newForest(ranks[0])
	p := newPattern(m.Spec, m.conv, m.bare)
	start := strings.Count(m.Prefix, ".")
	slots := make([]slot, len(f.tensors))
	for k, t := range f.tensors {
		slots[k] = slot{rule: -1, drop: -1}
		if !strings.HasPrefix(t.Name, m.Prefix) {
			continue
		}
		if s, ok := f.find(p, k, start, wrapped); ok {
			slots[k] = s
		}
	}
	known := m.whole(f.tensors, slots)
	var out []*tensor.Tensor
	for k, t := range f.tensors {
		parts := make([]*tensor.Tensor, len(ranks))
		for i, r := range ranks {
			parts[i] = r.Tensor(t.Name)
		}
		joined, err := m.join(slots[k], known, parts)
		if err != nil {
			return nil, err
		}
		out = append(out, joined)
	}
	merged, err := tensor.NewModel(fmt.Sprintf("%s, %d tensor-parallel ranks", ranks[0].Format, len(ranks)), ranks[0].Meta, out)
	if err != nil {
		return nil, err
	}
	for _, r := range ranks {
		merged.Notes = append(merged.Notes, r.Notes...)
	}
	return merged, nil
}

// sameNames fails unless all ranks have the same tensors.
func sameNames(ranks []*tensor.Model) error {
	for i, r := range ranks[1:] {
		for _, t := range ranks[0].Tensors() {
			if r.Tensor(t.Name) == nil {
				return rankError(t, 0, i+1, fmt.Errorf("it is missing in %s: %w", fileOf(r), tensor.ErrCorrupt))
			}
		}
		for _, t := range r.Tensors() {
			if ranks[0].Tensor(t.Name) == nil {
				return rankError(t, i+1, 0, fmt.Errorf("it is missing in %s: %w", fileOf(ranks[0]), tensor.ErrCorrupt))
			}
		}
	}
	return nil
}

func rankError(t *tensor.Tensor, a, b int, err error) error {
	return &tensor.Error{Op: fmt.Sprintf("merge ranks %d and %d", a, b), File: t.Origin.File, Tensor: t.Name, Err: err}
}

// whole returns the dimensions that tensors held by every rank decide.
func (m *Match) whole(tensors []*tensor.Tensor, slots []slot) map[string]int {
	out := map[string]int{}
	for k, s := range slots {
		if s.rule < 0 || len(m.Spec.Rules[s.rule].Split) > 0 {
			continue
		}
		for i, expr := range m.Spec.Rules[s.rule].Shape {
			if isSymbol(expr) && i < len(tensors[k].Shape) {
				out[expr] = tensors[k].Shape[i]
			}
		}
	}
	return out
}

// join returns the tensor that parts, one of each rank, were split from.
func (m *Match) join(s slot, known map[string]int, parts []*tensor.Tensor) (*tensor.Tensor, error) {
	if s.rule < 0 || len(m.Spec.Rules[s.rule].Split) == 0 {
		return replicated(parts)
	}
	r := m.Spec.Rules[s.rule]
	first := parts[0]
	if len(first.Shape) != len(r.Shape) {
		return nil, &tensor.Error{Op: "merge ranks", File: first.Origin.File, Tensor: first.Name,
			Err: fmt.Errorf("shape %v, want %d dimensions: %w", first.Shape, len(r.Shape), tensor.ErrCorrupt)}
	}
	fits := func(axis int) bool {
		for i, expr := range r.Shape {
			n, ok := known[expr]
			whole := first.Shape[i]
			if i == axis {
				whole *= len(parts)
			}
			if ok && n != whole {
				return false
			}
		}
		return true
	}
	for k, p := range parts[1:] {
		if !p.Shape.Equal(first.Shape) {
			return nil, rankError(p, 0, k+1, fmt.Errorf("shapes %v and %v: %w", first.Shape, p.Shape, tensor.ErrCorrupt))
		}
	}
	i := slices.IndexFunc(r.Split, fits)
	if i < 0 {
		return nil, &tensor.Error{Op: "merge ranks", File: first.Origin.File, Tensor: first.Name,
			Err: fmt.Errorf("shape %v in each of %d ranks does not make [%s] with %v: %w",
				first.Shape, len(parts), strings.Join(r.Shape, " "), known, tensor.ErrCorrupt)}
	}
	return tensor.Concat(r.Split[i], parts...)
}

// replicated returns the first of parts, which all ranks must hold alike.
func replicated(parts []*tensor.Tensor) (*tensor.Tensor, error) {
	for i, p := range parts[1:] {
		equal, err := tensor.Equal(context.Background(), parts[0], p)
		if err != nil {
			return nil, err
		}
		if !equal {
			return nil, rankError(p, 0, i+1, fmt.Errorf("every rank holds all of it, but they differ (%v %v in %s): %w",
				parts[0].DType, parts[0].Shape, parts[0].Origin.File, tensor.ErrCorrupt))
		}
	}
	return parts[0], nil
}
