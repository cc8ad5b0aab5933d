package verify

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A misreading is a way to take the bytes of elements for other elements.
type misreading struct {
	text     string
	as, from tensor.DType // the bytes of from are read as as
	swapped  bool         // in the other byte order
}

var misreadings = []misreading{
	{"bf16 read as f16", tensor.F16, tensor.BF16, false},
	{"f16 read as bf16", tensor.BF16, tensor.F16, false},
	{"f32 in the wrong byte order", tensor.F32, tensor.F32, true},
	{"f16 in the wrong byte order", tensor.F16, tensor.F16, true},
	{"bf16 in the wrong byte order", tensor.BF16, tensor.BF16, true},
}

// otherBytes finds values whose bytes are the original's, read as another type
// or in the other byte order.
func otherBytes(_ context.Context, s *suspect) (string, error) {
	for _, m := range misreadings {
		h, err := m.read(s.x)
		if err != nil {
			return "", err
		}
		if s.explainedBy(h) {
			return m.text, nil
		}
	}
	return "", nil
}

// lookalikes are types whose blocks are as long as another's, elements and bytes.
var lookalikes = map[tensor.DType][]tensor.DType{
	tensor.Q4_0: {tensor.IQ4NL}, tensor.IQ4NL: {tensor.Q4_0},
	tensor.Q3K: {tensor.IQ3S}, tensor.IQ3S: {tensor.Q3K},
	tensor.IQ2XXS: {tensor.TQ2_0}, tensor.TQ2_0: {tensor.IQ2XXS},
}

// otherBlocks finds blocks of another type under the name of one that looks alike.
func otherBlocks(_ context.Context, s *suspect) (string, error) {
	n := min(len(s.x), max(few/s.row, 1)*s.row)
	for _, d := range lookalikes[s.got.DType] {
		codec, err := quantize.CodecOf(d)
		if err != nil {
			return "", err
		}
		size, err := d.Bytes(tensor.Shape{n})
		if err != nil {
			return "", err
		}
		made, got := make([]byte, size), make([]byte, size)
		codec.Encode(made, s.x[:n], nil)
		if err := s.got.ReadFull(got, 0); err != nil {
			return "", err
		}
		if bytes.Equal(made, got) {
			return fmt.Sprintf("%v read as %v", d, s.got.DType), nil
		}
	}
	return "", nil
}

// explainedBy reports whether h explains the result, whose type may have rounded
// it. Values that no number of the type is near are left out of account.
func (s *suspect) explainedBy(h []float32) bool {
	to, err := quantize.CodecOf(s.got.DType)
	if err != nil || to.Encode == nil || len(h)%s.row != 0 {
		return false
	}
	size, err := s.got.DType.Bytes(tensor.Shape{len(h)})
	if err != nil {
		return false
	}
	b := make([]byte, size)
	to.Encode(b, h, nil)
	z := make([]float32, len(h))
	to.Decode(z, b)
	equal := 0
	for i, a := range z {
		if a == s.y[i] || a != a && s.y[i] != s.y[i] {
			equal++
		}
	}
	return float64(equal) >= 0.99*float64(len(h)) && len(h) > 0
}

// read returns the elements x after the misreading.
func (m misreading) read(x []float32) ([]float32, error) {
	from, err := quantize.CodecOf(m.from)
	if err != nil {
		return nil, err
	}
	as, err := quantize.CodecOf(m.as)
	if err != nil {
		return nil, err
	}
	size, err := m.from.Bytes(tensor.Shape{len(x)})
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	from.Encode(b, x, nil)
	if l, _ := m.from.Layout(); m.swapped {
		for word := range slices.Chunk(b, l.Bytes) {
			slices.Reverse(word)
		}
	}
	out := make([]float32, len(x))
	as.Decode(out, b)
	return out, nil
}

// typeError is about the relative error of a type.
func typeError(d tensor.DType) float64 {
	c, err := quantize.CodecOf(d)
	if err != nil {
		return 0
	}
	return c.MaxError
}
