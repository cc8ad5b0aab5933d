package origin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

// A pass is one run of a network over some rows. The first failure is kept in
// err; after it operations return zeros, so that a network reads as in its
// program.
type pass struct {
	ctx     context.Context
	workers int
	show    trace.Func
	part    trace.Part
	layer   int
	err     error
}

// values is a matrix of activations [rows, width].
type values struct {
	data  []float32
	width int
}

func newValues(rows, width int) values { return values{make([]float32, rows*width), width} }

func (v values) rows() int           { return len(v.data) / v.width }
func (v values) row(i int) []float32 { return v.data[i*v.width : (i+1)*v.width] }

func (v values) widened() matrix {
	m := matrix{make([]float64, len(v.data)), v.rows(), v.width}
	widen(m.data, v.data)
	return m
}

func workers(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// trace shows x at op of the layer that p is in.
func (p *pass) trace(op trace.Op, x values) {
	if p.err == nil && p.show != nil {
		p.err = p.show(trace.Place{Part: p.part, Layer: p.layer, Op: op}, x.data, x.width)
	}
}

// parallel runs jobs 0 to n-1. Each worker calls begin once for its own function.
func (p *pass) parallel(n int, begin func() func(job int) error) {
	if p.err != nil {
		return
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(p.ctx)
	for range min(p.workers, n) {
		g.Go(func() error {
			job := begin()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := errors.Join(ctx.Err(), job(i)); err != nil {
					return err
				}
			}
		})
	}
	p.err = g.Wait()
}

// blockElems is how many elements of a parameter are decoded at a time: as
// float64 they leave room in a second-level cache.
const blockElems = 1 << 15

// linear returns x·wᵀ + b; b may be nil (torch.nn.functional.linear).
func (p *pass) linear(x values, w, b *parameter) values {
	y := newValues(x.rows(), w.rows)
	bias := p.vector(b)
	wide := x.widened()
	step := max(blockElems/w.width/tileW*tileW, tileW)
	p.parallel((w.rows+step-1)/step, func() func(int) error {
		raw := make([]byte, step*w.rowBytes)
		narrow := make([]float32, step*w.width)
		block := make([]float64, step*w.width)
		return func(job int) error {
			lo := job * step
			hi := min(lo+step, w.rows)
			if err := w.read(narrow, raw, lo, hi); err != nil {
				return err
			}
			n := (hi - lo) * w.width
			widen(block, narrow[:n])
			product(y.data[lo:], y.width, wide, matrix{block[:n], hi - lo, w.width})
			return nil
		}
	})
	if b != nil {
		p.eachRow(y, func(row []float32) {
			for i, v := range bias {
				row[i] += v
			}
		})
	}
	return y
}

// vector returns the elements of v, none if it is nil.
func (p *pass) vector(v *parameter) []float32 {
	if v == nil || p.err != nil {
		return nil
	}
	x, err := v.vector()
	p.err = err
	return x
}

// eachRow runs change over the rows of x.
func (p *pass) eachRow(x values, change func(row []float32)) {
	p.parallel(x.rows(), func() func(int) error {
		return func(i int) error {
			change(x.row(i))
			return nil
		}
	})
}

// embed returns the rows ids of w (torch.nn.Embedding).
func (p *pass) embed(w *parameter, ids []int32) values {
	y := newValues(len(ids), w.width)
	raw := make([]byte, w.rowBytes)
	for i, id := range ids {
		if p.err != nil {
			break
		}
		if id < 0 || int(id) >= w.rows {
			p.err = fmt.Errorf("token %d of a vocabulary of %d: %w", id, w.rows, tensor.ErrCorrupt)
			break
		}
		p.err = w.read(y.row(i), raw, int(id), int(id)+1)
	}
	return y
}

// addRows returns x + w[first:], row by row.
func (p *pass) addRows(x values, w *parameter, first int) values {
	y := newValues(x.rows(), x.width)
	if p.err == nil {
		p.err = w.read(y.data, make([]byte, x.rows()*w.rowBytes), first, first+x.rows())
	}
	return add(x, y)
}

// add returns x + y.
func add(x, y values) values {
	z := newValues(x.rows(), x.width)
	for i, v := range x.data {
		z.data[i] = v + y.data[i]
	}
	return z
}

// rmsNorm returns x/√(mean x²+eps)·w of each row (LlamaRMSNorm; RMSNorm of
// Meta's llama).
func (p *pass) rmsNorm(x values, w *parameter, eps float64) values {
	weight := p.vector(w)
	y := values{append([]float32(nil), x.data...), x.width}
	p.eachRow(y, func(row []float32) {
		var sum float64
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		scale := 1 / math.Sqrt(sum/float64(len(row))+eps)
		for i, v := range row {
			row[i] = float32(float64(v)*scale) * weight[i]
		}
	})
	return y
}

// layerNormEps is torch.nn.LayerNorm's default.
const layerNormEps = 1e-5

// layerNorm returns (x-mean)/√(variance+eps)·w+b of each row (torch.nn.LayerNorm).
func (p *pass) layerNorm(x values, n norm) values {
	weight, bias := p.vector(n.weight), p.vector(n.bias)
	y := values{append([]float32(nil), x.data...), x.width}
	p.eachRow(y, func(row []float32) {
		var sum, squares float64
		for _, v := range row {
			sum += float64(v)
		}
		mean := sum / float64(len(row))
		for _, v := range row {
			squares += (float64(v) - mean) * (float64(v) - mean)
		}
		scale := 1 / math.Sqrt(squares/float64(len(row))+layerNormEps)
		for i, v := range row {
			row[i] = float32((float64(v)-mean)*scale*float64(weight[i]) + float64(bias[i]))
		}
	})
	return y
}

// A norm is the parameters of a LayerNorm.
type norm struct{ weight, bias *parameter }

// gelu returns x·Φ(x) (torch.nn.GELU).
func (p *pass) gelu(x values) values {
	y := values{append([]float32(nil), x.data...), x.width}
	p.eachRow(y, func(row []float32) {
		for i, v := range row {
			row[i] = float32(float64(v) * (1 + math.Erf(float64(v)/math.Sqrt2)) / 2)
		}
	})
	return y
}

// gated returns SiLU(gate)·up.
func (p *pass) gated(gate, up values) values {
	y := newValues(gate.rows(), gate.width)
	p.parallel(gate.rows(), func() func(int) error {
		return func(r int) error {
			g, u, out := gate.row(r), up.row(r), y.row(r)
			for i, v := range g {
				out[i] = float32(float64(v)/(1+math.Exp(-float64(v)))) * u[i]
			}
			return nil
		}
	})
	return y
}
