package origin

import (
	"bytes"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// BenchmarkLinear is one matrix of Whisper base over a window of sound; its
// bytes are products, so that MB/s are millions of products a second.
func BenchmarkLinear(b *testing.B) {
	const rows, width, out = 1500, 512, 512
	t, err := tensor.New(tensor.Info{Name: "w", DType: tensor.F16, Shape: tensor.Shape{out, width}},
		bytes.NewReader(bytes.Repeat([]byte{0, 0x3c}, out*width)), tensor.Origin{Offset: -1})
	if err != nil {
		b.Fatal(err)
	}
	w, err := newParameter(t)
	if err != nil {
		b.Fatal(err)
	}
	x := newValues(rows, width)
	for i := range x.data {
		x.data[i] = float32(i%5) - 2
	}
	p := &pass{ctx: b.Context(), workers: workers(0)}
	b.SetBytes(rows * width * out)
	for b.Loop() {
		p.linear(x, w, nil)
	}
	if p.err != nil {
		b.Fatal(p.err)
	}
}
