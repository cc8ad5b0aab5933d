package cpu

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

func random(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func benchBackend(b *testing.B, workers int) *Backend {
	b.Helper()
	c, err := New(Options{Workers: workers})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func put(c *Backend, x []float32) infer.Buffer {
	y := c.Alloc(len(x))
	c.Write(y, 0, x)
	return y
}

func fails(b *testing.B, c *Backend) {
	b.Helper()
	if err := c.Read(nil, c.Alloc(0), 0); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMatMul reports billions of multiplications and additions a second.
func BenchmarkMatMul(b *testing.B) {
	for _, d := range []tensor.DType{tensor.F32, tensor.F16, tensor.Q8_0, tensor.Q4K} {
		for _, n := range []int{1, 4, 16, 512} {
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("%v/n=%d/workers=%d", d, n, workers), func(b *testing.B) {
					const in, out = 2048, 2048
					codec, err := quantize.CodecOf(d)
					if err != nil {
						b.Fatal(err)
					}
					info := tensor.Info{Name: "w", DType: d, Shape: tensor.Shape{out, in}}
					size, _ := info.Size()
					raw := make([]byte, size)
					codec.Encode(raw, random(in*out), nil)
					t, err := tensor.New(info, bytes.NewReader(raw), tensor.Origin{})
					if err != nil {
						b.Fatal(err)
					}
					c := benchBackend(b, workers)
					w, err := c.Load(t)
					if err != nil {
						b.Fatal(err)
					}
					x, y := put(c, random(n*in)), c.Alloc(n*out)
					b.SetBytes(size)
					for b.Loop() {
						c.MatMul(y, w, nil, x, n)
					}
					fails(b, c)
					b.ReportMetric(2*float64(n*in*out)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
				})
			}
		}
	}
}

func BenchmarkAttend(b *testing.B) {
	for _, h := range []infer.Heads{
		{Heads: 8, KVHeads: 8, Dim: 64, Queries: 1500, Keys: 1500, Scale: 0.125},
		{Heads: 12, KVHeads: 4, Dim: 64, Queries: 512, Keys: 512, Scale: 0.125, Causal: true},
		{Heads: 12, KVHeads: 4, Dim: 64, Queries: 1, Keys: 1024, Scale: 0.125, Causal: true},
	} {
		b.Run(fmt.Sprintf("queries=%d/keys=%d", h.Queries, h.Keys), func(b *testing.B) {
			c := benchBackend(b, 2)
			q, k := put(c, random(h.Queries*h.Heads*h.Dim)), put(c, random(h.Keys*h.KVHeads*h.Dim))
			y := c.Alloc(h.Queries * h.Heads * h.Dim)
			for b.Loop() {
				c.Attend(y, q, k, k, h)
			}
			fails(b, c)
			b.ReportMetric(4*float64(h.Queries*h.Keys*h.Heads*h.Dim)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}

func BenchmarkActivation(b *testing.B) {
	const n = 1 << 20
	c := benchBackend(b, 2)
	x, y := put(c, random(n)), c.Alloc(n)
	b.Run("swiglu", func(b *testing.B) {
		b.SetBytes(4 * n)
		for b.Loop() {
			c.SwiGLU(y, x, x, n)
		}
	})
	b.Run("gelu", func(b *testing.B) {
		b.SetBytes(4 * n)
		for b.Loop() {
			c.GELU(y, x, n)
		}
	})
	fails(b, c)
}
