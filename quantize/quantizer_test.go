package quantize

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// bytesOf stores x as d.
func bytesOf(t *testing.T, d tensor.DType, x []float32) []byte {
	t.Helper()
	c, err := CodecOf(d)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := d.Layout()
	b := make([]byte, len(x)/l.Elems*l.Bytes)
	c.Encode(b, x, nil)
	return b
}

func normal(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func TestQuantizerMeasuresTheErrorOfItsBytes(t *testing.T) {
	x := normal(1024)
	src := bytesOf(t, tensor.F32, x)
	for _, d := range []tensor.DType{tensor.Q8_0, tensor.Q4K, tensor.IQ4XS, tensor.F16, tensor.BF16} {
		q, err := NewQuantizer(d, tensor.F32)
		if err != nil {
			t.Fatal(err)
		}
		want := bytesOf(t, d, x)
		got := make([]byte, len(want))
		m := q.Quantize(got, src, nil, &Scratch{})
		if !bytes.Equal(got, want) {
			t.Errorf("%v: other bytes than the codec's", d)
		}
		c, _ := CodecOf(d)
		y := make([]float32, len(x))
		c.Decode(y, want)
		var squares, errs float64
		for i := range x {
			squares += float64(x[i]) * float64(x[i])
			errs += (float64(x[i]) - float64(y[i])) * (float64(x[i]) - float64(y[i]))
		}
		// The sums are of the same terms in the same order, products rounded once more at most.
		if rel := math.Abs(m.Errors-errs) / errs; rel > 1024*0x1p-52 || math.Abs(m.Squares-squares)/squares > 1024*0x1p-52 {
			t.Errorf("%v: Σ(x−x̂)² = %g, Σx² = %g; want %g, %g", d, m.Errors, m.Squares, errs, squares)
		}
		if r := math.Sqrt(m.Errors / m.Squares); r > c.MaxError || r == 0 {
			t.Errorf("%v: relative error %g, want above 0 and at most %g", d, r, c.MaxError)
		}
	}
}

func TestQuantizerCountsWhatIsNoNumber(t *testing.T) {
	x := normal(512)
	x[300], x[301], x[511] = float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))
	for _, d := range []tensor.DType{tensor.F32, tensor.F16, tensor.Q8_0, tensor.Q4K, tensor.MXFP4, tensor.IQ3S} {
		q, err := NewQuantizer(d, tensor.F32)
		if err != nil {
			t.Fatal(err)
		}
		l, _ := d.Layout()
		m := q.Quantize(make([]byte, 512/l.Elems*l.Bytes), bytesOf(t, tensor.F32, x), nil, &Scratch{})
		if m.NonFinite != 3 || m.First != 300 || math.IsNaN(m.Squares) || math.IsInf(m.Squares, 0) {
			t.Errorf("%v: %+v, want 3 from 300 on and a finite sum", d, m)
		}
	}
}

func TestQuantizerKeepsBytesOfTheSameType(t *testing.T) {
	src := make([]byte, 64) // all bit patterns stay, NaNs with payloads too
	for i := range src {
		src[i] = byte(255 - i)
	}
	q, err := NewQuantizer(tensor.F16, tensor.F16)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, len(src))
	if m := q.Quantize(dst, src, nil, &Scratch{}); !bytes.Equal(dst, src) || m.Errors != 0 {
		t.Errorf("%x became %x, error %g", src, dst, m.Errors)
	}
}

func TestQuantizerSeesF64AsF32(t *testing.T) {
	x := normal(256)
	wide := make([]byte, 8*len(x))
	for i, v := range x {
		binary.LittleEndian.PutUint64(wide[8*i:], math.Float64bits(float64(v)*(1+0x1p-40)))
	}
	q, err := NewQuantizer(tensor.Q4K, tensor.F64)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 144)
	q.Quantize(got, wide, nil, &Scratch{})
	if want := bytesOf(t, tensor.Q4K, x); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestQuantizerRefusesTypesItCannotWrite(t *testing.T) {
	for _, p := range []pair{{tensor.F64, tensor.F32}, {tensor.I8, tensor.F32}, {tensor.Q4K, tensor.I8}} {
		if _, err := NewQuantizer(p.to, p.from); err == nil {
			t.Errorf("%v from %v is accepted", p.to, p.from)
		}
	}
}

func BenchmarkQuantizer(b *testing.B) {
	x := normal(1 << 15)
	src := make([]byte, 4*len(x))
	encodeF32(src, x, nil)
	q, err := NewQuantizer(tensor.Q8_0, tensor.F32)
	if err != nil {
		b.Fatal(err)
	}
	dst, s := make([]byte, len(x)/32*34), &Scratch{}
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		q.Quantize(dst, src, nil, s)
	}
}
