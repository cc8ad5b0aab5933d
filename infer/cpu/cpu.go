// Package cpu is the backend that computes with the processor. Weights stay in
// their files in the type that they are stored in; a few rows at a time are read
// and decoded where they are needed, so that the memory of a model is that of its
// activations.
//
// The results have the same bits for any number of workers: what a worker
// computes is a tile whose shape and whose order of additions depend on nothing
// but the shapes of the matrices. They differ between vector paths
// (quantize.VectorPath), whose additions are in another order, and between one
// row and many, which different kernels multiply. By how much at most is what
// package backendtest derives and tests.
package cpu

import (
	"fmt"
	"runtime"

	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A Backend implements infer.Backend.
type Backend struct {
	kernels   *kernels
	scratch   []*scratch // one a worker
	rotations map[*infer.Rotation]*turns
	err       error // the first failure
}

var _ infer.Backend = (*Backend)(nil)

// Options are those of a Backend. The zero value uses all processors.
type Options struct {
	Workers int // that compute at the same time; 0 is as many as there are processors
}

// New returns a backend with the kernels of quantize.VectorPath.
func New(opt Options) (*Backend, error) {
	path, err := quantize.VectorPath()
	if err != nil {
		return nil, err
	}
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	b := &Backend{kernels: kernelsOf(path), rotations: make(map[*infer.Rotation]*turns)}
	for range opt.Workers {
		b.scratch = append(b.scratch, new(scratch))
	}
	return b, nil
}

// Name returns "cpu" and the kernels in use.
func (b *Backend) Name() string { return "cpu (" + b.kernels.name + ")" }

// Close releases nothing: the files of the weights are not the backend's.
func (b *Backend) Close() error { return nil }

// A buffer is an infer.Buffer in memory.
type buffer []float32

// Len returns the number of elements.
func (x *buffer) Len() int { return len(*x) }

// Alloc returns a buffer of n zeros.
func (b *Backend) Alloc(n int) infer.Buffer {
	x := make(buffer, n)
	return &x
}

// Free lets go of the memory of x.
func (b *Backend) Free(x infer.Buffer) {
	if x, ok := x.(*buffer); ok {
		*x = nil
	}
}

// fail keeps the first failure.
func (b *Backend) fail(op string, err error) {
	if b.err == nil && err != nil {
		b.err = fmt.Errorf("infer: %s: %w", op, err)
	}
}

// A use is an operation that is being checked: whether its buffers and weights
// are this backend's and large enough.
type use struct {
	b  *Backend
	op string
	ok bool
}

func (b *Backend) use(op string) *use { return &use{b, op, b.err == nil} }

func (u *use) failf(format string, args ...any) {
	u.ok = false
	u.b.fail(u.op, fmt.Errorf(format, args...))
}

// check fails unless what holds.
func (u *use) check(holds bool, format string, args ...any) {
	if u.ok && !holds {
		u.failf(format, args...)
	}
}

// elems returns n elements of x from at.
func (u *use) elems(x infer.Buffer, at, n int) []float32 {
	if !u.ok {
		return nil
	}
	v, ok := x.(*buffer)
	switch {
	case !ok:
		u.failf("a buffer of another backend: %T", x)
	case at < 0 || n < 0 || at > len(*v) || n > len(*v)-at:
		u.failf("%d elements from %d of a buffer of %d", n, at, len(*v))
	default:
		return (*v)[at : at+n]
	}
	return nil
}

// rows returns n rows of width elements at the start of x.
func (u *use) rows(x infer.Buffer, n, width int) []float32 {
	u.check(n >= 0 && width > 0 && n <= maxElems/width, "%d rows of %d elements", n, width)
	return u.elems(x, 0, n*width)
}

// maxElems is far above any buffer; products of two numbers below it do not overflow.
const maxElems = 1 << 40

// matrix returns w as a matrix.
func (u *use) matrix(w infer.Weight) *weight {
	v, ok := w.(*weight)
	u.check(ok, "a weight of another backend: %T", w)
	if !u.ok {
		return &weight{}
	}
	return v
}

// vector returns the n elements of w, nil if w is.
func (u *use) vector(w infer.Weight, n int) []float32 {
	if w == nil || !u.ok {
		return nil
	}
	v := u.matrix(w)
	if u.ok && len(v.vector) != n {
		u.b.fail(u.op, &tensor.Error{Op: "weight", File: v.t.Origin.File, Tensor: v.t.Name,
			Err: fmt.Errorf("shape %v, want %d elements: %w", v.t.Shape, n, tensor.ErrCorrupt)})
		u.ok = false
	}
	return v.vector
}

// Write copies src to dst from element at.
func (b *Backend) Write(dst infer.Buffer, at int, src []float32) {
	u := b.use("write")
	copy(u.elems(dst, at, len(src)), src)
}

// Copy copies n elements.
func (b *Backend) Copy(dst infer.Buffer, at int, src infer.Buffer, from, n int) {
	u := b.use("copy")
	x, y := u.elems(src, from, n), u.elems(dst, at, n)
	if u.ok {
		copy(y, x)
	}
}

// Read copies elements of src to dst, or returns the first failure since New.
func (b *Backend) Read(dst []float32, src infer.Buffer, from int) error {
	u := b.use("read")
	copy(dst, u.elems(src, from, len(dst)))
	return b.err
}
