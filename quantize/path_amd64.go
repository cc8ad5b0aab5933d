//go:build !noasm

package quantize

import (
	"golang.org/x/sys/cpu"

	"github.com/smelt-project/smelt/tensor"
)

var vectorPaths = []vectorPath{{
	name:      "avx2",
	available: hasAVX2,
	encode:    encoders(avx2),
	decode:    decoders(avx2),
	direct:    transcoders(avx2),
	sum:       avx2.addAll,
}, {
	name:      "avx512",
	available: hasAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL,
	encode:    encoders(avx512),
	decode:    decoders(avx512),
	direct:    transcoders(avx512),
	sum:       avx512.addAll,
}}

var hasAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasF16C

// encoders are those of single elements, of the formats without a search, and of
// laneTypes, latticeTypes and simpleTypes. A type that is in laneTypes and has no
// search without importance takes only rows with importance from there.
func encoders(v isa) map[tensor.DType]func(dst []byte, src, importance []float32) int {
	encode := map[tensor.DType]func(dst []byte, src, importance []float32) int{
		tensor.F32:  copyF32,
		tensor.F16:  narrowed(v.f16FromF32, encodeF16),
		tensor.BF16: narrowed(v.bf16FromF32, encodeBF16),
		tensor.Q4_0: legacyEncoder(tensor.Q4_0, q4_0, v.encodeQ4_0),
		tensor.Q4_1: legacyEncoder(tensor.Q4_1, q4_1, v.encodeQ4_1),
		tensor.Q5_0: legacyEncoder(tensor.Q5_0, q5_0, v.encodeQ5_0),
		tensor.Q5_1: legacyEncoder(tensor.Q5_1, q5_1, v.encodeQ5_1),
		tensor.Q8_0: legacyEncoder(tensor.Q8_0, q8_0, v.encodeQ8_0),
	}
	for i := range laneTypes {
		t := &laneTypes[i]
		important := t.encoder(v)
		plain, ok := encode[t.dtype]
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
		encode[latticeTypes[i].dtype] = latticeTypes[i].encoder(v)
	}
	for i := range simpleTypes {
		encode[simpleTypes[i].dtype] = simpleTypes[i].encoder(v)
	}
	return encode
}

// decoders are those of single elements, of Q8_0 and Q4_0, and of numberTypes.
func decoders(v isa) map[tensor.DType]func(dst []float32, src []byte) {
	decode := map[tensor.DType]func(dst []float32, src []byte){
		tensor.Q8_0: legacyDecoder(tensor.Q8_0, q8_0, v.decodeQ8_0),
		tensor.Q4_0: legacyDecoder(tensor.Q4_0, q4_0, v.decodeQ4_0),
		tensor.F32:  copiedF32,
		tensor.F16:  widenedBy(v.f32FromF16, decodeF16),
		tensor.BF16: widenedBy(v.f32FromBF16, decodeBF16),
	}
	for i := range numberTypes {
		decode[numberTypes[i].dtype] = numberTypes[i].decoder(v)
	}
	return decode
}

func transcoders(v isa) map[pair]Transcoder {
	return map[pair]Transcoder{{tensor.F16, tensor.F32}: v.f16OfF32Bytes}
}
