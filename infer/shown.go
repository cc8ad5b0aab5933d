package infer

import "github.com/smelt-project/smelt/infer/trace"

// shown shows what is computed to a trace.Func, if there is one, and keeps the
// first failure.
type shown struct {
	backend Backend
	see     trace.Func
	part    trace.Part
	layer   int
	values  []float32
	err     error
}

// show shows n rows at the start of x.
func (s *shown) show(op trace.Op, x Buffer, n, width int) {
	if s.see == nil || s.err != nil {
		return
	}
	s.values = sized(s.values, n*width)
	if s.fail(s.backend.Read(s.values, x, 0)); s.err == nil {
		s.fail(s.see(trace.Place{Part: s.part, Layer: s.layer, Op: op}, s.values, width))
	}
}

func (s *shown) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// sized returns n elements of x, or of new memory where x is smaller.
func sized(x []float32, n int) []float32 {
	if cap(x) < n {
		return make([]float32, n)
	}
	return x[:n]
}
