//go:build !noasm

package quantize

// addAll is sums.addAll with the kernel.
func (v isa) addAll(s *sums, x, y []float32) {
	n := len(x) / sumLanes * sumLanes
	v.addSquares(x[:n], y[:n], &s.squares, &s.errors)
	s.addAll(x[n:], y[n:])
}
