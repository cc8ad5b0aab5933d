package quantize

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// roundTo rounds x to a binary format of the given mantissa bits and smallest
// normal exponent, ties to even, without any of the code under test: in exact
// float64 arithmetic. Values from limit on are infinite.
func roundTo(x float64, mantissa, minExp int, limit float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	ulp := math.Ldexp(1, max(math.Ilogb(x), minExp)-mantissa)
	y := math.RoundToEven(x/ulp) * ulp
	if math.Abs(y) >= limit {
		return math.Inf(int(math.Copysign(1, x)))
	}
	return math.Copysign(y, x)
}

// interesting returns random float32 and the ties and neighbours of ties of a
// format with that many mantissa bits.
func interesting(n, mantissa int) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	var out []float32
	for range n {
		u := rng.Uint32()
		out = append(out, math.Float32frombits(u))
		tie := u>>(23-mantissa)<<(23-mantissa) | 1<<(22-mantissa)
		for _, v := range []uint32{tie - 1, tie, tie + 1} {
			out = append(out, math.Float32frombits(v))
		}
	}
	return append(out, 0, float32(math.Copysign(0, -1)), 65504, 65519.996, 65520, -65520, math.MaxFloat32, 1e-8, 2.98e-8, 5.96e-8)
}

func TestHalvesRoundToNearestEven(t *testing.T) {
	for _, c := range []struct {
		name             string
		dtype            tensor.DType
		mantissa, minExp int
		limit            float64
	}{
		{"f16", tensor.F16, 10, -14, 65536},
		{"bf16", tensor.BF16, 7, -126, math.Ldexp(1, 128)},
	} {
		codec := codecs[c.dtype]
		src := interesting(200000, c.mantissa)
		b, back := make([]byte, 2*len(src)), make([]float32, len(src))
		overflows, want := codec.Encode(b, src, nil), 0
		codec.Decode(back, b)
		for i, x := range src {
			y := roundTo(float64(x), c.mantissa, c.minExp, c.limit)
			if math.IsInf(y, 0) && !math.IsInf(float64(x), 0) {
				want++
			}
			if math.IsNaN(y) != math.IsNaN(float64(back[i])) || !math.IsNaN(y) && (float64(back[i]) != y || math.Signbit(y) != math.Signbit(float64(back[i]))) {
				t.Fatalf("%s: %g (%08x) became %g; want %g", c.name, x, math.Float32bits(x), back[i], y)
			}
		}
		if overflows != want {
			t.Errorf("%s: %d overflows counted; want %d", c.name, overflows, want)
		}
	}
}

func TestHalvesSurviveFloat32(t *testing.T) {
	for _, d := range []tensor.DType{tensor.F16, tensor.BF16} {
		codec := codecs[d]
		var all [2 << 16]byte
		for i := range 1 << 16 {
			binary.LittleEndian.PutUint16(all[2*i:], uint16(i))
		}
		x, back := make([]float32, 1<<16), make([]byte, len(all))
		codec.Decode(x, all[:])
		if n := codec.Encode(back, x, nil); n != 0 {
			t.Errorf("%v: %d overflows among its own values", d, n)
		}
		for i := range 1 << 16 {
			if got := binary.LittleEndian.Uint16(back[2*i:]); got != uint16(i) {
				t.Fatalf("%v: code %04x came back as %04x: infinities, NaN payloads and signs are kept", d, i, got)
			}
		}
	}
}

func TestNaNNeverBecomesInfinity(t *testing.T) {
	x := []float32{math.Float32frombits(0x7f800001), math.Float32frombits(0xff800001), math.Float32frombits(0x7fc01234)}
	for d, want := range map[tensor.DType][]uint16{
		tensor.F16:  {0x7c01, 0xfc01, 0x7e00},
		tensor.BF16: {0x7f81, 0xff81, 0x7fc0},
	} {
		b := make([]byte, 2*len(x))
		codecs[d].Encode(b, x, nil)
		for i, w := range want {
			if got := binary.LittleEndian.Uint16(b[2*i:]); got != w {
				t.Errorf("%v of %08x = %04x; want %04x", d, math.Float32bits(x[i]), got, w)
			}
		}
	}
}

func TestFloat8EqualsPyTorch(t *testing.T) {
	b, err := os.ReadFile("testdata/f8.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string][256]string
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden) != 5 {
		t.Fatalf("%d types in the golden; want 5", len(golden))
	}
	var codes [256]byte
	for i := range codes {
		codes[i] = byte(i)
	}
	for name, want := range golden {
		d, err := tensor.ParseDType(name)
		if err != nil {
			t.Fatal(err)
		}
		var got [256]float32
		codecs[d].Decode(got[:], codes[:])
		for i, w := range want {
			u, err := strconv.ParseUint(w, 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			x := math.Float32frombits(uint32(u))
			if x != x && got[i] != got[i] {
				continue
			}
			if math.Float32bits(got[i]) != uint32(u) {
				t.Errorf("%s code %02x = %g; want %g", name, i, got[i], x)
			}
		}
	}
}

// encode64 stores float64s.
func encode64(xs []float64) []byte {
	b := make([]byte, 8*len(xs))
	for i, x := range xs {
		binary.LittleEndian.PutUint64(b[8*i:], math.Float64bits(x))
	}
	return b
}

func TestDoublesAreRoundedOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	xs := []float64{1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-11 - 0x1p-40, 1 + 0x1p-8 + 0x1p-50, 65520 - 0x1p-30, 0x1p-25 + 0x1p-60, 1e300, -1e300, math.Inf(1), 0x1p-149}
	for range 100000 {
		xs = append(xs, math.Ldexp(rng.Float64()*2-1, rng.IntN(60)-40))
		half := math.Ldexp(float64(rng.IntN(2048)*2+1), rng.IntN(20)-25) // ties of f16 and their neighbours
		xs = append(xs, half, math.Nextafter(half, 0), math.Nextafter(half, 1e9))
	}
	src := encode64(xs)
	for _, c := range []struct {
		dtype            tensor.DType
		mantissa, minExp int
		limit            float64
	}{
		{tensor.F16, 10, -14, 65536}, {tensor.BF16, 7, -126, 0x1p128}, {tensor.F32, 23, -126, 0x1p128},
	} {
		transcode, err := NewTranscoder(c.dtype, tensor.F64)
		if err != nil {
			t.Fatal(err)
		}
		l, _ := c.dtype.Layout()
		dst, back := make([]byte, l.Bytes*len(xs)), make([]float32, len(xs))
		overflows, want := transcode(dst, src, make([]float32, len(xs))), 0
		codecs[c.dtype].Decode(back, dst)
		for i, x := range xs {
			y := roundTo(x, c.mantissa, c.minExp, c.limit)
			if float64(back[i]) != y {
				t.Fatalf("%v of %x = %x; want %x", c.dtype, x, back[i], y)
			}
			if math.IsInf(y, 0) && !math.IsInf(x, 0) {
				want++
			}
		}
		if overflows != want {
			t.Errorf("%v: %d overflows; want %d", c.dtype, overflows, want)
		}
	}
}

func TestDirectPairsEqualTheCodecs(t *testing.T) {
	src := interesting(50000, 10)
	in := make([]byte, 4*len(src))
	encodeF32(in, src, nil)
	transcode, err := NewTranscoder(tensor.F16, tensor.F32)
	if err != nil {
		t.Fatal(err)
	}
	a, b := make([]byte, 2*len(src)), make([]byte, 2*len(src))
	na, nb := transcode(a, in, nil), encodeF16(b, src, nil)
	if na != nb || string(a) != string(b) {
		t.Errorf("the direct path and the codec differ (%d and %d overflows)", na, nb)
	}
}

func TestWideningKeepsEveryInteger(t *testing.T) {
	for _, c := range []struct {
		from, to  tensor.DType
		in, want  []byte
		overflows int
	}{
		{tensor.Bool, tensor.I8, []byte{0, 1}, []byte{0, 1}, 0},
		{tensor.U8, tensor.I16, []byte{0, 255}, []byte{0, 0, 255, 0}, 0},
		{tensor.U16, tensor.I32, []byte{255, 255}, []byte{255, 255, 0, 0}, 0},
		{tensor.U32, tensor.I64, []byte{1, 0, 0, 255}, []byte{1, 0, 0, 255, 0, 0, 0, 0}, 0},
		{tensor.U64, tensor.I64, []byte{1, 0, 0, 0, 0, 0, 0, 0x80, 2, 0, 0, 0, 0, 0, 0, 0}, []byte{1, 0, 0, 0, 0, 0, 0, 0x80, 2, 0, 0, 0, 0, 0, 0, 0}, 1},
	} {
		if w, ok := Widened(c.from); w != c.to || !ok {
			t.Errorf("Widened(%v) = %v, %v; want %v", c.from, w, ok, c.to)
		}
		transcode, err := NewTranscoder(c.to, c.from)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(c.want))
		if n := transcode(got, c.in, nil); n != c.overflows || string(got) != string(c.want) {
			t.Errorf("%v to %v: %v, %d overflows; want %v, %d", c.from, c.to, got, n, c.want, c.overflows)
		}
	}
}

func TestRecipesChoose(t *testing.T) {
	for _, c := range []struct {
		name, recipe string
		info         tensor.Info
		want         tensor.DType
	}{
		{"matrix", "f16", tensor.Info{Name: "blk.0.attn_q.weight", DType: tensor.F32, Shape: tensor.Shape{4, 4}}, tensor.F16},
		{"vector", "f16", tensor.Info{Name: "blk.0.attn_q.bias", DType: tensor.F16, Shape: tensor.Shape{4}}, tensor.F32},
		{"norm of two dimensions", "bf16", tensor.Info{Name: "blk.0.attn_q_norm.weight", DType: tensor.F16, Shape: tensor.Shape{2, 4}}, tensor.F32},
		{"kept matrix", "keep", tensor.Info{Name: "x.weight", DType: tensor.BF16, Shape: tensor.Shape{4, 4}}, tensor.BF16},
		{"kept float8", "keep", tensor.Info{Name: "x.weight", DType: tensor.F8E5M2, Shape: tensor.Shape{4, 4}}, tensor.F16},
		{"integers stay", "f16", tensor.Info{Name: "ids", DType: tensor.I64, Shape: tensor.Shape{4, 4}}, tensor.I64},
		{"bytes are widened", "f32", tensor.Info{Name: "mask", DType: tensor.U8, Shape: tensor.Shape{4}}, tensor.I16},
	} {
		r, err := ParseRecipe(c.recipe)
		if err != nil {
			t.Fatal(err)
		}
		if got, why, err := r.Choose(c.info); got != c.want || why == "" || err != nil {
			t.Errorf("%s: %v, %q, %v; want %v", c.name, got, why, err, c.want)
		}
	}
	r, _ := ParseRecipe("f16")
	if d, _, err := r.Choose(tensor.Info{Name: "z", DType: tensor.C64, Shape: tensor.Shape{2}}); err == nil {
		t.Errorf("complex numbers became %v", d)
	}
	if _, err := ParseRecipe("f17"); err == nil {
		t.Error("recipe f17 exists")
	}
}

func BenchmarkTranscode(b *testing.B) {
	for _, p := range []pair{{tensor.F16, tensor.F32}, {tensor.BF16, tensor.F32}, {tensor.F32, tensor.F16}, {tensor.F16, tensor.BF16}, {tensor.F16, tensor.F64}} {
		b.Run(p.from.String()+"→"+p.to.String(), func(b *testing.B) {
			const n = 1 << 18
			from, _ := p.from.Layout()
			to, _ := p.to.Layout()
			xs := make([]float64, n)
			rng := rand.New(rand.NewPCG(7, 8))
			for i := range xs {
				xs[i] = rng.NormFloat64() * 0.02
			}
			src, dst, scratch := encode64(xs), make([]byte, n*to.Bytes), make([]float32, n)
			if p.from != tensor.F64 {
				narrow, err := NewTranscoder(p.from, tensor.F64)
				if err != nil {
					b.Fatal(err)
				}
				narrowed := make([]byte, n*from.Bytes)
				narrow(narrowed, src, scratch)
				src = narrowed
			}
			transcode, err := NewTranscoder(p.to, p.from)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				transcode(dst, src, scratch)
			}
		})
	}
}
