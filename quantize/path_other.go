//go:build !amd64 || noasm

package quantize

var vectorPaths []vectorPath

// vectorRound is for vector paths, of which there are none.
func (t *lattice) vectorRound(_ isa, points []uint16, which uint8, x, w []float32, inv, d float32) (off uint8) {
	return t.round(points, which, x, w, inv, d)
}

// vectorBest is for vector paths.
func (s *splits32) vectorBest(isa) (d float32, from, to int, shift float32) { return s.best(scalar) }

// vectorBest is for vector paths.
func (sums *splits16) vectorBest(isa) (d float32, from, to int, shifts shifts16, found bool) {
	return sums.best(scalar)
}

// vectorNearest is for vector paths.
func (t *lattice) vectorNearest(_ isa, code int32, x, w []float32, d, shift float32) int32 {
	return t.nearest(code, x, w, d, shift)
}
