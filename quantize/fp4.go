package quantize

import (
	"math"
	"math/bits"
)

// Four-bit floats, sign, two bits of exponent and one of mantissa, under scales
// of eight bits (OCP Microscaling Formats 1.0, section 5.3.3).

// doubledE2M1 are twice the values of the codes; the scales are halved instead.
var doubledE2M1 = [16]float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// mxfp4: blocks of 32, x ≈ 2^(e−127)·v; e, 16 bytes of nibbles. e+2 is the
// exponent of max|x|, so that 6·2^(e−127) may be below it.
// (ggml-quants.c@d99724f2, quantize_row_mxfp4_ref)
var mxfp4 = blockType{
	decode: func(x []float32, b []byte) {
		var q [32]uint8
		levels(&q, b[1:])
		d := halfE8M0(b[0])
		for i := range x {
			x[i] = float32(doubledE2M1[q[i]&15] * d)
		}
	},
	encode: func(b []byte, x []float32) {
		var most float32
		for _, v := range x {
			most = greater(most, abs(v))
		}
		if most > 0 && most <= math.MaxFloat32 {
			b[0] = uint8(floorLog2(most) - 2 + 127)
		}
		e := newE2M1(halfE8M0(b[0]))
		var q [32]uint8
		for i, v := range x {
			q[i] = e.code(v)
		}
		putLevels(b[1:], &q)
	},
}

// halfE8M0 is 2^(e−128). (ggml-impl.h@d99724f2, ggml_e8m0_to_fp32_half)
func halfE8M0(e uint8) float32 {
	if e < 2 {
		return math.Float32frombits(0x00200000 << e)
	}
	return math.Float32frombits(uint32(e-1) << 23)
}

// floorLog2 is ⌊log2f(f)⌋ for finite f > 0, with log₂ rounded to float32 before the
// floor: just below 2^E it rounds up to E. With b = ⌊log₂(|E|)⌋, the binade of
// the numbers of that size, half a unit in the last place is 2^(b−24); 2^E −
// k·2^(E−p), p the bits of the significand, is that close to 2^E for k ≤
// ln 2 · 2^(b−24+p), which is no integer. (A power of two E has its neighbour
// towards 0 in the binade below.)
func floorLog2(f float32) int32 {
	u := math.Float32bits(f)
	width, next := int32(24), int32(u>>23)-126 // f < 2^next
	significand := u&0x7fffff | 0x800000
	if u < 0x800000 {
		significand = u
		width = int32(32 - bits.LeadingZeros32(u))
		next = width - 149
	}
	size := next - 1 // of the numbers just below 2^next
	if next <= 0 {
		size = -next
	}
	if size == 0 {
		return next - 1
	}
	binade := 31 - int32(bits.LeadingZeros32(uint32(size)))
	k := uint32(math.Ln2 * math.Ldexp(1, int(binade-24+width)))
	if significand+k >= 1<<width {
		return next
	}
	return next - 1
}

// nvfp4: blocks of 64 in four groups of 16 with unsigned 8-bit floats as scales,
// x ≈ s·v; four scales, eight bytes of nibbles for each. s is near max|x|/6; from
// 248 on it is 448, at which it is clipped.
// (ggml-quants.c@d99724f2, quantize_row_nvfp4_ref)
var nvfp4 = blockType{
	decode: func(x []float32, b []byte) {
		for j := range 4 {
			d, x, b := halfUE4M3(b[j]), x[16*j:16*j+16], b[4+8*j:12+8*j]
			for i, v := range b {
				x[i] = float32(doubledE2M1[v&15] * d)
				x[i+8] = float32(doubledE2M1[v>>4] * d)
			}
		}
	},
	encode: func(b []byte, x []float32) {
		for j := range 4 {
			x := x[16*j : 16*j+16]
			var most float32
			for _, v := range x {
				most = greater(most, abs(v))
			}
			b[j] = toUE4M3(most / 6)
			e, b := newE2M1(halfUE4M3(b[j])), b[4+8*j:12+8*j]
			for i := range b {
				b[i] = e.code(x[i]) | e.code(x[i+8])<<4
			}
		}
	},
	lost: func(_ []byte, x []float32) (n int) {
		for _, v := range x {
			if a := abs(v); a > 6*maxUE4M3 && a <= math.MaxFloat32 {
				n++
			}
		}
		return n
	},
}

const maxUE4M3 = 448

// halfUE4M3 is half the value of a scale: four bits of exponent, bias 7, and
// three of mantissa; 0x7f, NaN elsewhere, is 0.
// (ggml-impl.h@d99724f2, ggml_ue4m3_to_fp32)
func halfUE4M3(c uint8) float32 {
	exp, man := uint32(c>>3&15), uint32(c&7)
	switch {
	case c == 0x7f:
		return 0
	case exp == 0:
		return float32(man) * 0x1p-10
	}
	return math.Float32frombits((exp-8+127)<<23 | man<<20)
}

// toUE4M3 rounds f half up, above a subnormal by the bit below the mantissa
// alone, and takes what is not positive to 0.
// (ggml-impl.h@d99724f2, ggml_fp32_to_ue4m3)
func toUE4M3(f float32) uint8 {
	const largest = 0x7e
	if !(f > 0) {
		return 0
	}
	if f >= 256 {
		return largest
	}
	u := math.Float32bits(f)
	if f < 0x1p-6 {
		return uint8(min(7, int32(float32(f*512)+0.5)))
	}
	if c := u>>20 - (127-7)<<3 + u>>19&1; c < 15<<3 {
		return uint8(c)
	}
	return largest
}

// An e2m1 rounds to the values times d.
type e2m1 struct {
	d      float32
	reach  float32    // up to here the middles decide
	middle [7]float32 // between the values 0 to 12
}

func newE2M1(d float32) (e e2m1) {
	e = e2m1{d, 16 * d, [7]float32{0.5 * d, 1.5 * d, 2.5 * d, 3.5 * d, 5 * d, 7 * d, 10 * d}}
	if e.reach > math.MaxFloat32 {
		e.reach = -1
	}
	return e
}

// code returns the first code whose value times d is nearest to x, 0 where none
// is, as for NaN. d has at most four bits, so the middles are exact, and so are
// the differences that decide near them; far beyond the values differences are
// rounded until all are equal or not finite, and the scan finds that.
func (e *e2m1) code(x float32) (code uint8) {
	a := abs(x)
	if !(a <= e.reach) {
		return e.scan(x)
	}
	for _, m := range e.middle {
		if a > m {
			code++
		}
	}
	if code > 0 && x < 0 {
		code |= 8
	}
	return code
}

// scan is code as ggml defines it. (ggml-quants.c@d99724f2, best_index_mxfp4)
func (e *e2m1) scan(x float32) (code uint8) {
	least := abs(float32(doubledE2M1[0]*e.d) - x)
	for i, v := range doubledE2M1 {
		if diff := abs(float32(v*e.d) - x); diff < least {
			least, code = diff, uint8(i)
		}
	}
	return code
}
