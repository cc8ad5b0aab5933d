// Package gguf reads and writes GGUF, the file format of llama.cpp
// (ggml/docs/gguf.md, ggml/src/gguf.cpp).
//
// Read takes one file of version 1, 2 or 3 in either byte order; ReadSet takes
// any shard of a model that is split into several files. Both read the header
// alone: tensor data stays where it is until it is asked for. Place lays out a
// version 3 little-endian file as llama.cpp's own reader demands it, and Check
// parses what was written and compares it with what was meant.
//
// Shapes are reversed here: GGUF lists the fastest dimension first, package
// tensor the outermost.
//
// Arrays of arrays, more than four dimensions and the type ids that ggml has
// removed are refused.
package gguf

import (
	"fmt"
	"math/bits"

	"github.com/smelt-project/smelt/tensor"
)

// Magic is what every GGUF file starts with, in either byte order.
const Magic = "GGUF"

const (
	version          = 3  // what Place writes
	defaultAlignment = 32 // GGUF_DEFAULT_ALIGNMENT, ggml/include/gguf.h
	alignmentKey     = "general.alignment"

	maxDims   = 4         // GGML_MAX_DIMS, ggml/include/ggml.h
	maxName   = 63        // GGML_MAX_NAME counts the terminating zero
	maxKey    = 1<<16 - 1 // ggml/docs/gguf.md, gguf_metadata_kv_t
	maxString = 1 << 30   // GGUF_MAX_STRING_LENGTH, ggml/src/gguf.cpp
	maxArray  = 1 << 30   // GGUF_MAX_ARRAY_ELEMENTS, ggml/src/gguf.cpp

	// The format sets no limit to the alignment. This one is far above any page
	// or sector, and keeps a few bytes of header from claiming gigabytes of padding.
	maxAlignment = 1 << 20
)

// alignment returns the alignment of tensor data that meta declares, in bytes.
// llama.cpp takes it as uint32 only.
func alignment(meta tensor.Meta) (uint32, error) {
	v, ok := meta.Get(alignmentKey)
	if !ok {
		return defaultAlignment, nil
	}
	a, ok := v.(uint32)
	switch {
	case !ok:
		return 0, fmt.Errorf("key %q is %T, the format wants uint32: %w", alignmentKey, v, tensor.ErrCorrupt)
	case bits.OnesCount32(a) != 1:
		return 0, fmt.Errorf("key %q is %d, the format wants a power of two: %w", alignmentKey, a, tensor.ErrCorrupt)
	case a > maxAlignment:
		return 0, fmt.Errorf("key %q is %d, the limit is %d: %w", alignmentKey, a, maxAlignment, tensor.ErrTooLarge)
	}
	return a, nil
}

// pad rounds n up to a multiple of align, a power of two.
func pad(n int64, align uint32) int64 {
	a := int64(align)
	return (n + a - 1) &^ (a - 1)
}

// removed names the type ids that ggml gave up and does not reuse
// (ggml/include/ggml.h, enum ggml_type).
var removed = map[tensor.DType]string{
	4: "Q4_2", 5: "Q4_3",
	31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8",
	36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8",
}

// checkType reports whether a GGUF file can hold elements of type d.
func checkType(d tensor.DType) error {
	if d.IsGGML() {
		return nil
	}
	if name, ok := removed[d]; ok {
		return fmt.Errorf("type %d (%s) was removed from ggml; convert the original model again: %w", uint32(d), name, tensor.ErrUnsupported)
	}
	if _, ok := d.Layout(); ok {
		return fmt.Errorf("type %v does not exist in GGUF; convert it to f32, f16 or bf16: %w", d, tensor.ErrUnsupported)
	}
	return fmt.Errorf("type id %d is unknown; the file may need a newer smelt: %w", uint32(d), tensor.ErrUnsupported)
}
