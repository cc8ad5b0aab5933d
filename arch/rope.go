package arch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// interleaved undoes the order in which transformers keeps the rows of query
// and key projections: head by head, the first halves of all rotated pairs and
// then their second halves. Row 2j+s of a head of d rows becomes row j+s·d/2 of
// the source (llama.cpp conversion/llama.py, LlamaModel.permute). heads is the
// symbol of the number of heads.
func interleaved(heads string) *View {
	return &View{
		Why: "rows permuted from half-split to interleaved rotary order",
		Apply: func(t *tensor.Tensor, v *Values) (*tensor.Tensor, error) {
			n, ok := v.Count(heads)
			if !ok {
				return nil, nil
			}
			rows := t.Shape[0]
			if rows%n != 0 || rows/n%2 != 0 {
				return nil, fmt.Errorf("%d rows are not %d heads (%s) of even size: %w", rows, n, v.From(heads), tensor.ErrCorrupt)
			}
			half := rows / n / 2
			return t.PermuteRows(func(i int) int {
				head, pair, second := i/(2*half), i%(2*half)/2, i%2
				return head*2*half + second*half + pair
			})
		},
	}
}

// maxHeadDim bounds the tensor that ropeFactors computes, far above any model's
// head.
const maxHeadDim = 1 << 16

// ropeFactors returns by how much each rotary frequency of a model with llama3
// scaling is divided, as float32 [head_dim/2]: 1 for short wavelengths, the
// factor for long ones, smooth between (llama.cpp conversion/llama.py,
// LlamaModel.generate_extra_tensors, in its float32 arithmetic; the original
// context length is read where transformers keeps it). It returns nil for a
// model without this scaling.
func ropeFactors(v *Values) (*tensor.Tensor, error) {
	if v.Text("rope_type") != "llama3" {
		return nil, nil
	}
	var p [5]float64
	for i, symbol := range []string{"rope_theta", "rope_factor", "rope_low", "rope_high", "rope_ctx"} {
		x, ok := v.Real(symbol)
		if !ok {
			return nil, fmt.Errorf("llama3 rotary scaling needs %s: %w", v.label(symbol), tensor.ErrNotFound)
		}
		p[i] = x
	}
	theta, factor, low, high, ctx := p[0], p[1], p[2], p[3], p[4]
	dim, ok := v.Count("head_dim")
	if !ok {
		return nil, nil
	}
	if dim > maxHeadDim || dim%2 != 0 {
		return nil, fmt.Errorf("rotary scaling of heads of %d elements: %w", dim, tensor.ErrUnsupported)
	}
	if !(theta > 0 && factor > 0 && low > 0 && high > low) {
		return nil, fmt.Errorf("llama3 rotary scaling with theta %v, factor %v, low_freq_factor %v, high_freq_factor %v: %w",
			theta, factor, low, high, tensor.ErrCorrupt)
	}
	out := make([]float32, dim/2)
	for i := range out {
		exponent := float32(2*i) / float32(dim)
		freq := 1 / float32(math.Pow(float64(float32(theta)), float64(exponent)))
		wavelen := 1 / freq * float32(2*math.Pi)
		switch {
		case float64(wavelen) < ctx/high:
			out[i] = 1
		case float64(wavelen) > ctx/low:
			out[i] = float32(factor)
		default:
			smooth := (float32(1/wavelen*float32(ctx)) - float32(low)) / float32(high-low)
			out[i] = 1 / (float32(float32(1-smooth)/float32(factor)) + smooth)
		}
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, out); err != nil {
		return nil, err
	}
	return tensor.New(tensor.Info{DType: tensor.F32, Shape: tensor.Shape{dim / 2}}, bytes.NewReader(b.Bytes()), tensor.Origin{Offset: -1})
}
