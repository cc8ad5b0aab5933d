package cpu

import "github.com/smelt-project/smelt/infer"

// activationElems is pieceElems of what takes longer for an element.
const activationElems = 1 << 13

// SwiGLU makes y = SiLU(gate)·up over n elements.
func (b *Backend) SwiGLU(y, gate, up infer.Buffer, n int) {
	u := b.use("activate")
	to, g, v := u.elems(y, 0, n), u.elems(gate, 0, n), u.elems(up, 0, n)
	if !u.ok {
		return
	}
	b.each(u.op, (n+activationElems-1)/activationElems, func(_ *scratch, i int) error {
		lo, hi := i*activationElems, min(n, (i+1)*activationElems)
		b.kernels.silu(to[lo:hi], g[lo:hi], v[lo:hi])
		return nil
	})
}

// GELU makes y = x·Φ(x) over n elements.
func (b *Backend) GELU(y, x infer.Buffer, n int) {
	u := b.use("activate")
	to, from := u.elems(y, 0, n), u.elems(x, 0, n)
	if !u.ok {
		return
	}
	b.each(u.op, (n+activationElems-1)/activationElems, func(_ *scratch, i int) error {
		lo, hi := i*activationElems, min(n, (i+1)*activationElems)
		b.kernels.gelu(to[lo:hi], from[lo:hi])
		return nil
	})
}
