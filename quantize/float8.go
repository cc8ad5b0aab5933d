package quantize

import "math"

// decodeBytes returns the decoder of a type of one byte per element.
func decodeBytes(values [256]float32) func([]float32, []byte) {
	return func(dst []float32, src []byte) {
		src = src[:len(dst)]
		for i, b := range src {
			dst[i] = values[b]
		}
	}
}

// A minifloat is an 8-bit float with a sign bit; special returns the value of
// the codes that are not finite numbers.
// (pytorch c10/util/Float8_*.h; Micikevicius et al., arXiv 2209.05433)
type minifloat struct {
	mantissa uint // bits
	bias     int
	special  func(code byte) (float32, bool)
}

func (m minifloat) values() (v [256]float32) {
	for i := range v {
		code := byte(i)
		if x, ok := m.special(code); ok {
			v[i] = x
			continue
		}
		exp, man := int(code&0x7f>>m.mantissa), float64(code&(1<<m.mantissa-1))
		if exp == 0 {
			exp = 1 // subnormal: no leading one
		} else {
			man += float64(int(1) << m.mantissa)
		}
		x := math.Ldexp(man, exp-m.bias-int(m.mantissa))
		v[i] = float32(math.Copysign(x, float64(1-2*int(code>>7))))
	}
	return v
}

var nan32 = float32(math.NaN())

// nanAt returns a special that has only NaNs, at the codes that is accepts.
func nanAt(is func(code byte) bool) func(byte) (float32, bool) {
	return func(code byte) (float32, bool) { return nan32, is(code) }
}

var (
	f8e4m3fn   = minifloat{3, 7, nanAt(func(c byte) bool { return c&0x7f == 0x7f })}.values()
	f8e4m3fnuz = minifloat{3, 8, nanAt(func(c byte) bool { return c == 0x80 })}.values()
	f8e5m2fnuz = minifloat{2, 16, nanAt(func(c byte) bool { return c == 0x80 })}.values()
	f8e5m2     = minifloat{2, 15, func(c byte) (float32, bool) {
		if c&0x7f == 0x7c {
			return float32(math.Inf(1 - 2*int(c>>7))), true
		}
		return nan32, c&0x7f > 0x7c
	}}.values()
	f8e8m0fnu = func() (v [256]float32) { // 2^(code−127), 255 is NaN
		for i := range 255 {
			v[i] = float32(math.Ldexp(1, i-127))
		}
		v[255] = nan32
		return v
	}()
)
