//go:build !noasm

package quantize

import "unsafe"

// A kernel cannot be interrupted, so that no call gets more elements than this:
// some tens of microseconds.
const kernelElems = 1 << 16

// narrowed encodes to a type of two bytes with a kernel, and by slow those 16
// elements at which the kernel stops.
func narrowed(kernel func([]byte, []float32) int, slow func([]byte, []float32, []float32) int) func([]byte, []float32, []float32) int {
	return func(dst []byte, src, _ []float32) (overflows int) {
		for len(src) > 0 {
			n := kernel(dst, src[:min(len(src), kernelElems)])
			dst, src = dst[2*n:], src[n:]
			n = min(len(src), 16)
			overflows += slow(dst, src[:n], nil)
			dst, src = dst[2*n:], src[n:]
		}
		return overflows
	}
}

// widenedBy decodes a type of two bytes with a kernel, and by slow those 16
// elements at which the kernel stops.
func widenedBy(kernel func([]float32, []byte) int, slow func([]float32, []byte)) func([]float32, []byte) {
	return func(dst []float32, src []byte) {
		for len(dst) > 0 {
			n := kernel(dst, src[:2*min(len(dst), kernelElems)])
			dst, src = dst[n:], src[2*n:]
			n = min(len(dst), 16)
			slow(dst[:n], src)
			dst, src = dst[n:], src[2*n:]
		}
	}
}

// f16OfF32Bytes is f32ToF16 with the kernel.
func (v isa) f16OfF32Bytes(dst, src []byte, _ []float32) (overflows int) {
	for len(src) > 0 {
		n := v.f16FromF32Bytes(dst, src[:min(len(src), 4*kernelElems)])
		dst, src = dst[2*n:], src[4*n:]
		n = min(len(src)/4, 16)
		overflows += f32ToF16One(dst, src[:4*n])
		dst, src = dst[2*n:], src[4*n:]
	}
	return overflows
}

// copiedF32 is decodeF32: the processor has float32 in the same order.
func copiedF32(dst []float32, src []byte) { copy(memoryOf(dst), src[:4*len(dst)]) }

// copyF32 is encodeF32.
func copyF32(dst []byte, src, _ []float32) int {
	copy(dst[:4*len(src)], memoryOf(src))
	return 0
}

// memoryOf returns the memory of x.
func memoryOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}
