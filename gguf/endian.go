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
	return &blocks{r: r, size: l.Bytes, halves: at}, nil
}

// A blocks reads blocks of size bytes with the two bytes at each of halves swapped.
type blocks struct {
	r      io.ReaderAt
	size   int
	halves []int
}

// ReadAt reads the whole blocks that p touches.
func (b *blocks) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	lead := int(off % int64(b.size))
	whole := p
	if lead != 0 || len(p)%b.size != 0 {
		whole = make([]byte, (lead+len(p)+b.size-1)/b.size*b.size)
	}
	n, err := b.r.ReadAt(whole, off-int64(lead))
	for at := 0; at+b.size <= n; at += b.size {
		for _, h := range b.halves {
			whole[at+h], whole[at+h+1] = whole[at+h+1], whole[at+h]
		}
	}
	got := min(max(n-lead, 0), len(p))
	if lead != 0 || len(p)%b.size != 0 {
		copy(p[:got], whole[lead:])
	}
	if got == len(p) {
		err = nil
	}
	return got, err
}
