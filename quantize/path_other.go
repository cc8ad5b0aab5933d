//go:build !amd64 || noasm

package quantize

var vectorPaths []vectorPath

// vectorRound is for vector paths, of which there are none.
func (t *lattice) vectorRound(points []uint16, which uint8, x, w []float32, inv, d float32) (off uint8) {
	return t.round(points, which, x, w, inv, d)
}
