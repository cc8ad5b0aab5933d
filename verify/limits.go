package verify

// A weighedLimit is by how much the errors of blocks that an importance matrix
// chose may exceed those of the blocks that are chosen without one. Both are 1
// for a type that has no choice to make.
type weighedLimit struct {
	Tensor float64 // of ‖x−x̂‖₂ of a tensor
	Block  float64 // of the error of 256 elements, and of the greatest error
}

//go:generate go run ./calibrate -out calibrated.go
