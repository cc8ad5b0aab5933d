package quantize

import "math"

// nearest rounds f to the nearest integer, ties to even, if |f| < 2²². Beyond
// that it returns what is left of f + 1.5·2²³ in the mantissa, as ggml does.
// (ggml-quants.c@d99724f2, nearest_int)
func nearest(f float32) int32 {
	return int32(math.Float32bits(f+12582912)&0x7fffff) - 0x400000
}

// truncate converts f as x86's cvttss2si does: what does not fit, NaN included,
// becomes −2³¹. Go leaves these cases to the platform.
func truncate(f float32) int32 {
	if f >= -0x1p31 && f < 0x1p31 {
		return int32(f)
	}
	return math.MinInt32
}

// roundAway rounds f to the nearest integer, ties away from zero, as C's roundf
// followed by truncate. The largest float32 below ½ is added, not ½ itself,
// which would take 0.49999997 to 1.
func roundAway(f float32) int32 {
	const half = 0x3effffff // bits of ½ − 2⁻²⁵
	return truncate(f + math.Float32frombits(math.Float32bits(f)&signBit|half))
}

const signBit = 1 << 31

func abs(f float32) float32 { return math.Float32frombits(math.Float32bits(f) &^ signBit) }

func sqrt(f float32) float32 { return float32(math.Sqrt(float64(f))) }

// larger returns a if it is greater than b, else b: unlike the builtin max it
// forgets a NaN at the next number, as ggml's macro does.
func larger(a, b float32) float32 {
	if a > b {
		return a
	}
	return b
}

func clamp(l, low, high int32) int32 { return max(low, min(high, l)) }

// inverse returns 1/d, and 0 for 0.
func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
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

// sumSquares adds from left to right.
func sumSquares(x []float32) (sum float32) {
	for _, v := range x {
		sum += float32(v * v)
	}
	return sum
}
