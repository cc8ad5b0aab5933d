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

func sqrt(f float32) float32 { return float32(math.Sqrt(float64(f))) }

func clamp(l, low, high int32) int32 { return max(low, min(high, l)) }

// inverse returns 1/d, and 0 for 0.
func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}
