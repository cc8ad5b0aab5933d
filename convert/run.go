package convert

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// RunOptions say how a plan is carried out. The zero value uses every processor
// and never replaces a file.
type RunOptions struct {
	Workers       int  // 0: one per processor
	Replace       bool // an existing destination
	AllowOverflow bool // values that the stored type cannot hold become infinite
	// AllowNonFinite: infinities and NaNs of a source that is quantized stay in
	// tensors whose type can hold them. Blocks cannot.
	AllowNonFinite bool
	// Inspect is shown each model as it was written, before any of the files
	// appears. It may read the tensors until it returns; its error keeps all files
	// from appearing. It may be nil.
	Inspect func(*Plan, *tensor.Model) error
	Store   StoreOptions // of destinations that are names in an Ollama store
	// Progress is called with the bytes of output that are done, from several
	// goroutines at once. It may be nil.
	Progress func(done int64)
}

// An Overflow counts the values of one tensor that do not fit its stored type.
type Overflow struct {
	Tensor string       `json:"tensor"`
	DType  tensor.DType `json:"-"`
	Count  int64        `json:"count"`
	First  int64        `json:"first"` // index of the first, row-major
	Value  float64      `json:"value"` // of the first
}

// An OverflowError lists every tensor with values that its stored type cannot hold.
type OverflowError struct{ Tensors []Overflow }

// Error names each tensor with its count and first value.
func (e *OverflowError) Error() string {
	var b strings.Builder
	for i, o := range e.Tensors {
		if i == 8 {
			fmt.Fprintf(&b, "\n  and %d more tensors", len(e.Tensors)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %d values, the first is %g at element %d", o.Tensor, o.Count, o.Value, o.First)
	}
	return fmt.Sprintf("%d tensors hold finite values that %v cannot hold; use --type bf16 or f32, or --allow-overflow to store infinity:%s",
		len(e.Tensors), e.Tensors[0].DType, b.String())
}

// A Result says what was written.
type Result struct {
	Path      string      // of the first file; Plan.Paths has all
	Size      int64       // of all
	Also      []string    // further files that were written beside it
	Overflows []Overflow  // only with AllowOverflow
	NonFinite []NonFinite // only with AllowNonFinite
	Losses    []Loss      // of each tensor that was quantized, in the order of the plan
	// Stored says how a model of a store was put there; nil if it is none.
	Stored *ollama.Added
	Notes  []string // about the result, beside those of the plan
}

// chunkElems is the unit of work in elements. A worker holds three buffers of
// that many elements, about 2.5 MB for F32 to F16.
const chunkElems = 1 << 18

// chunkCopy is the unit of a copy in bytes.
const chunkCopy = 16 << 20

// An item is a range of elements of one step, whole blocks.
type item struct {
	step   int
	lo, hi int64
}

// items cuts the plan into units of work. They depend on the plan alone.
func (p *Plan) items() []item {
	var out []item
	for i, s := range p.Steps {
		n, _ := s.To.Shape.Elems() // New has checked it
		within, unit := n, int64(chunkElems)
		switch {
		case s.importance != nil: // rows of one matrix
			row := int64(s.To.Shape.Row())
			within, unit = s.matrix(), max(chunkElems/row, 1)*row
		case s.To.DType == s.From.DType && !p.measures(&s):
			l, _ := s.To.DType.Layout()
			unit = int64(chunkCopy / l.Bytes * l.Elems)
		}
		for start := int64(0); start < n; start += within {
			for lo := start; lo < start+within; lo += unit {
				out = append(out, item{i, lo, min(lo+unit, start+within)})
			}
		}
	}
	return out
}

// A run is one execution of a plan.
type run struct {
	plan     *Plan
	out      output
	sinks    []*sink       // of the parts
	progress func(n int64) // bytes more that are done
	items    []item
	measures []quantize.Measure // of each item; nil if the plan does not quantize

	mu        sync.Mutex
	overflows map[int]Overflow // by step
}

// check parses what was written and compares it with the plan.
func (r *run) check() error {
	var errs []error
	for i, s := range r.sinks {
		f, err := s.reader()
		if err != nil {
			return &tensor.Error{Op: "check", File: s.dst, Err: err}
		}
		part := &r.plan.Parts[i]
		errs = append(errs, r.plan.Target.check(r.plan, part, f, part.Place.Size), f.Release())
	}
	return errors.Join(errs...)
}

// complete adds to a result what the run found out.
func (r *run) complete(result *Result) {
	if result.Size == 0 {
		result.Size = r.plan.Size()
	}
	result.Overflows, result.NonFinite, result.Losses = r.found(), r.nonFinite(), r.losses()
}

// found lists the overflows in the order of the plan.
func (r *run) found() []Overflow {
	var out []Overflow
	for i := range r.plan.Steps {
		if o, ok := r.overflows[i]; ok {
			out = append(out, o)
		}
	}
	return out
}

// A worker holds the buffers of one goroutine.
type worker struct {
	run      *run
	held     held // what src holds
	src, dst []byte
	scratch  []float32
	quantize quantize.Scratch
}

// bytes returns where the elements of an item are in a tensor of type d.
func (it item) bytes(d tensor.DType) (off, n int64) {
	l, _ := d.Layout()
	return it.lo / int64(l.Elems) * int64(l.Bytes), (it.hi - it.lo) / int64(l.Elems) * int64(l.Bytes)
}

// sinkOf returns the file that a step's tensor goes into.
func (r *run) sinkOf(s *Step) *sink { return r.sinks[s.Part] }

// readAhead tells the kernel what is needed next.
func (r *run) readAhead(it item) {
	from := r.plan.Steps[it.step].From
	off, n := it.bytes(from.DType)
	if f, at, ok := fileRange(from.Data, off); ok {
		willNeed(f, at, n)
	}
}

// do writes unit i of the work.
func (w *worker) do(i int) error {
	it := w.run.items[i]
	s := &w.run.plan.Steps[it.step]
	srcOff, srcLen := it.bytes(s.From.DType)
	dstOff, dstLen := it.bytes(s.To.DType)
	dstOff += s.Offset
	defer func() {
		startWriting(w.run.sinkOf(s).f.File, dstOff, dstLen)
		w.run.progress(dstLen)
	}()
	if w.run.plan.measures(s) {
		return w.pack(i, srcOff, srcLen, dstOff, dstLen)
	}
	if s.From.DType == s.To.DType {
		return w.copy(s, srcOff, dstOff, srcLen)
	}
	transcode, err := quantize.NewTranscoder(s.To.DType, s.From.DType)
	if err != nil {
		return err
	}
	w.src, w.dst = grow(w.src, srcLen), grow(w.dst, dstLen)
	if len(w.scratch) < chunkElems {
		w.scratch = make([]float32, chunkElems)
	}
	if err := w.read(s.From, srcOff); err != nil {
		return err
	}
	if n := transcode(w.dst, w.src, w.scratch); n > 0 {
		w.run.overflow(it, w.src, n)
	}
	return w.run.sinkOf(s).write(w.dst, dstOff)
}

// grow returns a buffer of n bytes, b if it is large enough.
func grow(b []byte, n int64) []byte {
	if int64(cap(b)) >= n {
		return b[:n]
	}
	return make([]byte, n)
}

// copyBuffer is how much a copy holds: little enough to stay in a core's cache.
const copyBuffer = 256 << 10

// copy moves n bytes without looking at them. A range of a file is read past
// its map, whose page faults would cost more than the copy.
func (w *worker) copy(s *Step, srcOff, dstOff, n int64) error {
	out := w.run.sinkOf(s)
	f, at, isFile := fileRange(s.From.Data, srcOff)
	if isFile && shareBlocks(out.f.File, dstOff, f, at, n) {
		return nil
	}
	w.held = held{}
	for n > 0 {
		w.src = grow(w.src, min(n, copyBuffer))
		if err := w.readPart(s.From, srcOff, f, at); err != nil {
			return err
		}
		if err := out.write(w.src, dstOff); err != nil {
			return err
		}
		k := int64(len(w.src))
		srcOff, dstOff, at, n = srcOff+k, dstOff+k, at+k, n-k
	}
	return nil
}

// readPart fills src from byte off of a tensor, which is byte at of f if that
// is not nil.
func (w *worker) readPart(from *tensor.Tensor, off int64, f *os.File, at int64) error {
	if f != nil {
		if _, err := f.ReadAt(w.src, at); err == nil {
			return nil
		}
	}
	return from.ReadFull(w.src, off) // an error of the file is told as the tensor's
}

// fileRange finds the file under sections of sections, and the place of off in it.
func fileRange(r io.ReaderAt, off int64) (f *os.File, at int64, ok bool) {
	for {
		section, is := r.(*io.SectionReader)
		if !is {
			break
		}
		outer, start, _ := section.Outer()
		r, off = outer, off+start
	}
	if file, is := r.(interface{ OS() *os.File }); is && file.OS() != nil {
		return file.OS(), off, true
	}
	return nil, 0, false
}

// overflow records the values of one item that did not fit.
func (r *run) overflow(it item, src []byte, n int) {
	s := &r.plan.Steps[it.step]
	first, value := firstLost(src, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	o, seen := r.overflows[it.step]
	o.Tensor, o.DType, o.Count = s.To.Name, s.To.DType, o.Count+int64(n)
	if !seen || it.lo+first < o.First {
		o.First, o.Value = it.lo+first, value
	}
	r.overflows[it.step] = o
}

// firstLost returns the index and value of the first element of src that does
// not fit the step's stored type; of a block, its largest.
func firstLost(src []byte, s *Step) (index int64, value float64) {
	q, err := quantize.NewQuantizer(s.To.DType, s.From.DType)
	if err != nil {
		return 0, math.NaN()
	}
	from, _ := s.From.DType.Layout()
	to, _ := s.To.DType.Layout()
	unit := max(from.Elems, to.Elems) // one is a multiple of the other
	srcLen := unit / from.Elems * from.Bytes
	out, scratch := make([]byte, unit/to.Elems*to.Bytes), &quantize.Scratch{}
	lost := src
	for i := 0; i < len(src); i += srcLen {
		if q.Quantize(out, src[i:i+srcLen], nil, scratch).Overflows > 0 {
			index, lost = int64(i/srcLen*unit), src[i:i+srcLen]
			break
		}
	}
	at, value := largest(lost, s.From.DType)
	return index + at, value
}

// largest returns the finite element of the greatest magnitude.
func largest(b []byte, d tensor.DType) (index int64, value float64) {
	l, _ := d.Layout()
	if l.Elems == 1 {
		for i := range len(b) / l.Bytes {
			v := quantize.Number(d, b[i*l.Bytes:(i+1)*l.Bytes])
			if !math.IsInf(v, 0) && math.Abs(v) > math.Abs(value) {
				index, value = int64(i), v
			}
		}
		return index, value
	}
	c, err := quantize.CodecOf(d)
	if err != nil {
		return 0, math.NaN()
	}
	x := make([]float32, len(b)/l.Bytes*l.Elems)
	c.Decode(x, b)
	for i, v := range x {
		if v-v == 0 && math.Abs(float64(v)) > math.Abs(value) {
			index, value = int64(i), float64(v)
		}
	}
	return index, value
}

// String lists the steps, one a line, for a person who wants to know what will
// happen.
func (p *Plan) String() string {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%s → %s %v %v → %v at %d: %s\n", s.Source, s.To.Name, s.To.Shape, s.From.DType, s.To.DType, s.Offset, s.Reason())
	}
	for _, d := range p.Dropped {
		fmt.Fprintf(&b, "%s dropped: %s\n", d.Name, d.Why)
	}
	return b.String()
}
