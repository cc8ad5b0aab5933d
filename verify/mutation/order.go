package mutation

import "slices"

// orderFaults are right numbers in wrong places.
var orderFaults = []Mutation{
	{Order, "rows of queries as for the other RoPE convention", func(e *edit) expectation {
		p := e.subject.parts
		e.permute(p.query, toHalves)
		return expect(p.query, "rows permuted as for the other RoPE convention")
	}},
	{Order, "rows of keys permuted twice", func(e *edit) expectation {
		p := e.subject.parts
		e.permute(p.key, toPairs)
		return expect(p.key, "rows permuted as for the other RoPE convention")
	}},
	{Order, "transposed", func(e *edit) expectation {
		p := e.subject.parts
		e.transpose(p.out)
		return expect(p.out, "transposed")
	}},
	{Order, "a matrix that is not square transposed", func(e *edit) expectation {
		p := e.subject.parts
		e.transpose(p.up)
		return expect(p.up, "transposed")
	}},
	{Order, "two heads in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		dim := e.headDim()
		e.rows(p.query, func(r, _ int) int {
			if r < 2*dim {
				return (r + dim) % (2 * dim)
			}
			return r
		})
		return expect(p.query, "heads 0 and 1", "are swapped")
	}},
	{Order, "heads in reverse", func(e *edit) expectation {
		p := e.subject.parts
		dim := e.headDim()
		e.rows(p.query, func(r, rows int) int { return (rows/dim-1-r/dim)*dim + r%dim })
		return expect(p.query, "heads", "split in the wrong order")
	}},
	{Order, "the halves of rows in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		e.rows(p.up, func(r, rows int) int { return (r + rows/2) % rows })
		return expect(p.up, "split in the wrong order")
	}},
	{Order, "two parts joined a row of each in turn", func(e *edit) expectation {
		p := e.subject.parts
		e.rows(p.up, func(r, rows int) int { return r%2*(rows/2) + r/2 })
		return expect(p.up, "split in the wrong order")
	}},
	{Order, "columns of ranks joined in the wrong order", func(e *edit) expectation {
		p := e.subject.parts
		e.columns(p.down, func(c, cols int) int { return (c + cols/2) % cols })
		return expect(p.down, "split in the wrong order")
	}},
	{Order, "rows in reverse", func(e *edit) expectation {
		p := e.subject.parts
		e.rows(p.value, func(r, rows int) int { return rows - 1 - r })
		return expect(p.value, "reverse", "the other way round")
	}},
	{Order, "shifted by a row", func(e *edit) expectation {
		p := e.subject.parts
		e.rows(p.embedding, func(r, rows int) int { return max(r-1, 0) })
		return expect(p.embedding, "shifted by 1 row")
	}},
	{Order, "shifted by some elements", func(e *edit) expectation {
		p := e.subject.parts
		e.values(p.key, func(m matrix) { copy(m.x[32:], slices.Clone(m.x)) })
		return expect(p.key, "shifted by")
	}},
	{Order, "two rows in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		e.rows(p.embedding, func(r, _ int) int {
			switch r {
			case 300:
				return 400
			case 400:
				return 300
			}
			return r
		})
		return expect(p.embedding, "rows 300 and 400 are swapped")
	}},
	{Order, "another layer's matrix", func(e *edit) expectation {
		p := e.subject.parts
		e.copyTo(p.otherKey, p.key)
		return expect(p.key, "equals "+p.otherKey)
	}},
	{Order, "gate and up in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		return e.swapped(p.gate, p.up)
	}},
	{Order, "queries and keys in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		return e.swapped(p.query, p.key)
	}},
	{Order, "keys and values in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		return e.swapped(p.key, p.value)
	}},
	{Order, "queries and output in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		return e.swapped(p.query, p.out)
	}},
	{Order, "two norms in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		return e.swapped(p.norm, p.otherNorm)
	}},
	{Order, "two biases in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		return e.swapped(p.bias, p.otherBias)
	}},
	{Order, "two layers in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		return expectation{e.swapAll(p.layer, p.otherLayer), []string{"swapped with"}}
	}},
	{Order, "self-attention and cross-attention in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		if p.cross == "" {
			return none
		}
		return expectation{e.swapAll(p.attention, p.cross), []string{"swapped with"}}
	}},
	{Order, "a convolution with its taps in reverse", func(e *edit) expectation {
		p := e.subject.parts
		if p.convolution == "" {
			return none
		}
		e.columns(p.convolution, func(c, cols int) int { return cols - 1 - c })
		return expect(p.convolution, "reverse", "the other way round")
	}},
	{Order, "sines and cosines in each other's place", func(e *edit) expectation {
		p := e.subject.parts
		if p.encoding == "" {
			return none
		}
		e.columns(p.encoding, func(c, cols int) int { return (c + cols/2) % cols })
		return expect(p.encoding, "split in the wrong order")
	}},
	{Order, "positions from 1", func(e *edit) expectation {
		p := e.subject.parts
		if p.encoding == "" {
			return none
		}
		e.rows(p.encoding, func(r, rows int) int { return min(r+1, rows-1) })
		return expect(p.encoding, "shifted by -1 row")
	}},
}

// swapped exchanges two tensors of one shape and type.
func (e *edit) swapped(a, b string) expectation {
	if a == "" || b == "" {
		return none
	}
	x, y := e.tensor(a), e.tensor(b)
	if x == nil || y == nil || !x.Shape.Equal(y.Shape) {
		return none
	}
	e.swap(a, b)
	return expectation{[]string{a, b}, []string{"swapped with"}}
}

// headDim is the length of a head.
func (e *edit) headDim() int {
	p := e.subject.parts
	t := e.tensor(p.query)
	if t == nil || e.count(p.heads) == 0 {
		return 1
	}
	return t.Shape[0] / e.count(p.heads)
}

// toHalves and toPairs are the two orders of the rows of a head of dim.
func toHalves(r, dim int) int { return r/dim*dim + r%dim%(dim/2)*2 + r%dim/(dim/2) }
func toPairs(r, dim int) int  { return r/dim*dim + r%2*(dim/2) + r%dim/2 }

// permute reorders the rows of each head.
func (e *edit) permute(name string, from func(r, dim int) int) {
	dim := e.headDim()
	e.rows(name, func(r, _ int) int { return from(r, dim) })
}

// transpose stores the numbers column by column under the same shape.
func (e *edit) transpose(name string) {
	e.values(name, func(m matrix) {
		old := slices.Clone(m.x)
		for i := range m.x {
			m.x[i] = old[i%m.rows*m.cols+i/m.rows]
		}
	})
}
