package quantize

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestE2M1CodesEqualTheScan(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	var scales []float32
	for c := range 256 {
		scales = append(scales, halfE8M0(uint8(c)))
		if c < 128 {
			scales = append(scales, halfUE4M3(uint8(c)))
		}
	}
	for _, d := range scales {
		e := newE2M1(d)
		x := []float32{0, d * 12, d * 16, math.MaxFloat32, nan32, float32(math.Inf(1))}
		for _, m := range e.middle {
			x = append(x, m, math.Nextafter32(m, 0), math.Nextafter32(m, math.MaxFloat32))
		}
		for range 200 {
			x = append(x, float32(r.NormFloat64())*4*d, math.Float32frombits(r.Uint32()))
		}
		for _, v := range x {
			for _, v := range []float32{v, -v} {
				if got, want := e.code(v), e.scan(v); got != want {
					t.Fatalf("scale %g: code of %x = %d; want %d", d, v, got, want)
				}
			}
		}
	}
}

// log2Above reports whether log₂ f > E − h/2²⁴, by comparing f^(2²⁴)-free: f =
// 2^E·(1−t) is above if 1−t > 2^(−h/2²⁴), and 2^(−h/2²⁴) is computed in 200 bits.
func log2Above(t, h *big.Float) bool {
	// exp(−h·ln2/2²⁴) by its series; the argument is below 2⁻¹⁷, six terms leave 2⁻¹²⁰.
	ln2, _, err := big.ParseFloat("0.693147180559945309417232121458176568075500134360255254120680", 10, 200, big.ToNearestEven)
	if err != nil {
		panic(err)
	}
	z := new(big.Float).SetPrec(200).Mul(h, ln2)
	z.Neg(z.SetMantExp(z, -24))
	sum, term := big.NewFloat(1).SetPrec(200), big.NewFloat(1).SetPrec(200)
	for i := 1; i <= 6; i++ {
		term.Mul(term, z)
		term.Quo(term, big.NewFloat(float64(i)))
		sum.Add(sum, term)
	}
	return new(big.Float).SetPrec(200).Sub(big.NewFloat(1), t).Cmp(sum) > 0
}

func TestFloorLog2RoundsTheLogarithmFirst(t *testing.T) {
	for exp := -148; exp <= 128; exp++ {
		top := math.Ldexp(1, exp)
		f := float32(math.MaxFloat32)
		if exp < 128 {
			f = math.Nextafter32(float32(top), 0)
			if got := floorLog2(float32(top)); got != int32(exp) {
				t.Fatalf("floorLog2(2^%d) = %d", exp, got)
			}
		}
		for range 100 {
			if float64(f) <= top/2 {
				break
			}
			// half a unit in the last place of the float32 just below exp, times 2²⁴
			below := float64(exp) - float64(math.Nextafter32(float32(exp), float32(math.Inf(-1))))
			if exp == 0 {
				below = 0
			}
			want := exp - 1
			if log2Above(big.NewFloat(1-float64(f)/top), big.NewFloat(below/2*(1<<24))) {
				want = exp
			}
			if got := floorLog2(f); got != int32(want) {
				t.Fatalf("floorLog2(%x) = %d; want %d", f, got, want)
			}
			f = math.Nextafter32(f, 0)
		}
	}
}

func TestUE4M3ScalesAreKept(t *testing.T) {
	for c := range uint8(0x78) { // from 0x78 on, 256, everything is stored as 448
		if got := toUE4M3(2 * halfUE4M3(c)); got != c {
			t.Errorf("scale %#02x came back as %#02x", c, got)
		}
	}
	for _, c := range []struct {
		name string
		f    float32
		want uint8
	}{
		{"NaN", nan32, 0}, {"negative", -1, 0}, {"below the least", 0x1p-11, 0}, {"half the least", 0x1p-10, 1},
		{"carry into the exponent", 1.97, 0x40}, {"carry into the last exponent", 255, 0x7e}, {"256", 256, 0x7e}, {"infinity", float32(math.Inf(1)), 0x7e},
	} {
		if got := toUE4M3(c.f); got != c.want {
			t.Errorf("%s: toUE4M3(%g) = %#02x; want %#02x", c.name, c.f, got, c.want)
		}
	}
	if halfUE4M3(0x7f) != 0 || halfUE4M3(1) != 0x1p-10 || halfUE4M3(0x7e) != 224 {
		t.Errorf("halfUE4M3(0x7f, 1, 0x7e) = %g, %g, %g; want 0, 2⁻¹⁰, 224", halfUE4M3(0x7f), halfUE4M3(1), halfUE4M3(0x7e))
	}
}
