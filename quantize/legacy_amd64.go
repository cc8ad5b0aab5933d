//go:build !noasm

package quantize

import "github.com/smelt-project/smelt/tensor"

// legacyEncoder encodes blocks with a kernel, and those at which the kernel
// stops with the type's own functions. With importance it is the latter that
// encode, unless the type does not look at it.
func legacyEncoder(d tensor.DType, t blockType, kernel func([]byte, []float32) int) func([]byte, []float32, []float32) int {
	l, _ := d.Layout()
	weighted := t.codec(d, 0).Encode
	return func(dst []byte, src, importance []float32) (overflows int) {
		if len(importance) > 0 && t.rowWeighted != nil {
			return weighted(dst, src, importance)
		}
		for len(src) > 0 {
			n := kernel(dst, src[:min(len(src), kernelElems)])
			dst, src = dst[n*l.Bytes:], src[n*l.Elems:]
			n = min(len(src), l.Elems)
			overflows += t.encodeRow(l, dst, src[:n], nil)
			dst, src = dst[n/l.Elems*l.Bytes:], src[n:]
		}
		return overflows
	}
}
