package verify

import (
	"bytes"
	"context"
	"math"
	"math/bits"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// unitElems is what a goroutine takes at a time, pieceElems what it works on: two
// pieces of float32 and what they were decoded from stay in a core's cache.
const (
	unitElems  = 1 << 20
	pieceElems = 1 << 14
)

// blockElems is the unit of local errors: no block of ggml's types is longer.
const blockElems = 256

// A comparison is what is known about one tensor of the result and the tensor of
// the original that it should hold.
type comparison struct {
	want, got *tensor.Tensor
	// via is a type that the original was rounded to before it was quantized; its
	// own if it was not.
	via tensor.DType
	// weighed: the type was chosen with an importance that is not known here.
	weighed bool
	// other: another quantizer chose the blocks.
	other bool
	// numbers: both sides can be decoded.
	numbers    bool
	importance []float32
	errorSums
}

// errorSums are sums over the elements of a tensor: x of the original, y of the
// result, z of what the same conversion makes of the original here.
type errorSums struct {
	elems      int64
	xx, xy, yy float64 // Σx², Σxy, Σy²
	ee         float64 // Σ(x−y)²
	zz         float64 // Σ(x−z)²
	maxE, maxZ float64 // max |x−y|, max |x−z|
	worst      float64 // greatest error of a block in units of the type's own; see blockRatio
	worstAt    int64   // first element of that block
	blocks     int64   // of pieces that were compared byte for byte
	difBlocks  int64   // those that differ
	difBytes   int64
	difBits    int64
	first      int64 // byte of the tensor where the first difference is, -1 if none
	last       int64 // and of the last
}

func (s *errorSums) add(o errorSums) {
	s.elems += o.elems
	s.xx, s.xy, s.yy, s.ee, s.zz = s.xx+o.xx, s.xy+o.xy, s.yy+o.yy, s.ee+o.ee, s.zz+o.zz
	s.maxE, s.maxZ = math.Max(s.maxE, o.maxE), math.Max(s.maxZ, o.maxZ)
	if o.worst > s.worst {
		s.worst, s.worstAt = o.worst, o.worstAt
	}
	s.blocks, s.difBlocks, s.difBytes, s.difBits = s.blocks+o.blocks, s.difBlocks+o.difBlocks, s.difBytes+o.difBytes, s.difBits+o.difBits
	if o.first >= 0 {
		if s.first < 0 {
			s.first = o.first
		}
		s.last = o.last
	}
}

// relative is ‖x−y‖₂/‖x‖₂; of two zeros 0.
func (s *errorSums) relative() float64 { return ratio(s.ee, s.xx) }

// own is ‖x−z‖₂/‖x‖₂, the error of the type on this very data.
func (s *errorSums) own() float64 { return ratio(s.zz, s.xx) }

func ratio(ee, xx float64) float64 {
	if ee == 0 {
		return 0
	}
	return math.Sqrt(ee / xx)
}

// cosine of the angle between the sides; 1 if both are zero.
func (s *errorSums) cosine() float64 {
	if s.xx == 0 && s.yy == 0 {
		return 1
	}
	return s.xy / math.Sqrt(s.xx*s.yy)
}

// exact reports whether the bytes are those that the conversion makes.
func (c *comparison) exact() bool { return c.difBytes == 0 }

// ok reports whether every limit is kept.
func (c *comparison) ok() bool {
	for _, f := range c.findings() {
		if !f.OK {
			return false
		}
	}
	return true
}

// newComparison prepares the comparison of got with want, which have the same
// number of elements.
func (v *verifier) newComparison(want, got *tensor.Tensor) (*comparison, error) {
	c := &comparison{want: want, got: got, via: want.DType, errorSums: errorSums{first: -1}}
	_, errWant := quantize.CodecOf(want.DType)
	_, errGot := quantize.CodecOf(got.DType)
	c.numbers = errWant == nil && errGot == nil
	if !c.numbers || want.DType == got.DType {
		return c, nil
	}
	if l, _ := got.DType.Layout(); l.Kind != tensor.Block {
		return c, nil
	}
	if v.Importance != nil {
		columns, _, err := v.Importance.Columns(got.Info)
		if err != nil {
			return nil, err
		}
		c.importance = columns
	} else {
		c.weighed = v.usedImportance() && weighedLimits[got.DType].Tensor > 1
	}
	return c, c.findVia()
}

// usedImportance reports whether the result says that it was quantized with an
// importance matrix. (llama.cpp tools/quantize/quantize.cpp@3f545becc)
func (v *verifier) usedImportance() bool {
	_, ok := v.Result.Model.Meta.Get("quantize.imatrix.file")
	return ok
}

// viaTypes are what originals are rounded to before they are quantized, where
// that takes two programs: a converter to 16 bits and a quantizer.
var viaTypes = []tensor.DType{tensor.F16, tensor.BF16, tensor.F32}

// findVia sets via by trying a few pieces.
func (c *comparison) findVia() error {
	if c.weighed {
		return nil
	}
	n, _ := c.want.Shape.Elems() // New has checked it
	unit := c.piece()
	for _, at := range []int64{0, n / 2 / unit * unit, (n - 1) / unit * unit} {
		for _, via := range append([]tensor.DType{c.want.DType}, viaTypes...) {
			c.via = via
			var w pieceWork
			if err := w.piece(c, at, min(at+unit, n)); err != nil {
				return err
			}
			if w.sums.difBytes == 0 {
				return nil
			}
		}
	}
	c.via = c.want.DType
	return nil
}

// piece is how many elements are worked on at a time: whole rows, or a part of a
// long one in whole blocks.
func (c *comparison) piece() int64 {
	row := int64(c.want.Shape.Row())
	if c.importance == nil && row > pieceElems {
		return pieceElems
	}
	return max(pieceElems/max(row, 1), 1) * max(row, 1)
}

// columns returns the importance of the columns of the matrix that element lo is
// in, nil if there is none.
func (c *comparison) columns(lo int64) []float32 {
	if c.importance == nil {
		return nil
	}
	row := int64(c.want.Shape.Row())
	matrix := row
	if n := len(c.want.Shape); n > 1 {
		matrix *= int64(c.want.Shape[n-2])
	}
	at := lo / matrix * row % int64(len(c.importance))
	return c.importance[at : at+row]
}

// compare compares two tensors of as many elements in one goroutine.
func (v *verifier) compare(ctx context.Context, want, got *tensor.Tensor) (*comparison, error) {
	c, err := v.newComparison(want, got)
	if err != nil {
		return nil, err
	}
	n, _ := want.Shape.Elems() // New has checked it
	sums, err := (&pieceWork{}).unit(ctx, c, 0, n)
	c.errorSums.add(sums)
	return c, err
}

// A part is a range of elements of a comparison.
type part struct {
	c      *comparison
	lo, hi int64
	sums   errorSums
	done   bool
}

// compareAll fills comparisons, in parallel and in pieces that depend on them
// alone, and returns those that were finished before the time was up.
func (v *verifier) compareAll(ctx context.Context, all []*comparison) (finished []*comparison, err error) {
	var parts []part
	var total int64
	var done, next atomic.Int64
	for _, c := range all {
		n, _ := c.want.Shape.Elems() // New has checked it
		unit := max(unitElems/c.piece(), 1) * c.piece()
		for lo := int64(0); lo < n; lo += unit {
			parts = append(parts, part{c: c, lo: lo, hi: min(lo+unit, n)})
		}
		total += n
	}
	g, ctx := errgroup.WithContext(ctx)
	for range v.Workers {
		g.Go(func() error {
			var w pieceWork
			for i := next.Add(1) - 1; i < int64(len(parts)) && !v.expired(); i = next.Add(1) - 1 {
				p := &parts[i]
				var err error
				if p.sums, err = w.unit(ctx, p.c, p.lo, p.hi); err != nil {
					return err
				}
				p.done = true
				v.progress(done.Add(p.hi-p.lo), total)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	open := map[*comparison]bool{}
	for i := range parts {
		p := &parts[i]
		open[p.c] = open[p.c] || !p.done
		p.c.errorSums.add(p.sums)
	}
	for _, c := range all {
		if !open[c] {
			finished = append(finished, c)
		}
	}
	return finished, nil
}

func (v *verifier) progress(done, total int64) {
	if v.Progress != nil {
		v.Progress(v.check.Name, done, total)
	}
}

// A pieceWork is the memory of one goroutine that compares.
type pieceWork struct {
	want, got, made []byte
	x, y, z         []float32
	scratch         []float32
	sums            errorSums
}

// unit compares elements lo to hi.
func (w *pieceWork) unit(ctx context.Context, c *comparison, lo, hi int64) (errorSums, error) {
	total := errorSums{first: -1}
	for at := lo; at < hi; at += c.piece() {
		if err := ctx.Err(); err != nil {
			return total, context.Cause(ctx)
		}
		if err := w.piece(c, at, min(at+c.piece(), hi)); err != nil {
			return total, err
		}
		total.add(w.sums)
	}
	return total, nil
}

// span returns where elements lo to hi of a type are, in bytes.
func span(d tensor.DType, lo, hi int64) (off, n int64) {
	l, _ := d.Layout()
	return lo / int64(l.Elems) * int64(l.Bytes), (hi - lo) / int64(l.Elems) * int64(l.Bytes)
}

// piece compares elements lo to hi, whole blocks of both types.
func (w *pieceWork) piece(c *comparison, lo, hi int64) error {
	w.sums = errorSums{elems: hi - lo, first: -1}
	wantAt, wantN := span(c.want.DType, lo, hi)
	gotAt, gotN := span(c.got.DType, lo, hi)
	w.want, w.got = sized(w.want, int(wantN)), sized(w.got, int(gotN))
	if err := c.want.ReadFull(w.want, wantAt); err != nil {
		return err
	}
	if err := c.got.ReadFull(w.got, gotAt); err != nil {
		return err
	}
	made, err := w.convert(c, lo, hi)
	if err != nil {
		return err
	}
	l, _ := c.got.DType.Layout()
	w.sums.blocks = gotN / int64(l.Bytes)
	same := bytes.Equal(made, w.got)
	if !same {
		w.differ(made, gotAt, l.Bytes)
	}
	if !c.numbers || same && c.want.DType == c.got.DType {
		return nil
	}
	return w.measure(c, made, same, lo, hi)
}

// convert makes of the original's bytes what the result should have.
func (w *pieceWork) convert(c *comparison, lo, hi int64) ([]byte, error) {
	if c.want.DType == c.got.DType {
		return w.want, nil
	}
	w.made, w.scratch = sized(w.made, len(w.got)), sized(w.scratch, int(hi-lo))
	from, src := c.want.DType, w.want
	if c.via != c.want.DType {
		_, n := span(c.via, lo, hi)
		rounded := make([]byte, n)
		t, err := quantize.NewTranscoder(c.via, from)
		if err != nil {
			return nil, err
		}
		t(rounded, src, w.scratch)
		from, src = c.via, rounded
	}
	if l, _ := c.got.DType.Layout(); l.Kind != tensor.Block {
		t, err := quantize.NewTranscoder(c.got.DType, from)
		if err != nil {
			return nil, err
		}
		t(w.made, src, w.scratch)
		return w.made, nil
	}
	to, err := quantize.CodecOf(c.got.DType)
	if err != nil {
		return nil, err
	}
	back, err := quantize.CodecOf(from)
	if err != nil {
		return nil, err
	}
	back.Decode(w.scratch, src)
	to.Encode(w.made, w.scratch, c.columns(lo))
	return w.made, nil
}

// differ notes where bytes differ from what was made.
func (w *pieceWork) differ(made []byte, at int64, block int) {
	last := -1
	for i, b := range w.got {
		if b == made[i] {
			continue
		}
		if w.sums.first < 0 {
			w.sums.first = at + int64(i)
		}
		w.sums.last = at + int64(i)
		w.sums.difBytes++
		w.sums.difBits += int64(bits.OnesCount8(b ^ made[i]))
		if i/block != last {
			last = i / block
			w.sums.difBlocks++
		}
	}
}

// measure adds up the errors of a piece.
func (w *pieceWork) measure(c *comparison, made []byte, same bool, lo, hi int64) error {
	n := int(hi - lo)
	from, err := quantize.CodecOf(c.want.DType)
	if err != nil {
		return err
	}
	to, err := quantize.CodecOf(c.got.DType)
	if err != nil {
		return err
	}
	w.x, w.y = sized(w.x, n), sized(w.y, n)
	from.Decode(w.x, w.want)
	to.Decode(w.y, w.got)
	s := &w.sums
	if same {
		s.sum(w.x, w.y)
		s.zz, s.maxZ = s.ee, s.maxE
		return nil
	}
	w.z = sized(w.z, n)
	to.Decode(w.z, made)
	var own errorSums
	for i := 0; i < n; i += blockElems {
		end := min(i+blockElems, n)
		var b, o errorSums
		b.sum(w.x[i:end], w.y[i:end])
		o.sum(w.x[i:end], w.z[i:end])
		if r := blockRatio(&b, &o); r > s.worst {
			s.worst, s.worstAt = r, lo+int64(i)
		}
		own.add(o)
		s.xx, s.xy, s.yy, s.ee, s.maxE = s.xx+b.xx, s.xy+b.xy, s.yy+b.yy, s.ee+b.ee, math.Max(s.maxE, b.maxE)
	}
	s.zz, s.maxZ = own.ee, own.maxE
	return nil
}

// blockRatio is the error of a block in units of the type's own error there. A
// block that the type holds exactly, or nearly, counts as one that it holds to
// one part in 2¹²: no type of blocks promises more.
func blockRatio(b, own *errorSums) float64 {
	const floor = 0x1p-24 // (2⁻¹²)²
	if b.ee == 0 {
		return 0
	}
	return math.Sqrt(b.ee / (own.ee + floor*b.xx))
}

// sum adds the elements of x and y, which are as many. Elements that are not
// finite and equal on both sides do not count; others make the error infinite.
func (s *errorSums) sum(x, y []float32) {
	f := sumFinite(x, y)
	if f.ee-f.ee != 0 || f.xx-f.xx != 0 {
		f = sumAny(x, y)
	}
	s.xx, s.xy, s.yy, s.ee, s.maxE = s.xx+f.xx, s.xy+f.xy, s.yy+f.yy, s.ee+f.ee, math.Max(s.maxE, f.maxE)
}

// sumFinite is sum for finite elements: Σx², Σxe and Σe² of e = x−y give the
// others. Two chains of additions each, so that one does not wait for the other.
func sumFinite(x, y []float32) (s errorSums) {
	const sign = 1 << 63
	var xx0, xx1, xe0, xe1, ee0, ee1 float64
	var top uint64 // bits of a magnitude, which order like it
	y = y[:len(x)]
	for len(x) >= 2 && len(y) >= 2 {
		p, q := float64(x[0]), float64(x[1])
		d, e := p-float64(y[0]), q-float64(y[1])
		xx0 += p * p
		xx1 += q * q
		xe0 += p * d
		xe1 += q * e
		ee0 += d * d
		ee1 += e * e
		top = max(top, math.Float64bits(d)&^sign, math.Float64bits(e)&^sign)
		x, y = x[2:], y[2:]
	}
	for i, v := range x {
		p := float64(v)
		d := p - float64(y[i])
		xx0 += p * p
		xe0 += p * d
		ee0 += d * d
		top = max(top, math.Float64bits(d)&^sign)
	}
	xe := xe0 + xe1
	s.xx, s.ee, s.maxE = xx0+xx1, ee0+ee1, math.Float64frombits(top)
	s.xy, s.yy = s.xx-xe, s.xx-2*xe+s.ee
	return s
}

// sumAny is sum, whatever the elements are.
func sumAny(x, y []float32) (s errorSums) {
	for i, a := range x {
		p, q := float64(a), float64(y[i])
		switch d := p - q; {
		case d-d == 0:
			s.xx, s.xy, s.yy, s.ee, s.maxE = s.xx+p*p, s.xy+p*q, s.yy+q*q, s.ee+d*d, math.Max(s.maxE, math.Abs(d))
		case p == q || p != p && q != q: // the same on both sides
		default:
			s.ee, s.maxE = math.Inf(1), math.Inf(1)
		}
	}
	return s
}

func sized[T any](b []T, n int) []T {
	if cap(b) >= n {
		return b[:n]
	}
	return make([]T, n)
}
