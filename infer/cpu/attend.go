package cpu

import (
	"math"

	"github.com/smelt-project/smelt/infer"
)

// How much of an attention a task works on at a time: whole tiles of all kernels,
// whose scores stay in the first cache.
const (
	attendQueries = 96
	attendKeys    = 64
)

// Attend makes y, the values weighted by the softmax of the scaled products of
// queries and keys. It never holds all scores: of a block of keys after the other
// the largest score, the sum and the weighted values so far are kept, and scaled
// down when a larger score comes (Milakov and Gimelshein, arXiv:1805.02867; Dao
// et al., arXiv:2205.14135).
func (b *Backend) Attend(y, q, k, v infer.Buffer, h infer.Heads) {
	u := b.use("attend")
	u.check(h.Heads > 0 && h.KVHeads > 0 && h.Heads%h.KVHeads == 0 && h.Dim > 0 && h.Heads <= maxElems/h.Dim,
		"%d heads over %d of %d elements", h.Heads, h.KVHeads, h.Dim)
	u.check(h.Scale > 0, "a scale of %v", h.Scale)
	u.check(h.Keys > 0 && (!h.Causal || h.Queries <= h.Keys), "%d queries of %d keys", h.Queries, h.Keys)
	a := attention{h: h, kernels: b.kernels,
		q: u.rows(q, h.Queries, h.Heads*h.Dim), y: u.rows(y, h.Queries, h.Heads*h.Dim),
		k: u.rows(k, h.Keys, h.KVHeads*h.Dim), v: u.rows(v, h.Keys, h.KVHeads*h.Dim)}
	if !u.ok {
		return
	}
	blocks := (h.Queries + attendQueries - 1) / attendQueries
	b.each(u.op, h.Heads*blocks, func(s *scratch, task int) error {
		lo := task / h.Heads * attendQueries
		a.block(s, task%h.Heads, lo, min(h.Queries, lo+attendQueries))
		return nil
	})
}

type attention struct {
	h          infer.Heads
	kernels    *kernels
	q, k, v, y []float32
}

// padded is the elements of a head rounded up to whole tiles of columns.
func (a *attention) padded() int {
	return (a.h.Dim + a.kernels.cols - 1) / a.kernels.cols * a.kernels.cols
}

// block computes head of the queries lo to hi.
func (a *attention) block(s *scratch, head, lo, hi int) {
	n, dim := hi-lo, a.padded()
	kv, stride := head*a.h.KVHeads/a.h.Heads, a.h.Heads*a.h.Dim
	scores := sized(&s.scores, attendQueries*attendKeys)
	out := sized(&s.out, attendQueries*(dim+2))
	most, sum := out[attendQueries*dim:][:n], out[attendQueries*(dim+1):][:n]
	out = out[:n*dim]
	clear(out)
	clear(sum)
	for i := range most {
		most[i] = float32(math.Inf(-1))
	}
	last := a.h.Keys
	if a.h.Causal {
		last = a.h.Keys - a.h.Queries + hi
	}
	for key := 0; key < last; key += attendKeys {
		keys := min(attendKeys, last-key)
		a.score(s, scores, head, kv, lo, n, key, keys)
		for i := range n {
			seen := keys
			if a.h.Causal {
				seen = min(keys, a.h.Keys-a.h.Queries+lo+i+1-key)
			}
			row := scores[i*attendKeys:][:keys]
			a.weigh(row, seen, &most[i], &sum[i], out[i*dim:][:dim])
		}
		values, step := a.valuesOf(s, kv, key, keys)
		for j := 0; j < dim; j += a.kernels.cols {
			for i := 0; i < n; i += a.kernels.rows {
				a.kernels.tile(out[i*dim+j:], dim, scores[i*attendKeys:], attendKeys, values[j:], step, keys, min(a.kernels.rows, n-i))
			}
		}
	}
	for i := range n {
		to := a.y[(lo+i)*stride+head*a.h.Dim:][:a.h.Dim]
		inverse := 1 / sum[i]
		for d := range to {
			to[d] = out[i*dim+d] * inverse
		}
	}
}

// weigh turns the scores of one query into weights relative to the largest score
// so far, and scales what is there already to it. Keys from seen on get none.
func (a *attention) weigh(row []float32, seen int, most, sum *float32, out []float32) {
	if seen <= 0 {
		clear(row)
		return
	}
	m := max(*most, a.kernels.maximum(row[:seen])*a.h.Scale)
	if m > *most {
		scale := float32(math.Exp(float64(*most - m)))
		*sum *= scale
		for d := range out {
			out[d] *= scale
		}
		*most = m
	}
	*sum += a.kernels.exp(row[:seen], a.h.Scale, m)
	clear(row[seen:])
}

// dimOfPanel is how many rows a panel of keys has: whole steps of kernels.pack.
func (a *attention) dimOfPanel() int { return (a.h.Dim + 7) / 8 * 8 }

// packKeys returns keys of one head side by side, in panels of a tile's columns.
func (a *attention) packKeys(s *scratch, kv, first, n int) []float32 {
	depth, stride := a.dimOfPanel(), a.h.KVHeads*a.h.Dim
	rows := sized(&s.rows, a.kernels.cols*depth)
	panels := sized(&s.panel, attendKeys*depth)
	for j := 0; j < n; j += a.kernels.cols {
		for c := range min(a.kernels.cols, n-j) {
			copy(rows[c*depth:][:a.h.Dim], a.k[(first+j+c)*stride+kv*a.h.Dim:])
		}
		a.kernels.pack(panels[j*depth:], rows, depth, depth)
	}
	return panels
}

// valuesOf returns the values of one head, and how far apart their rows are: where
// they are, or with zeros after them where a row is not whole tiles.
func (a *attention) valuesOf(s *scratch, kv, first, n int) (values []float32, step int) {
	dim, stride := a.padded(), a.h.KVHeads*a.h.Dim
	from := a.v[first*stride+kv*a.h.Dim:]
	if dim == a.h.Dim {
		return from, stride
	}
	values = sized(&s.values, attendKeys*dim)
	for j := range n {
		copy(values[j*dim:][:a.h.Dim], from[j*stride:])
		clear(values[j*dim+a.h.Dim : (j+1)*dim])
	}
	return values, dim
}

// score makes the products of n queries from lo with keys from first, a row of
// attendKeys each.
func (a *attention) score(s *scratch, scores []float32, head, kv, lo, n, first, keys int) {
	stride, kvStride := a.h.Heads*a.h.Dim, a.h.KVHeads*a.h.Dim
	if n <= fewRows { // packing would take longer
		for i := range n {
			q := a.q[(lo+i)*stride+head*a.h.Dim:][:a.h.Dim]
			for j := range keys {
				scores[i*attendKeys+j] = a.kernels.dot(q, a.k[(first+j)*kvStride+kv*a.h.Dim:][:a.h.Dim])
			}
		}
		return
	}
	clear(scores[:n*attendKeys])
	panels := a.packKeys(s, kv, first, keys)
	for j := 0; j < keys; j += a.kernels.cols {
		for i := 0; i < n; i += a.kernels.rows {
			a.kernels.tile(scores[i*attendKeys+j:], attendKeys, a.q[(lo+i)*stride+head*a.h.Dim:], stride,
				panels[j*a.dimOfPanel():], a.kernels.cols, a.h.Dim, min(a.kernels.rows, n-i))
		}
	}
}
