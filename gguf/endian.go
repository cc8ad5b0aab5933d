package gguf

import (
	"fmt"
	"io"

	"github.com/smelt-project/smelt/tensor"
)

// halves lists, for the block types whose big-endian form is defined, where in
// a block its 16-bit numbers stand; all else in these blocks is bytes. MXFP4
// and NVFP4 are bytes throughout, which their layouts say. Other block types
// have no defined form: their packed words were written in whatever order the
// quantizing machine had (gguf-py/gguf/scripts/gguf_convert_endian.py).
var halves = map[tensor.DType][]int{
	tensor.Q4_0:  {0},    // d
	tensor.Q8_0:  {0},    // d
	tensor.Q4K:   {0, 2}, // d, dmin
	tensor.Q6K:   {208},  // d
	tensor.TQ2_0: {64},   // d
	tensor.Q1_0:  {0},    // d
}

// toLittle returns r, big-endian elements of type d, with little-endian ones.
func toLittle(r io.ReaderAt, d tensor.DType) (io.ReaderAt, error) {
	l, _ := d.Layout()
	if l.Word > 0 {
		return tensor.Swapped(r, l.Word), nil
	}
	at, ok := halves[d]
	if !ok {
		return nil, fmt.Errorf("%v has no defined big-endian form; convert the model again on a little-endian machine: %w", d, tensor.ErrUnsupported)
	}
	return tensor.Wordwise(r, l.Bytes, func(b []byte) {
		for ; len(b) > 0; b = b[l.Bytes:] {
			for _, h := range at {
				b[h], b[h+1] = b[h+1], b[h]
			}
		}
	}), nil
}
