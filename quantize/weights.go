package quantize

// The weights that ggml gives the squared error of an element.

// importanceWeights fills w with importance·√(s + x²), the weights of most types.
func importanceWeights(w, x, importance []float32, s float32) {
	for i, v := range x {
		w[i] = float32(importance[i] * sqrt(s+float32(v*v)))
	}
}

// squares fills w with x², the weights of most types without importance.
func squares(w, x []float32) {
	for i, v := range x {
		w[i] = float32(v * v)
	}
}

// sumSquares adds from left to right.
func sumSquares(x []float32) (sum float32) {
	for _, v := range x {
		sum += float32(v * v)
	}
	return sum
}

// sum adds from left to right.
func sum(x []float32) (s float32) {
	for _, v := range x {
		s += v
	}
	return s
}

// equal is the importance of columns of which nothing is known.
var equal = func() (w [superBlock]float32) {
	for i := range w {
		w[i] = 1
	}
	return w
}()
