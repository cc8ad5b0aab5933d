package pickle

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/smelt-project/smelt/tensor"
)

// A tile is a tensor that is a part of another, at an index of it.
type tile struct {
	at tensor.Shape
	*tensor.Tensor
}

// joined makes one tensor of the chunks of a, which must cover it exactly.
// Chunks without elements, which a rank that had nothing to write leaves, do
// not count.
func (r *reader) joined(name string, a *array, notes ...string) (*tensor.Tensor, error) {
	fail := func(err error) (*tensor.Tensor, error) {
		return nil, &tensor.Error{Op: "pickle: join chunks", File: r.file, Tensor: name, Err: err}
	}
	elems, err := a.shape.Elems()
	if err != nil {
		return fail(err)
	}
	if elems == 0 {
		return r.tensor(name, &array{storage: r.inMemory("empty", a.typ, nil), typ: a.typ, shape: a.shape, strides: rowMajor(a.shape)}, notes...)
	}
	var tiles []tile
	for _, c := range a.chunks {
		if slices.Contains(c.shape, 0) {
			continue
		}
		t, err := r.tensor(name, c.array, notes...)
		if err != nil {
			return nil, err
		}
		tiles = append(tiles, tile{c.at, t})
	}
	t, err := fit(tiles, make(tensor.Shape, len(a.shape)), a.shape, 0)
	if err != nil {
		return fail(err)
	}
	return t, nil
}

// fit joins tiles that fill the box of a size at an index. They are cut by
// axis first, then by the axes after it: a grid, whose rows may be cut
// differently from each other.
func fit(tiles []tile, at, size tensor.Shape, axis int) (*tensor.Tensor, error) {
	if len(tiles) == 1 && tiles[0].at.Equal(at) && tiles[0].Shape.Equal(size) {
		return tiles[0].Tensor, nil
	}
	if len(tiles) == 0 || axis == len(size) {
		return nil, fmt.Errorf("%d chunks fill %v at %v: %w", len(tiles), size, at, tensor.ErrCorrupt)
	}
	slices.SortStableFunc(tiles, func(a, b tile) int { return cmp.Compare(a.at[axis], b.at[axis]) })
	var bands []*tensor.Tensor
	pos, end := at[axis], at[axis]+size[axis]
	for len(tiles) > 0 {
		first := tiles[0]
		if first.at[axis] != pos {
			return nil, gap(first.at[axis], pos, axis)
		}
		n := 1
		for n < len(tiles) && tiles[n].at[axis] == pos {
			n++
		}
		for _, t := range tiles[:n] {
			if t.Shape[axis] != first.Shape[axis] {
				return nil, fmt.Errorf("chunks at %d of dimension %d are %d and %d long: %w", pos, axis, first.Shape[axis], t.Shape[axis], tensor.ErrUnsupported)
			}
		}
		corner, extent := slices.Clone(at), slices.Clone(size)
		corner[axis], extent[axis] = pos, first.Shape[axis]
		band, err := fit(tiles[:n], corner, extent, axis+1)
		if err != nil {
			return nil, err
		}
		bands = append(bands, band)
		pos += first.Shape[axis]
		tiles = tiles[n:]
	}
	if pos != end {
		return nil, gap(end, pos, axis)
	}
	if len(bands) == 1 {
		return bands[0], nil
	}
	return tensor.Concat(axis, bands...)
}

func gap(next, pos, axis int) error {
	what := "is missing"
	if next < pos {
		what = "overlaps"
	}
	return fmt.Errorf("a chunk %s: one ends at %d of dimension %d, the next begins at %d: %w", what, pos, axis, next, tensor.ErrCorrupt)
}
