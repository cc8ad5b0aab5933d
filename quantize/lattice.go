package quantize

import (
	"math"
	"sync"
)

// A lattice is the set of points that groups of elements are rounded to.
type lattice struct {
	dims, base int
	// values holds dims values for each point, in the order of their numbers:
	// step·l + offset for the coordinates l.
	values []float32
	// number is a point's number by its code, Σ l[i]·base^i; −1 off the set.
	number []int32
	// near[start[c]:start[c+1]] are the points nearest to code c off the set. After
	// the last list there are 15 more, because kernels look at 16 at once.
	near  []uint16
	start []uint32
}

// The lattices that encoding needs. Values are odd where signs are stored apart.
// The lists of near points, 40 to 660 kB, are made when first asked for.
var (
	latticeIQ2XXS = sync.OnceValue(func() *lattice { return newLattice(gridIQ2XXS[:], 8, 3, 2, 2, 1) })
	latticeIQ2XS  = sync.OnceValue(func() *lattice { return newLattice(gridIQ2XS[:], 8, 3, 2, 2, 1) })
	latticeIQ2S   = sync.OnceValue(func() *lattice { return newLattice(gridIQ2S[:], 8, 3, 1, 2, 1) })
	latticeIQ1    = sync.OnceValue(func() *lattice { return newLattice(gridIQ1[:], 8, 3, 3, 1, -1) })
	latticeIQ3XXS = sync.OnceValue(func() *lattice { return newLattice(gridIQ3XXS[:], 4, 8, 2, 2, 1) })
	latticeIQ3S   = sync.OnceValue(func() *lattice { return newLattice(gridIQ3S[:], 4, 8, 3, 2, 1) })
)

// newLattice makes the lattice of a set. The points near a code are those at the
// least distances from it, as many different ones as shells says, by distance
// and then number. (ggml-quants.c@d99724f2, iq2xs_init_impl and iq3xs_init_impl)
func newLattice(set []uint64, dims, base, shells int, step, offset float32) *lattice {
	codes := power(base, dims)
	points := pointsOf(set, codes)
	t := &lattice{dims: dims, base: base, number: make([]int32, codes), start: make([]uint32, codes+1)}
	for code := range t.number {
		t.number[code] = -1
	}
	for n, p := range points {
		t.number[p] = int32(n)
		for _, l := range coordinates(p, dims, base) {
			t.values = append(t.values, float32(step*float32(l))+offset)
		}
	}
	m := newMetric(dims, base, points)
	for code := range codes {
		if t.number[code] < 0 {
			t.near = m.appendNear(t.near, code, shells)
		}
		t.start[code+1] = uint32(len(t.near))
	}
	t.near = append(t.near, make([]uint16, 15)...)
	return t
}

func power(base, n int) int {
	p := 1
	for range n {
		p *= base
	}
	return p
}

// pointsOf returns the codes of the points of a set, in order.
func pointsOf(set []uint64, codes int) (points []int) {
	for code := range codes {
		if set[code/64]>>(code%64)&1 != 0 {
			points = append(points, code)
		}
	}
	return points
}

// coordinates are the digits of code, the lowest first.
func coordinates(code, dims, base int) []int {
	l := make([]int, dims)
	for i := range l {
		l[i] = code % base
		code /= base
	}
	return l
}

// A metric finds the points nearest to a code. Squared distances, at most 8·2²
// or 4·7², are the sums of those of the lower and the upper half of the digits.
type metric struct {
	half     int     // number of codes of half the digits
	between  []uint8 // [half·half] squared distances
	points   []int
	distance []uint8 // scratch, of each point
}

func newMetric(dims, base int, points []int) *metric {
	m := &metric{half: power(base, dims/2), points: points, distance: make([]uint8, len(points))}
	for a := range m.half {
		for b := range m.half {
			la, lb := coordinates(a, dims/2, base), coordinates(b, dims/2, base)
			var d int
			for i := range la {
				d += (la[i] - lb[i]) * (la[i] - lb[i])
			}
			m.between = append(m.between, uint8(d))
		}
	}
	return m
}

func (m *metric) appendNear(near []uint16, code, shells int) []uint16 {
	lower, upper := m.between[code%m.half*m.half:][:m.half], m.between[code/m.half*m.half:][:m.half]
	var present [256]bool
	for n, p := range m.points {
		d := lower[p%m.half] + upper[p/m.half]
		m.distance[n] = d
		present[d] = true
	}
	for d := 0; d < len(present) && shells > 0; d++ {
		if !present[d] {
			continue
		}
		shells--
		for n, dn := range m.distance {
			if int(dn) == d {
				near = append(near, uint16(n))
			}
		}
	}
	return near
}

// code is the number whose digits are the levels nearest to ½·(inv·x−1), those
// of the odd values nearest to inv·x.
func (t *lattice) code(x []float32, inv float32) (code int32) {
	base := int32(t.base)
	for i := t.dims - 1; i >= 0; i-- {
		code = code*base + clamp(nearest(float32(0.5*(float32(inv*x[i])-1))), 0, base-1)
	}
	return code
}

// point returns the number of the point for code: its own, or that of the near
// one with the least Σ w·(d·(v+shift)−x)², its values v. on tells which.
// (ggml-quants.c@d99724f2, iq2_find_best_neighbour, iq3_find_best_neighbour,
// iq1_find_best_neighbour2)
func (t *lattice) point(code int32, x, w []float32, d, shift float32) (number int32, on bool) {
	if n := t.number[code]; n >= 0 {
		return n, true
	}
	return t.nearest(code, x, w, d, shift), false
}

func (t *lattice) nearest(code int32, x, w []float32, d, shift float32) (number int32) {
	near := t.near[t.start[code]:t.start[code+1]]
	least := float32(math.MaxFloat32)
	number = int32(near[0])
	for _, n := range near {
		var loss float32
		for i, v := range t.values[int(n)*t.dims:][:t.dims] {
			diff := float32(d*(v+shift)) - x[i]
			loss += float32(float32(w[i]*diff) * diff)
		}
		if loss < least {
			least, number = loss, int32(n)
		}
	}
	return number
}
