package verify

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// benchmarkElems are more than any cache holds.
const benchmarkElems = 64 << 20

// BenchmarkWeights compares a tensor of type from with its conversion; bytes are
// those of both sides. Copy is what the machine's memory does at best: as many
// bytes, copied once.
func BenchmarkWeights(b *testing.B) {
	for _, c := range []struct {
		name     string
		from, to tensor.DType
	}{{"f32", tensor.F32, tensor.F32}, {"f16", tensor.F16, tensor.F16}, {"f32 as f16", tensor.F32, tensor.F16}, {"f16 as q8_0", tensor.F16, tensor.Q8_0}, {"f16 as q4_k", tensor.F16, tensor.Q4K}} {
		b.Run(c.name, func(b *testing.B) {
			want, got := benchmarkPair(b, c.from, c.to)
			v := &verifier{Options: Options{Workers: 2}, Pair: pairOfTensors(b, want, got), check: &Check{}}
			b.SetBytes(want.Size() + got.Size())
			for b.Loop() {
				c, err := v.newComparison(want, got)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := v.compareAll(context.Background(), []*comparison{c}); err != nil {
					b.Fatal(err)
				}
				if !c.exact() {
					b.Fatal("they differ")
				}
			}
		})
	}
	b.Run("copy", func(b *testing.B) {
		src, dst := make([]byte, 4*benchmarkElems), make([]byte, 4*benchmarkElems)
		b.SetBytes(2 * int64(len(src)))
		for b.Loop() {
			copyInTwo(dst, src)
		}
	})
}

// copyInTwo copies with two goroutines.
func copyInTwo(dst, src []byte) {
	half, done := len(src)/2, make(chan struct{})
	go func() {
		copy(dst[half:], src[half:])
		close(done)
	}()
	copy(dst[:half], src[:half])
	<-done
}

func benchmarkPair(b *testing.B, from, to tensor.DType) (want, got *tensor.Tensor) {
	b.Helper()
	shape := tensor.Shape{benchmarkElems / 4096, 4096}
	random := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, benchmarkElems)
	for i := range x {
		x[i] = float32(random.NormFloat64())
	}
	src, err := quantize.CodecOf(from)
	if err != nil {
		b.Fatal(err)
	}
	dst, err := quantize.CodecOf(to)
	if err != nil {
		b.Fatal(err)
	}
	raw := make([]byte, size(b, from, shape))
	src.Encode(raw, x, nil)
	src.Decode(x, raw)
	stored := make([]byte, size(b, to, shape))
	dst.Encode(stored, x, nil)
	return newTensor(b, from, shape, raw), newTensor(b, to, shape, stored)
}

func size(b *testing.B, d tensor.DType, s tensor.Shape) int64 {
	b.Helper()
	n, err := d.Bytes(s)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func newTensor(b *testing.B, d tensor.DType, shape tensor.Shape, data []byte) *tensor.Tensor {
	b.Helper()
	var r io.ReaderAt = bytes.NewReader(data)
	t, err := tensor.New(tensor.Info{Name: "w", DType: d, Shape: shape}, r, tensor.Origin{Offset: -1})
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func pairOfTensors(b *testing.B, want, got *tensor.Tensor) Pair {
	b.Helper()
	a, err := tensor.NewModel("test", tensor.Meta{}, []*tensor.Tensor{want})
	if err != nil {
		b.Fatal(err)
	}
	r, err := tensor.NewModel("test", tensor.Meta{}, []*tensor.Tensor{got})
	if err != nil {
		b.Fatal(err)
	}
	return Pair{Original: Side{Model: a}, Canonical: &arch.Result{Model: a}, Result: Side{Model: r}}
}
