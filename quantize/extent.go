package quantize

import "math"

func abs(f float32) float32 { return math.Float32frombits(math.Float32bits(f) &^ signBit) }

// larger returns a if it is greater than b, else b: unlike the builtin max it
// forgets a NaN at the next number, as ggml's macro does.
func larger(a, b float32) float32 {
	if a > b {
		return a
	}
	return b
}

// greater returns b if it is greater than a, else a: a NaN in b is passed over.
func greater(a, b float32) float32 {
	if b > a {
		return b
	}
	return a
}

// peak returns the first of the elements of largest magnitude, 0 if there is none.
func peak(x []float32) float32 {
	var most, at float32
	for _, v := range x {
		if a := abs(v); a > most {
			most, at = a, v
		}
	}
	return at
}

// largest returns the largest magnitude in x; of a row with a NaN, that of what
// follows it.
func largest(x []float32) (most float32) {
	for _, v := range x {
		most = larger(most, abs(v))
	}
	return most
}

// extent returns the least and the greatest element of x, NaNs left out.
func extent(x []float32) (low, high float32) {
	low, high = math.MaxFloat32, -math.MaxFloat32
	for _, v := range x {
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
	}
	return low, high
}
