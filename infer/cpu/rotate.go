package cpu

import (
	"math"

	"github.com/smelt-project/smelt/infer"
)

// turns are the cosines and sines of a rotation, [positions, pairs] each.
type turns struct{ cos, sin []float32 }

// until returns the turns of r for all positions below n. The angle is rounded
// to float32 before its cosine is taken, as in the original programs.
func (b *Backend) until(r *infer.Rotation, n int) *turns {
	t := b.rotations[r]
	if t == nil {
		t = &turns{}
		b.rotations[r] = t
	}
	magnitude := float64(r.Magnitude)
	if magnitude == 0 {
		magnitude = 1
	}
	for position := len(t.cos) / len(r.Frequencies); position < n; position++ {
		for _, f := range r.Frequencies {
			sin, cos := math.Sincos(float64(float32(position) * f))
			t.cos = append(t.cos, float32(cos*magnitude))
			t.sin = append(t.sin, float32(sin*magnitude))
		}
	}
	return t
}

// Rotate turns the heads of x in place; row t is at position first+t. The turns
// of a rotation are kept: r must not change.
func (b *Backend) Rotate(x infer.Buffer, n, heads, dim, first int, r *infer.Rotation) {
	u := b.use("rotate")
	pairs := len(r.Frequencies)
	u.check(pairs > 0 && 2*pairs <= dim, "%d pairs of a head of %d elements", pairs, dim)
	u.check(heads > 0 && dim > 0 && heads <= maxElems/max(1, dim), "%d heads of %d elements", heads, dim)
	u.check(first >= 0 && first <= maxElems, "position %d", first)
	rows := u.rows(x, n, heads*dim)
	if !u.ok {
		return
	}
	turns := b.until(r, first+n)
	step, second := 2, 1
	if r.Halves {
		step, second = 1, pairs
	}
	b.pieces(u.op, n, heads*dim, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			cos, sin := turns.cos[(first+t)*pairs:][:pairs], turns.sin[(first+t)*pairs:][:pairs]
			for h := range heads {
				head := rows[(t*heads+h)*dim:][:dim]
				for p := range pairs {
					i := p * step
					x, y := head[i], head[i+second]
					head[i] = float32(x*cos[p]) - float32(y*sin[p])
					head[i+second] = float32(x*sin[p]) + float32(y*cos[p])
				}
			}
		}
	})
}
