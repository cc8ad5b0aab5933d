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

// legacyDecoder decodes blocks with a kernel, and those whose scale is a NaN with
// the type's own function, which keeps its payload.
func legacyDecoder(d tensor.DType, t blockType, kernel func([]float32, []byte)) func([]float32, []byte) {
	l, _ := d.Layout()
	return func(dst []float32, src []byte) {
		for len(dst) > 0 {
			n := 0
			for n < min(len(dst), kernelElems)/l.Elems && !nanHalf(src[l.Bytes*n:]) {
				n++
			}
			kernel(dst[:l.Elems*n], src)
			dst, src = dst[l.Elems*n:], src[l.Bytes*n:]
			if len(dst) > 0 && nanHalf(src) {
				t.decode(dst[:l.Elems], src[:l.Bytes])
				dst, src = dst[l.Elems:], src[l.Bytes:]
			}
		}
	}
}

func nanHalf(b []byte) bool { return b[1]&0x7c == 0x7c && (b[1]&3 != 0 || b[0] != 0) }
