package pickle

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// numpy examines an .npy file, which holds a pickle if its elements are objects
// (numpy/lib/format.py).
func (s *scanner) numpy(p piece) {
	head, err := p.bytes(0, 12)
	if err != nil || len(head) < 12 {
		s.fail(p, 0, cmp.Or(err, fmt.Errorf("%d bytes of .npy header: %w", len(head), tensor.ErrCorrupt)))
		return
	}
	start, n := int64(10), int64(binary.LittleEndian.Uint16(head[8:]))
	if head[6] > 1 {
		start, n = 12, int64(binary.LittleEndian.Uint32(head[8:]))
	}
	if n > p.size-start || n > 1<<20 {
		s.fail(p, 8, fmt.Errorf(".npy header of %d bytes, the file has %d: %w", n, p.size-start, tensor.ErrCorrupt))
		return
	}
	text, err := p.bytes(start, n)
	if err != nil {
		s.fail(p, start, err)
		return
	}
	data := p
	data.r, data.size = io.NewSectionReader(p.r, start+n, p.size-start-n), p.size-start-n
	if bytes.Contains(text, []byte("O'")) || s.startsAt(data, 0) {
		s.sequence(data, math.MaxInt)
	}
}
