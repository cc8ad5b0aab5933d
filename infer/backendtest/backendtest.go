// Package backendtest is the suite that every backend of package infer passes:
// each operation beside the same in float64, with an error that is derived.
//
// u is 2⁻²⁴, half a unit in the last place of 1. Sums: whatever the order, with
// or without fused products, a sum of k products is within (k+1)·u·Σ|xᵢyᵢ| of the
// exact one as long as k·u is small (Higham, Accuracy and Stability of Numerical
// Algorithms, 3.1); sums of that kind carry a factor of 1.01 for the terms in u².
// Functions: a bound in units in the last place that single-precision libraries
// keep, 4 for exp, given with each operation.
package backendtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

const u = 0x1p-24

// Run tests the backends that open returns with that many workers, as far as
// they can tell.
func Run(t *testing.T, open func(t *testing.T, workers int) infer.Backend) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, 2)
			defer func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}()
			c.run(&bench{t, b, rand.New(rand.NewPCG(5, uint64(len(c.name))))})
		})
	}
	t.Run("bits do not depend on workers", func(t *testing.T) { sameBits(t, open) })
}

// cases are the operations.
var cases = []struct {
	name string
	run  func(*bench)
}{
	{"buffers", buffers},
	{"failures are kept", failures},
	{"gather", gather},
	{"multiply", multiply},
	{"multiply every type", multiplyTypes},
	{"add", add},
	{"rms norm", rmsNorm},
	{"layer norm", layerNorm},
	{"swiglu", swiGLU},
	{"gelu", gelu},
	{"rotate", rotate},
	{"attend", attend},
	{"convolve", convolve},
}

// A bench is one test with a backend and numbers.
type bench struct {
	t *testing.T
	b infer.Backend
	r *rand.Rand
}

// normal returns n numbers of N(0,1).
func (s *bench) normal(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(s.r.NormFloat64())
	}
	return x
}

// put returns a buffer that holds x and one more number, which must stay.
func (s *bench) put(x []float32) infer.Buffer {
	y := s.b.Alloc(len(x) + 1)
	s.b.Write(y, 0, x)
	s.b.Write(y, len(x), []float32{guard})
	return y
}

// guard stands behind what an operation may write.
const guard = 12345

// out returns a buffer for n results.
func (s *bench) out(n int) infer.Buffer {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.NaN())
	}
	return s.put(x)
}

// load returns x as a weight of type d, and its values.
func (s *bench) load(name string, d tensor.DType, x []float32, shape ...int) (infer.Weight, []float64) {
	s.t.Helper()
	c, err := quantize.CodecOf(d)
	if err != nil {
		s.t.Fatal(err)
	}
	info := tensor.Info{Name: name, DType: d, Shape: shape}
	size, err := info.Size()
	if err != nil {
		s.t.Fatal(err)
	}
	raw, stored := make([]byte, size), make([]float32, len(x))
	c.Encode(raw, x, nil)
	c.Decode(stored, raw)
	t, err := tensor.New(info, bytes.NewReader(raw), tensor.Origin{File: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	w, err := s.b.Load(t)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := w.Info(); got.Name != name || got.DType != d {
		s.t.Errorf("%s %v is loaded as %v %v", name, d, got.Name, got.DType)
	}
	return w, wide(stored)
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// near compares the whole of got with want; element i may differ by bound[i].
func (s *bench) near(what string, got infer.Buffer, want, bound []float64) {
	s.t.Helper()
	x := make([]float32, got.Len())
	if err := s.b.Read(x, got, 0); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
	if len(x) != len(want)+1 || x[len(want)] != guard {
		s.t.Fatalf("%s: written beyond the %d results", what, len(want))
	}
	for i, v := range want {
		if d := math.Abs(float64(x[i]) - v); !(d <= bound[i]) {
			s.t.Fatalf("%s: element %d = %v; want %v ± %.3g", what, i, x[i], v, bound[i])
		}
	}
}

// results are wanted numbers with their bounds.
type results struct{ want, bound []float64 }

func (r *results) add(want, bound float64) {
	r.want, r.bound = append(r.want, want), append(r.bound, bound)
}

// dot adds Σ xᵢyᵢ+bias.
func (r *results) dot(x, y []float64, bias float64) {
	sum, size := bias, math.Abs(bias)
	for i := range x {
		sum += x[i] * y[i]
		size += math.Abs(x[i] * y[i])
	}
	r.add(sum, sumBound(len(x)+1, size))
}

// sumBound is that of a sum of k products whose magnitudes have the sum size.
func sumBound(k int, size float64) float64 { return 1.01 * float64(k+1) * u * size }

func buffers(s *bench) {
	a, b := s.b.Alloc(5), s.b.Alloc(3)
	if a.Len() != 5 {
		s.t.Errorf("Len = %d; want 5", a.Len())
	}
	s.b.Write(a, 1, []float32{1, 2, 3})
	s.b.Copy(b, 1, a, 2, 2)
	got := make([]float32, 2)
	if err := s.b.Read(got, b, 1); err != nil || got[0] != 2 || got[1] != 3 {
		s.t.Errorf("Read = %v, %v; want 2, 3", got, err)
	}
	if err := s.b.Read(got, a, 0); err != nil || got[0] != 0 || got[1] != 1 {
		s.t.Errorf("Read = %v, %v; want 0, 1", got, err)
	}
	s.b.Free(a)
	s.b.Free(b)
}

func failures(s *bench) {
	w, _ := s.load("w", tensor.F32, s.normal(12), 3, 4)
	y := s.out(8)
	s.b.Gather(y, w, []int32{0, 3})
	s.b.Gather(y, w, []int32{1, 2})
	var got [1]float32
	if err := s.b.Read(got[:], y, 0); err == nil {
		s.t.Error("a row that is not there is no error")
	}
}

func gather(s *bench) {
	for _, d := range []tensor.DType{tensor.F32, tensor.F16, tensor.Q4K} {
		w, x := s.load("w", d, s.normal(5*256), 5, 256)
		ids := []int32{4, 0, 4, 2}
		var r results
		for _, id := range ids {
			for _, v := range x[id*256:][:256] {
				r.add(v, 0)
			}
		}
		y := s.out(len(ids) * 256)
		s.b.Gather(y, w, ids)
		s.near("gather "+d.String(), y, r.want, r.bound)
	}
}

func multiply(s *bench) {
	for _, c := range []struct{ n, in, out int }{
		{1, 1, 2}, {2, 1, 70}, {9, 1, 70}, {1, 64, 64}, {2, 7, 33}, {3, 300, 17}, {4, 64, 16}, {5, 257, 31}, {6, 256, 48}, {13, 520, 50}, {40, 1000, 70},
	} {
		for _, d := range []tensor.DType{tensor.F32, tensor.F16} {
			for _, biased := range []bool{false, true} {
				s.multiply(d, c.n, c.in, c.out, biased)
			}
		}
	}
}

func (s *bench) multiply(d tensor.DType, n, in, out int, biased bool) {
	s.t.Helper()
	w, wx := s.load("w", d, s.normal(out*in), out, in)
	var bias infer.Weight
	bx := make([]float64, out)
	if biased {
		bias, bx = s.load("b", tensor.F32, s.normal(out), out)
	}
	x := s.normal(n * in)
	xx := wide(x)
	var r results
	for t := range n {
		for o := range out {
			r.dot(wx[o*in:][:in], xx[t*in:][:in], bx[o])
		}
	}
	y := s.out(n * out)
	s.b.MatMul(y, w, bias, s.put(x), n)
	s.near(fmt.Sprintf("%v [%d %d] with %d rows", d, out, in, n), y, r.want, r.bound)
}

// multiplyTypes takes every type that has an encoder.
func multiplyTypes(s *bench) {
	for d := tensor.DType(0); d < 1<<7; d++ {
		if c, err := quantize.CodecOf(d); err != nil || c.Encode == nil {
			continue
		}
		for _, n := range []int{1, 9} {
			s.multiply(d, n, 512, 18, true)
		}
	}
}

func add(s *bench) {
	const n, width = 1000, 40
	x, y := s.normal(n*width), s.normal(n*width)
	var r results
	for i := range x {
		v := float64(x[i]) + float64(y[i])
		r.add(v, u*math.Abs(v))
	}
	to := s.put(y)
	s.b.Add(to, s.put(x), n*width)
	s.near("add", to, r.want, r.bound)

	w, wx := s.load("w", tensor.F32, s.normal(7*width), 7, width)
	r = results{}
	for i := range 3 * width {
		v := float64(y[i]) + wx[4*width+i]
		r.add(v, u*math.Abs(v))
	}
	to = s.put(y[:3*width])
	s.b.AddRows(to, w, 4, 3)
	s.near("add rows", to, r.want, r.bound)
}

// rmsNorm: the sum of squares has a relative error of (k+2)u, its root half of
// that; the mean, the root, the inverse and two products have u each.
func rmsNorm(s *bench) {
	for _, width := range []int{1, 64, 577} {
		const n, eps = 5, 1e-5
		x := s.normal(n * width)
		w, wx := s.load("w", tensor.F32, s.normal(width), width)
		var r results
		for t := range n {
			row := wide(x[t*width:][:width])
			var sum float64
			for _, v := range row {
				sum += v * v
			}
			for i, v := range row {
				want := v / math.Sqrt(sum/float64(width)+eps) * wx[i]
				r.add(want, math.Abs(want)*u*(float64(width+2)/2+8))
			}
		}
		y := s.out(n * width)
		s.b.RMSNorm(y, s.put(x), w, n, eps)
		s.near(fmt.Sprintf("rms norm of %d", width), y, r.want, r.bound)
	}
}

// layerNorm: the mean is wrong by e = (k+1)u·mean|x| at most, which moves every
// centred element by e+u|x|, the deviation by at most as much; relative errors as
// with rmsNorm come on top.
func layerNorm(s *bench) {
	for _, width := range []int{64, 577} {
		const n, eps = 5, 1e-5
		x := s.normal(n * width)
		w, wx := s.load("w", tensor.F32, s.normal(width), width)
		b, bx := s.load("b", tensor.F32, s.normal(width), width)
		var r results
		for t := range n {
			row := wide(x[t*width:][:width])
			var mean, size, variance float64
			for _, v := range row {
				mean += v / float64(width)
				size += math.Abs(v) / float64(width)
			}
			for _, v := range row {
				variance += (v - mean) * (v - mean) / float64(width)
			}
			deviation := math.Sqrt(variance + eps)
			for i, v := range row {
				z := (v - mean) / deviation
				moved := (float64(width+1)*u*size + u*math.Abs(v)) / deviation
				relative := u * (float64(width+2)/2 + 8)
				want := z*wx[i] + bx[i]
				r.add(want, (moved*(1+math.Abs(z))+relative*math.Abs(z))*math.Abs(wx[i])+2*u*(math.Abs(z*wx[i])+math.Abs(want)))
			}
		}
		y := s.out(n * width)
		s.b.LayerNorm(y, s.put(x), w, b, n, eps)
		s.near(fmt.Sprintf("layer norm of %d", width), y, r.want, r.bound)
	}
}

// spread returns numbers of all magnitudes that activations have, and zeros.
func (s *bench) spread(n int) []float32 {
	x := s.normal(n)
	for i := range x {
		x[i] *= float32(math.Pow(10, float64(i%5)-2.5))
	}
	copy(x, []float32{0, float32(math.Copysign(0, -1)), 100, -100, 88, -88, 1e-30, -1e-30})
	return x
}

// smallest is the least normal number: below it results may be flushed to zero.
const smallest = 0x1p-126

// swiGLU: exp has 4 units, the sum, the quotient and the product one each.
func swiGLU(s *bench) {
	const n = 20003
	gate, up := s.spread(n), s.normal(n)
	var r results
	for i, g := range wide(gate) {
		want := g / (1 + math.Exp(-g)) * float64(up[i])
		r.add(want, 16*u*math.Abs(want)+smallest*math.Max(1, math.Abs(float64(up[i]*gate[i]))))
	}
	y := s.out(n)
	s.b.SwiGLU(y, s.put(gate), s.put(up), n)
	s.near("swiglu", y, r.want, r.bound)
}

// gelu: Φ is 1/2 + erf/2, each within 4 units in the last place of 1; that Φ is
// then far below 1 for negative x is an error of x.
func gelu(s *bench) {
	const n = 20003
	x := s.spread(n)
	var r results
	for _, v := range wide(x) {
		want := v * 0.5 * math.Erfc(-v/math.Sqrt2)
		r.add(want, 8*u*math.Abs(v)+smallest)
	}
	y := s.out(n)
	s.b.GELU(y, s.put(x), n)
	s.near("gelu", y, r.want, r.bound)
}

// rotate: the angle is rounded to float32, which moves the pair by half a unit
// of the angle; sine, cosine, products and sum have a few units.
func rotate(s *bench) {
	const n, heads, dim = 6, 3, 20
	for _, c := range []struct {
		pairs, first int
		halves       bool
		magnitude    float32
	}{{10, 0, false, 0}, {10, 7, true, 0}, {8, 900, false, 1.25}, {8, 5, true, 0.5}} {
		rotation := &infer.Rotation{Halves: c.halves, Magnitude: c.magnitude}
		for p := range c.pairs {
			rotation.Frequencies = append(rotation.Frequencies, float32(math.Pow(10000, -float64(p)/float64(c.pairs))))
		}
		x := s.normal(n * heads * dim)
		want, bound := wide(x), make([]float64, len(x))
		magnitude := float64(c.magnitude)
		if magnitude == 0 {
			magnitude = 1
		}
		for i := range n * heads {
			head := want[i*dim:][:dim]
			for p, f := range rotation.Frequencies {
				a, b := 2*p, 2*p+1
				if c.halves {
					a, b = p, p+c.pairs
				}
				angle := float64(c.first+i/heads) * float64(f)
				sin, cos := math.Sincos(angle)
				size := magnitude * (math.Abs(head[a]) + math.Abs(head[b]))
				head[a], head[b] = magnitude*(head[a]*cos-head[b]*sin), magnitude*(head[a]*sin+head[b]*cos)
				bound[i*dim+a] = size * u * (angle + 8)
				bound[i*dim+b] = bound[i*dim+a]
			}
		}
		y := s.put(x)
		s.b.Rotate(y, n, heads, dim, c.first, rotation)
		s.near(fmt.Sprintf("rotate %+v", c), y, want, bound)
	}
}

func attend(s *bench) {
	for _, h := range []infer.Heads{
		{Heads: 1, KVHeads: 1, Dim: 8, Queries: 1, Keys: 1},
		{Heads: 4, KVHeads: 2, Dim: 16, Queries: 1, Keys: 70, Causal: true},
		{Heads: 8, KVHeads: 4, Dim: 8, Queries: 19, Keys: 19, Causal: true},
		{Heads: 3, KVHeads: 3, Dim: 64, Queries: 130, Keys: 150},
		{Heads: 2, KVHeads: 1, Dim: 20, Queries: 100, Keys: 165, Causal: true},
	} {
		h.Scale = float32(1 / math.Sqrt(float64(h.Dim)))
		s.attend(h)
	}
}

// attend: a score is wrong by e, the bound of its sum and of the scaling, a weight
// by the factor exp(2e) and the units of exp, of the running sum and of the
// rescaling, which happens for each block of keys at most; the weighted sum by
// its own bound.
func (s *bench) attend(h infer.Heads) {
	s.t.Helper()
	q, k, v := s.normal(h.Queries*h.Heads*h.Dim), s.normal(h.Keys*h.KVHeads*h.Dim), s.normal(h.Keys*h.KVHeads*h.Dim)
	qx, kx, vx := wide(q), wide(k), wide(v)
	var r results
	for i := range h.Queries {
		for head := range h.Heads {
			kv := head * h.KVHeads / h.Heads
			seen := h.Keys
			if h.Causal {
				seen = h.Keys - h.Queries + i + 1
			}
			weights := make([]float64, seen)
			var total, wrong float64
			for j := range weights {
				var score results
				score.dot(qx[(i*h.Heads+head)*h.Dim:][:h.Dim], kx[(j*h.KVHeads+kv)*h.Dim:][:h.Dim], 0)
				scaled := score.want[0] * float64(h.Scale)
				wrong = math.Max(wrong, score.bound[0]*float64(h.Scale)+4*u*math.Abs(scaled))
				weights[j] = math.Exp(scaled)
				total += weights[j]
			}
			for d := range h.Dim {
				var sum, size float64
				for j, w := range weights {
					x := w / total * vx[(j*h.KVHeads+kv)*h.Dim+d]
					sum += x
					size += math.Abs(x)
				}
				r.add(sum, size*(4*wrong+u*float64(2*h.Keys+16)))
			}
		}
	}
	y := s.out(len(q))
	s.b.Attend(y, s.put(q), s.put(k), s.put(v), h)
	s.near(fmt.Sprintf("attend %+v", h), y, r.want, r.bound)
}

func convolve(s *bench) {
	for _, c := range []struct{ n, in, out, stride int }{{1, 4, 3, 1}, {9, 5, 18, 1}, {10, 16, 7, 2}, {11, 8, 33, 2}} {
		w, wx := s.load("w", tensor.F16, s.normal(c.out*c.in*3), c.out, c.in, 3)
		b, bx := s.load("b", tensor.F32, s.normal(c.out), c.out)
		x := s.normal(c.n * c.in)
		xx := wide(x)
		rows := (c.n + c.stride - 1) / c.stride
		var r results
		for t := range rows {
			windows := make([]float64, c.in*3)
			for i := range c.in {
				for j := range 3 {
					if row := t*c.stride + j - 1; row >= 0 && row < c.n {
						windows[i*3+j] = xx[row*c.in+i]
					}
				}
			}
			for o := range c.out {
				r.dot(wx[o*c.in*3:][:c.in*3], windows, bx[o])
			}
		}
		y := s.out(rows * c.out)
		s.b.Conv1D(y, w, b, s.put(x), c.n, c.stride)
		s.near(fmt.Sprintf("convolve %+v", c), y, r.want, r.bound)
	}
}

// sameBits computes a little of everything with 1, 2 and 7 workers.
func sameBits(t *testing.T, open func(t *testing.T, workers int) infer.Backend) {
	var want []byte
	for _, workers := range []int{1, 2, 7} {
		b := open(t, workers)
		s := &bench{t, b, rand.New(rand.NewPCG(6, 7))}
		w, _ := s.load("w", tensor.Q8_0, s.normal(200*96), 200, 96)
		norm, _ := s.load("n", tensor.F32, s.normal(200), 200)
		const n = 103
		x, y, z := s.put(s.normal(n*96)), b.Alloc(n*200), b.Alloc(n*200)
		b.MatMul(y, w, nil, x, n)
		b.RMSNorm(z, y, norm, n, 1e-5)
		b.Attend(y, z, z, z, infer.Heads{Heads: 5, KVHeads: 5, Dim: 40, Queries: n, Keys: n, Scale: 0.2, Causal: true})
		b.SwiGLU(y, y, z, n*200)
		b.GELU(y, y, n*200)
		row := b.Alloc(200)
		b.MatMul(row, w, norm, x, 1)
		b.Add(y, row, 200)
		got := make([]float32, n*200)
		if err := b.Read(got, y, 0); err != nil {
			t.Fatal(err)
		}
		var bits bytes.Buffer
		if err := binary.Write(&bits, binary.LittleEndian, got); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = bits.Bytes()
		}
		if !bytes.Equal(bits.Bytes(), want) {
			t.Errorf("%d workers give other bits than 1", workers)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
