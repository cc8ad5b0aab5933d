// Package quantize turns the bytes of tensors into numbers and numbers into
// bytes. Nothing else in smelt does.
//
// The block formats hold the bytes that ggml's own quantizers produce where the
// compiler does not fuse multiplications with additions, as in llama.cpp's
// x86-64 releases: the same operations on float32 in the same order. Every
// product is rounded by an explicit conversion, so that no platform fuses it
// with a sum and the bytes are the same everywhere.
//
// That Go code is the specification. Where the processor has AVX2 or AVX-512
// kernels do the work, made by the generator in asm: a lane of a vector is a group of elements,
// and in each lane the operations and their order are those of the Go code, so
// that the bytes are too. What a kernel does not do exactly, NaNs most of all, it
// leaves to the Go code. See VectorPath; the build tag noasm leaves kernels out.
package quantize

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A Codec packs rows of float32 into the blocks of one DType and unpacks them.
// Its functions may be called concurrently and do not allocate.
type Codec struct {
	// Decode fills dst from src, which holds exactly len(dst) elements in whole
	// blocks. It is exact, but for F64, which is rounded to nearest even.
	Decode func(dst []float32, src []byte)
	// Encode fills dst from src, one or more whole rows. importance, if not
	// empty, weighs the columns of a row: its length is the row's, and the
	// squared error of a column counts that much more. Types without a choice
	// to make do not look at it; they round to nearest. Encode returns how many
	// finite values did not fit: became infinite, are in a block whose scale is
	// not finite, or were clipped. nil if smelt does not write the type.
	Encode func(dst []byte, src, importance []float32) (overflows int)
	// MaxError bounds ‖x−Decode(Encode(x))‖₂/‖x‖₂ for rows of 1,024 independent
	// N(0,1) elements, with importance equal or not given. For F16 and BF16 it is
	// half a unit in the last place; for block types the mean measured over 1,024
	// rows plus six standard deviations, the worse of the two modes, rounded up to
	// three digits. 0 is exact, or not written.
	MaxError float64
	// NeedsImportance: llama.cpp does not make the type without an importance
	// matrix because the result is useless. Encode takes the columns as equal.
	NeedsImportance bool
}

// codecs is the table of types that can be decoded to float32.
var codecs = map[tensor.DType]Codec{
	tensor.F32:        {Decode: decodeF32, Encode: encodeF32},
	tensor.F16:        {Decode: decodeF16, Encode: encodeF16, MaxError: 0x1p-11},
	tensor.BF16:       {Decode: decodeBF16, Encode: encodeBF16, MaxError: 0x1p-8},
	tensor.F64:        {Decode: decodeF64},
	tensor.F8E4M3FN:   {Decode: decodeBytes(f8e4m3fn)},
	tensor.F8E5M2:     {Decode: decodeBytes(f8e5m2)},
	tensor.F8E4M3FNUZ: {Decode: decodeBytes(f8e4m3fnuz)},
	tensor.F8E5M2FNUZ: {Decode: decodeBytes(f8e5m2fnuz)},
	tensor.F8E8M0FNU:  {Decode: decodeBytes(f8e8m0fnu)},

	tensor.Q4_0:   q4_0.codec(tensor.Q4_0, 0.101),
	tensor.Q4_1:   q4_1.codec(tensor.Q4_1, 0.0900),
	tensor.Q5_0:   q5_0.codec(tensor.Q5_0, 0.0503),
	tensor.Q5_1:   q5_1.codec(tensor.Q5_1, 0.0434),
	tensor.Q8_0:   q8_0.codec(tensor.Q8_0, 0.00637),
	tensor.Q2K:    q2_k.codec(tensor.Q2K, 0.350),
	tensor.Q3K:    q3_k.codec(tensor.Q3K, 0.174),
	tensor.Q4K:    q4_k.codec(tensor.Q4K, 0.0817),
	tensor.Q5K:    q5_k.codec(tensor.Q5K, 0.0416),
	tensor.Q6K:    q6_k.codec(tensor.Q6K, 0.0207),
	tensor.IQ1S:   iq1_s.codec(tensor.IQ1S, 0.539),
	tensor.IQ1M:   iq1_m.codec(tensor.IQ1M, 0.670),
	tensor.IQ2XXS: iq2_xxs.codec(tensor.IQ2XXS, 0.380),
	tensor.IQ2XS:  iq2_xs.codec(tensor.IQ2XS, 0.332),
	tensor.IQ2S:   iq2_s.codec(tensor.IQ2S, 0.302),
	tensor.IQ3XXS: iq3_xxs.codec(tensor.IQ3XXS, 0.252),
	tensor.IQ3S:   iq3_s.codec(tensor.IQ3S, 0.198),
	tensor.IQ4NL:  iq4_nl.codec(tensor.IQ4NL, 0.0864),
	tensor.IQ4XS:  iq4_xs.codec(tensor.IQ4XS, 0.0870),
	tensor.TQ1_0:  tq1_0.codec(tensor.TQ1_0, 0.964),
	tensor.TQ2_0:  tq2_0.codec(tensor.TQ2_0, 0.964),
	tensor.MXFP4:  mxfp4.codec(tensor.MXFP4, 0.135),
	tensor.NVFP4:  nvfp4.codec(tensor.NVFP4, 0.109),
	tensor.Q1_0:   q1_0.codec(tensor.Q1_0, 0.654),
	tensor.Q2_0:   q2_0.codec(tensor.Q2_0, 0.830),
}

// CodecOf returns the codec of d, with the functions of VectorPath.
func CodecOf(d tensor.DType) (Codec, error) {
	p, err := chosenPath()
	if err != nil {
		return Codec{}, err
	}
	c, ok := p.codec(d)
	if !ok {
		return Codec{}, fmt.Errorf("numbers of type %v: %w", d, tensor.ErrUnsupported)
	}
	return c, nil
}

// Number returns the one element of type d in b, NaN if it has no codec or
// shares a block with others.
func Number(d tensor.DType, b []byte) float64 {
	switch d { // types that float32 does not hold
	case tensor.F64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	case tensor.U64:
		return float64(binary.LittleEndian.Uint64(b))
	}
	c, err := CodecOf(d)
	if l, _ := d.Layout(); err != nil || l.Elems != 1 {
		return math.NaN()
	}
	var x [1]float32
	c.Decode(x[:], b)
	return float64(x[0])
}
