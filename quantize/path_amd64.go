//go:build !noasm

package quantize

import (
	"golang.org/x/sys/cpu"

	"github.com/smelt-project/smelt/tensor"
)

var vectorPaths = []vectorPath{{
	name:      "avx2",
	available: cpu.X86.HasAVX2 && cpu.X86.HasF16C,
	encode: withLanes(map[tensor.DType]func(dst []byte, src, importance []float32) int{
		tensor.F32:  copyF32,
		tensor.F16:  narrowed(f16FromF32AVX2, encodeF16),
		tensor.BF16: narrowed(bf16FromF32AVX2, encodeBF16),
		tensor.Q4_0: legacyEncoder(tensor.Q4_0, q4_0, encodeQ4_0AVX2),
		tensor.Q4_1: legacyEncoder(tensor.Q4_1, q4_1, encodeQ4_1AVX2),
		tensor.Q5_0: legacyEncoder(tensor.Q5_0, q5_0, encodeQ5_0AVX2),
		tensor.Q5_1: legacyEncoder(tensor.Q5_1, q5_1, encodeQ5_1AVX2),
		tensor.Q8_0: legacyEncoder(tensor.Q8_0, q8_0, encodeQ8_0AVX2),
	}),
	decode: withNumbers(map[tensor.DType]func(dst []float32, src []byte){
		tensor.Q8_0: decodeQ8_0,
		tensor.F32:  copiedF32,
		tensor.F16:  widenedBy(f32FromF16AVX2, decodeF16),
		tensor.BF16: widenedBy(f32FromBF16AVX2, decodeBF16),
	}),
	direct: map[pair]Transcoder{
		{tensor.F16, tensor.F32}: func(dst, src []byte, _ []float32) int { return f16OfF32Bytes(dst, src) },
	},
}}

// withLanes adds the encoders of laneTypes, which in types that are there take
// those rows that have importance, of latticeTypes and of simpleTypes.
func withLanes(encode map[tensor.DType]func(dst []byte, src, importance []float32) int) map[tensor.DType]func(dst []byte, src, importance []float32) int {
	for i := range laneTypes {
		t := &laneTypes[i]
		plain, ok := encode[t.dtype]
		important := t.encoder()
		if !ok {
			plain = important
		}
		encode[t.dtype] = func(dst []byte, src, importance []float32) int {
			if len(importance) > 0 {
				return important(dst, src, importance)
			}
			return plain(dst, src, nil)
		}
	}
	for i := range latticeTypes {
		encode[latticeTypes[i].dtype] = latticeTypes[i].encoder()
	}
	for i := range simpleTypes {
		encode[simpleTypes[i].dtype] = simpleTypes[i].encoder()
	}
	return encode
}

// withNumbers adds the decoders of numberTypes.
func withNumbers(decode map[tensor.DType]func(dst []float32, src []byte)) map[tensor.DType]func(dst []float32, src []byte) {
	for i := range numberTypes {
		decode[numberTypes[i].dtype] = numberTypes[i].decoder()
	}
	return decode
}
