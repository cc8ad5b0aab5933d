package quantize

import (
	"fmt"

	"github.com/smelt-project/smelt/tensor"
)

// fallbacks is ggml's table of smaller blocks for rows that a type does not
// divide. Types that are not in it have no type with smaller blocks; llama.cpp
// refuses such tensors, smelt stores them as F16.
// (llama.cpp src/llama-quant.cpp@3f545becc, tensor_type_fallback)
var fallbacks = map[tensor.DType]tensor.DType{
	tensor.IQ1S: tensor.IQ4NL, tensor.IQ1M: tensor.IQ4NL, tensor.IQ2XXS: tensor.IQ4NL, tensor.IQ2XS: tensor.IQ4NL,
	tensor.IQ2S: tensor.IQ4NL, tensor.IQ3XXS: tensor.IQ4NL, tensor.IQ3S: tensor.IQ4NL, tensor.IQ4XS: tensor.IQ4NL,
	tensor.Q2_0: tensor.Q4_0, tensor.Q2K: tensor.Q4_0, tensor.Q3K: tensor.Q4_0, tensor.TQ1_0: tensor.Q4_0, tensor.TQ2_0: tensor.Q4_0,
	tensor.Q4K: tensor.Q5_0, tensor.Q5K: tensor.Q5_1, tensor.Q6K: tensor.Q8_0,
}

// fallback returns the type in which rows of rowLen are stored that were meant
// for d, and why it is another.
func fallback(d tensor.DType, rowLen int) (stored tensor.DType, why string) {
	l, _ := d.Layout()
	if rowLen%l.Elems == 0 {
		return d, ""
	}
	why = fmt.Sprintf("rows of %d are not whole blocks of %d, which %v needs", rowLen, l.Elems, d)
	next, ok := fallbacks[d]
	n, _ := next.Layout()
	if !ok || rowLen%n.Elems != 0 {
		return tensor.F16, why + ", nor of smaller ones"
	}
	return next, why
}
