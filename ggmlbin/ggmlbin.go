// Package ggmlbin reads and writes the .bin files of whisper.cpp: a Whisper
// model with its mel filterbank and its vocabulary in one file (whisper.cpp
// src/whisper.cpp, whisper_model_load; models/convert-pt-to-ggml.py@233fe1fc).
//
// The format has neither padding nor a table: each tensor's name, type and
// shape stand before its data, and the file ends after the last one. Shapes are
// reversed here, as ggml lists the fastest dimension first.
//
// Other programs' .bin files with the same or a similar magic (llama.cpp before
// GGUF, GPT-2, voice activity detection) are recognized and refused.
package ggmlbin

import (
	"fmt"

	"github.com/smelt-project/smelt/tensor"
)

// Magic is what a file starts with: the number 0x67676d6c, little-endian.
const Magic = "lmgg"

// MelFilters is the name under which Read gives the mel filterbank, f32
// [n_mels, n_fft]; in the file it is part of the header.
const MelFilters = "mel_filters"

// Keys of Read's metadata that GGUF has no name for.
const (
	tokensKey = "ggml.tokens" // []string: the bytes of each token, in order of id
	ftypeKey  = "ggml.ftype"  // int32: as in the header
)

const (
	maxDims = 4   // GGML_MAX_DIMS, ggml/include/ggml.h
	maxName = 255 // of a tensor; whisper.cpp's longest has 42 bytes

	// A quantized file's type carries the version of the block formats
	// (GGML_QNT_VERSION and its factor, ggml/include/ggml.h).
	qntVersion = 2
	qntFactor  = 1000
)

// foreign names the formats of other magics.
var foreign = map[string]string{
	"fmgg": "a llama.cpp model of the ggmf format",
	"tjgg": "a llama.cpp model of the ggjt format",
	"algg": "a llama.cpp adapter of the ggla format",
	"GGUF": "a GGUF file",
}

// fileTypes maps the header's ftype, without the version of quantization, to
// the type of the matrices (ggml/include/ggml.h, enum ggml_ftype; ggml.c,
// ggml_ftype_to_ggml_type).
var fileTypes = []struct {
	ftype int32
	dtype tensor.DType
}{
	{0, tensor.F32}, {1, tensor.F16}, {2, tensor.Q4_0}, {3, tensor.Q4_1},
	{7, tensor.Q8_0}, {8, tensor.Q5_0}, {9, tensor.Q5_1},
	{10, tensor.Q2K}, {11, tensor.Q3K}, {12, tensor.Q4K}, {13, tensor.Q5K}, {14, tensor.Q6K},
	{15, tensor.IQ2XXS}, {16, tensor.IQ2XS}, {17, tensor.IQ3XXS}, {18, tensor.IQ1S}, {19, tensor.IQ4NL},
	{20, tensor.IQ3S}, {21, tensor.IQ2S}, {22, tensor.IQ4XS}, {23, tensor.IQ1M},
	{24, tensor.BF16}, {25, tensor.MXFP4}, {26, tensor.NVFP4}, {27, tensor.Q1_0}, {28, tensor.Q2_0},
}

// FileType returns the FType of a file whose matrices are of type d.
func FileType(d tensor.DType) (int32, error) {
	for _, f := range fileTypes {
		if f.dtype != d {
			continue
		}
		if l, _ := d.Layout(); l.Kind == tensor.Block {
			return f.ftype + qntVersion*qntFactor, nil
		}
		return f.ftype, nil
	}
	return 0, fmt.Errorf("whisper.cpp has no file type for %v; use f16, or one of its quantized types: %w", d, tensor.ErrUnsupported)
}

// DType returns the type that the matrices of a file with this header have.
func (h *Header) DType() (tensor.DType, error) {
	for _, f := range fileTypes {
		if f.ftype == h.FType%qntFactor {
			return f.dtype, nil
		}
	}
	return 0, fmt.Errorf("ftype %d is none of whisper.cpp's: %w", h.FType, tensor.ErrUnsupported)
}
