package tensor

import (
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
)

// A gather is a ReaderAt made of n pieces of equal length, each somewhere in
// another ReaderAt.
type gather struct {
	piece int64 // bytes
	n     int64
	at    func(i int64) (io.ReaderAt, int64) // where piece i starts
}

// ReadAt reads runs of pieces that follow each other in one source at once.
func (g *gather) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	done := 0
	for done < len(p) && off < g.piece*g.n {
		i := off / g.piece
		r, start := g.at(i)
		start += off - i*g.piece
		want := int64(len(p) - done)
		run := (i+1)*g.piece - off
		for i++; run < want && i < g.n; i++ {
			if next, at := g.at(i); next != r || at != start+run {
				break
			}
			run += g.piece
		}
		run = min(run, want)
		n, err := r.ReadAt(p[done:done+int(run)], start)
		done += n
		off += int64(n)
		if int64(n) < run {
			return done, err
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// outer returns how many slices the first dimension has and the bytes of each.
func (t *Tensor) outer() (n int, bytes int64) {
	if len(t.Shape) == 0 {
		return 1, t.Size()
	}
	if t.Shape[0] == 0 {
		return 0, 0
	}
	return t.Shape[0], t.Size() / int64(t.Shape[0])
}

// view returns a tensor over data with t's type and origin.
func (t *Tensor) view(shape Shape, data io.ReaderAt, note string) (*Tensor, error) {
	o := t.Origin
	o.Offset, o.Note = -1, note
	return New(Info{Name: t.Name, DType: t.DType, Shape: shape}, data, o)
}

// Rows returns slices lo to hi of the first dimension of t.
func (t *Tensor) Rows(lo, hi int) (*Tensor, error) {
	n, size := t.outer()
	if len(t.Shape) == 0 || lo < 0 || lo > hi || hi > n {
		return nil, &Error{Op: "rows", Tensor: t.Name, Err: fmt.Errorf("rows %d to %d of shape %v: %w", lo, hi, t.Shape, ErrCorrupt)}
	}
	shape := append(Shape{hi - lo}, t.Shape[1:]...)
	if len(t.Shape) == 1 {
		l, _ := t.DType.Layout()
		if lo%l.Elems != 0 {
			return nil, &Error{Op: "rows", Tensor: t.Name, Err: fmt.Errorf("element %d is inside a block of %v: %w", lo, t.DType, ErrUnsupported)}
		}
		return t.view(shape, io.NewSectionReader(t.Data, int64(lo/l.Elems*l.Bytes), t.DTypeBytes(hi-lo)), t.Origin.Note)
	}
	return t.view(shape, io.NewSectionReader(t.Data, int64(lo)*size, int64(hi-lo)*size), t.Origin.Note)
}

// DTypeBytes returns the bytes of n consecutive elements of t's type, rounded
// down to whole blocks.
func (t *Tensor) DTypeBytes(n int) int64 {
	l, _ := t.DType.Layout()
	return int64(n/l.Elems) * int64(l.Bytes)
}

// Reshape returns t's elements under another shape of the same size.
func (t *Tensor) Reshape(shape Shape) (*Tensor, error) {
	want, _ := t.Shape.Elems()
	if got, err := shape.Elems(); err != nil || got != want {
		return nil, &Error{Op: "reshape", Tensor: t.Name, Err: fmt.Errorf("shape %v cannot become %v: %w", t.Shape, shape, ErrCorrupt)}
	}
	c := *t
	c.Shape = shape
	return New(c.Info, c.Data, c.Origin)
}

// PermuteRows returns t with slice i of the first dimension taken from slice
// from(i). from must be a permutation of [0, Shape[0]).
func (t *Tensor) PermuteRows(from func(i int) int) (*Tensor, error) {
	n, size := t.outer()
	if l, _ := t.DType.Layout(); len(t.Shape) == 1 && l.Elems != 1 {
		return nil, &Error{Op: "permute", Tensor: t.Name, Err: fmt.Errorf("elements of %v cannot move alone: %w", t.DType, ErrUnsupported)}
	}
	data := &gather{piece: max(size, 1), n: int64(n), at: func(i int64) (io.ReaderAt, int64) {
		return t.Data, int64(from(int(i))) * size
	}}
	if size == 0 {
		data.n = 0
	}
	return t.view(t.Shape, data, "rows permuted")
}

// Concat joins tensors of one type along axis; their other dimensions agree.
// The result is named as the first.
func Concat(axis int, parts ...*Tensor) (*Tensor, error) {
	if len(parts) == 0 {
		return nil, &Error{Op: "concat", Err: fmt.Errorf("no tensors: %w", ErrCorrupt)}
	}
	first := parts[0]
	if axis < 0 || axis >= len(first.Shape) {
		return nil, &Error{Op: "concat", Tensor: first.Name, Err: fmt.Errorf("axis %d of shape %v: %w", axis, first.Shape, ErrCorrupt)}
	}
	shape := slices.Clone(first.Shape)
	shape[axis] = 0
	var width int64               // bytes of one output piece: everything from axis inward
	starts := make([]int64, 0, 8) // of each part within the piece
	widths := make([]int64, 0, 8)
	outerN := int64(1)
	for _, d := range first.Shape[:axis] {
		outerN *= int64(d)
	}
	for _, p := range parts {
		if p.DType != first.DType || len(p.Shape) != len(shape) || !equalBut(p.Shape, first.Shape, axis) {
			return nil, &Error{Op: "concat", File: p.Origin.File, Tensor: p.Name, Err: fmt.Errorf("%v %v does not join %v %v along dimension %d: %w",
				p.DType, p.Shape, first.DType, first.Shape, axis, ErrCorrupt)}
		}
		shape[axis] += p.Shape[axis]
		w := p.Size() / max(outerN, 1)
		starts, widths = append(starts, width), append(widths, w)
		width += w
	}
	return first.view(shape, &joined{parts: parts, starts: starts, widths: widths, piece: width, n: outerN},
		fmt.Sprintf("%d parts joined along dimension %d", len(parts), axis))
}

func equalBut(a, b Shape, axis int) bool {
	for i := range a {
		if i != axis && a[i] != b[i] {
			return false
		}
	}
	return true
}

// A joined reads n pieces, each made of one range of every part in turn.
type joined struct {
	parts          []*Tensor
	starts, widths []int64 // of each part's range within a piece
	piece, n       int64
}

func (j *joined) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	done := 0
	for done < len(p) && off < j.piece*j.n {
		row, in := off/j.piece, off%j.piece
		k := sort.Search(len(j.starts), func(k int) bool { return j.starts[k] > in }) - 1
		for j.widths[k] == 0 {
			k--
		}
		at := in - j.starts[k]
		run := min(j.widths[k]-at, int64(len(p)-done))
		n, err := j.parts[k].Data.ReadAt(p[done:done+int(run)], row*j.widths[k]+at)
		done += n
		off += int64(n)
		if int64(n) < run {
			return done, err
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// Strided returns the tensor that PyTorch describes by a storage, sizes,
// strides and an offset; strides and offset count elements. storageBytes is the
// length of storage. Every element is proven to lie inside the storage, or
// Strided fails. origin.Offset is where the storage starts in its file, or -1.
// Elements that are contiguous are a section of storage, others are gathered
// when they are read.
func Strided(storage io.ReaderAt, storageBytes int64, info Info, strides []int64, offset int64, origin Origin) (*Tensor, error) {
	fail := func(err error) (*Tensor, error) {
		return nil, &Error{Op: "view", File: origin.File, Member: origin.Member, Tensor: info.Name, Err: err}
	}
	size, err := info.Size()
	if err != nil {
		return fail(err)
	}
	l, _ := info.DType.Layout()
	if len(strides) != len(info.Shape) {
		return fail(fmt.Errorf("shape %v has %d strides: %w", info.Shape, len(strides), ErrCorrupt))
	}
	if offset < 0 || storageBytes < 0 {
		return fail(fmt.Errorf("offset %d: %w", offset, ErrCorrupt))
	}
	last, err := lastElem(info.Shape, strides, offset)
	if err != nil {
		return fail(err)
	}
	if size == 0 {
		if o, overflow := mul(offset, int64(l.Bytes)); overflow || o > storageBytes {
			return fail(fmt.Errorf("offset %d is past the storage of %d bytes: %w", offset, storageBytes, ErrCorrupt))
		}
		origin.Offset = -1
		return New(info, io.NewSectionReader(storage, 0, 0), origin)
	}
	if held := storageBytes / int64(l.Bytes) * int64(l.Elems); last >= held {
		return fail(fmt.Errorf("shape %v strides %v offset %d reach element %d, storage holds %d: %w",
			info.Shape, strides, offset, last, held, ErrCorrupt))
	}
	dims := squash(info.Shape, strides)
	if len(dims) == 0 || len(dims) == 1 && dims[0].stride == 1 {
		if offset%int64(l.Elems) != 0 {
			return fail(fmt.Errorf("offset %d is inside a block of %v: %w", offset, info.DType, ErrUnsupported))
		}
		at := offset / int64(l.Elems) * int64(l.Bytes)
		if origin.Offset >= 0 {
			origin.Offset += at
		}
		return New(info, io.NewSectionReader(storage, at, size), origin)
	}
	if l.Elems != 1 {
		return fail(fmt.Errorf("strided view of packed %v: %w", info.DType, ErrUnsupported))
	}
	origin.Offset = -1
	es := int64(l.Bytes)
	if inner := dims[len(dims)-1]; inner.stride == 1 {
		outer := dims[:len(dims)-1]
		return New(info, &gather{piece: inner.n * es, n: size / (inner.n * es), at: func(i int64) (io.ReaderAt, int64) {
			return storage, (offset + place(outer, i)) * es
		}}, origin)
	}
	return New(info, &strided{r: storage, es: es, dims: dims, offset: offset, n: size / es}, origin)
}

// lastElem returns the highest element that a view touches, and proves that no
// product or sum on the way overflows.
func lastElem(shape Shape, strides []int64, offset int64) (int64, error) {
	last := offset
	for i, d := range shape {
		if strides[i] < 0 {
			return 0, fmt.Errorf("negative stride %d: %w", strides[i], ErrUnsupported)
		}
		if d == 0 {
			continue
		}
		reach, overflow := mul(int64(d-1), strides[i])
		if overflow || last > math.MaxInt64-reach {
			return 0, fmt.Errorf("shape %v strides %v overflow: %w", shape, strides, ErrCorrupt)
		}
		last += reach
	}
	return last, nil
}

func mul(a, b int64) (product int64, overflow bool) {
	if a != 0 && b > math.MaxInt64/a {
		return 0, true
	}
	return a * b, false
}

// A dim is one dimension of a view, in elements.
type dim struct{ n, stride int64 }

// squash drops dimensions of length 1 and joins neighbours that are contiguous
// with each other.
func squash(shape Shape, strides []int64) []dim {
	var dims []dim
	for i, n := range shape {
		if n == 1 {
			continue
		}
		d := dim{int64(n), strides[i]}
		if k := len(dims) - 1; k >= 0 && dims[k].stride == d.stride*d.n {
			dims[k] = dim{dims[k].n * d.n, d.stride}
			continue
		}
		dims = append(dims, d)
	}
	return dims
}

// place returns the source element of index i in row-major order over dims.
func place(dims []dim, i int64) int64 {
	var at int64
	for k := len(dims) - 1; k >= 0; k-- {
		at += i % dims[k].n * dims[k].stride
		i /= dims[k].n
	}
	return at
}

// scratchBytes bounds what a strided read holds besides the caller's buffer.
const scratchBytes = 1 << 18

// A strided is a view whose rows are not contiguous, such as a transpose.
type strided struct {
	r      io.ReaderAt
	es     int64 // bytes of an element
	dims   []dim
	offset int64
	n      int64 // elements
}

func (s *strided) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	size := s.n * s.es
	want := min(int64(len(p)), max(size-off, 0))
	lo, hi := off/s.es, (off+want+s.es-1)/s.es
	if lo*s.es == off && hi*s.es == off+want {
		if err := s.read(p[:want], s.dims, s.offset, lo, hi); err != nil {
			return 0, err
		}
	} else {
		whole := make([]byte, (hi-lo)*s.es)
		if err := s.read(whole, s.dims, s.offset, lo, hi); err != nil {
			return 0, err
		}
		copy(p[:want], whole[off-lo*s.es:])
	}
	if want < int64(len(p)) {
		return int(want), io.EOF
	}
	return int(want), nil
}

// read gathers elements lo to hi, counted in row-major order over dims from
// source element base, by cutting the range into boxes.
func (s *strided) read(dst []byte, dims []dim, base, lo, hi int64) error {
	if lo >= hi {
		return nil
	}
	inner := int64(1)
	for _, d := range dims[1:] {
		inner *= d.n
	}
	first, end := (lo+inner-1)/inner, hi/inner // whole indices of dims[0]
	if first > end || inner == 1 {
		first, end = lo/inner, (hi+inner-1)/inner
	}
	if first*inner < lo || end*inner > hi { // the range lies inside one index
		i := lo / inner
		return s.read(dst, dims[1:], base+i*dims[0].stride, lo-i*inner, hi-i*inner)
	}
	head, tail := first*inner, end*inner
	if lo < head {
		i := lo / inner
		if err := s.read(dst[:(head-lo)*s.es], dims[1:], base+i*dims[0].stride, lo-i*inner, inner); err != nil {
			return err
		}
	}
	if first < end {
		box := slices.Clone(dims)
		box[0].n = end - first
		if err := s.box(dst[(head-lo)*s.es:(tail-lo)*s.es], box, base+first*dims[0].stride); err != nil {
			return err
		}
	}
	if tail < hi {
		return s.read(dst[(tail-lo)*s.es:], dims[1:], base+end*dims[0].stride, 0, hi-tail)
	}
	return nil
}

// box gathers all elements of dims. It reads along the dimension of the
// smallest stride, so that a transpose is read in runs.
func (s *strided) box(dst []byte, dims []dim, base int64) error {
	run := 0
	for k, d := range dims {
		if d.stride != 0 && (dims[run].stride == 0 || d.stride < dims[run].stride) {
			run = k
		}
	}
	steps := make([]int64, len(dims)) // elements of dst between neighbours of each dimension
	step := int64(1)
	for k := len(dims) - 1; k >= 0; k-- {
		steps[k] = step
		step *= dims[k].n
	}
	others := slices.Delete(slices.Clone(dims), run, run+1)
	otherSteps := slices.Delete(slices.Clone(steps), run, run+1)
	count := int64(1)
	for _, d := range others {
		count *= d.n
	}
	perRead := max(1, scratchBytes/s.es/max(dims[run].stride, 1))
	scratch := make([]byte, (min(perRead, dims[run].n)-1)*dims[run].stride*s.es+s.es)
	for i := range count {
		src, to := base, int64(0)
		for k, rest := len(others)-1, i; k >= 0; k-- {
			at := rest % others[k].n
			src += at * others[k].stride
			to += at * otherSteps[k]
			rest /= others[k].n
		}
		for j := int64(0); j < dims[run].n; j += perRead {
			n := min(perRead, dims[run].n-j)
			b := scratch[:((n-1)*dims[run].stride+1)*s.es]
			if got, err := s.r.ReadAt(b, (src+j*dims[run].stride)*s.es); got < len(b) {
				return err
			}
			s.scatter(dst, b, (to+j*steps[run])*s.es, steps[run]*s.es, dims[run].stride*s.es, n)
		}
	}
	return nil
}

// scatter copies n elements, stride bytes apart in src, to places step bytes
// apart in dst from to.
func (s *strided) scatter(dst, src []byte, to, step, stride, n int64) {
	for k := range n {
		copy(dst[to+k*step:to+k*step+s.es], src[k*stride:])
	}
}

// Swapped returns r with the bytes of every word of the given length in
// reverse order: big-endian elements become little-endian. r's length is a
// multiple of word.
func Swapped(r io.ReaderAt, word int) io.ReaderAt {
	if word <= 1 {
		return r
	}
	return Wordwise(r, word, func(b []byte) {
		for ; len(b) > 0; b = b[word:] {
			slices.Reverse(b[:word])
		}
	})
}

// Flipped returns r with every run of len(mask) bytes XORed with mask: it
// negates floating-point elements, or the imaginary halves of complex ones.
func Flipped(r io.ReaderAt, mask []byte) io.ReaderAt {
	return Wordwise(r, len(mask), func(b []byte) {
		for ; len(b) > 0; b = b[len(mask):] {
			for i, m := range mask {
				b[i] ^= m
			}
		}
	})
}

// Wordwise returns r with change applied to its words, runs of the given
// length. change is given whole words, any number at once, and works in place.
func Wordwise(r io.ReaderAt, word int, change func(words []byte)) io.ReaderAt {
	return &wordwise{r: r, word: int64(word), change: change}
}

// A wordwise changes whole words of another ReaderAt.
type wordwise struct {
	r      io.ReaderAt
	word   int64
	change func(words []byte)
}

func (w *wordwise) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	lead := off % w.word
	if lead == 0 && int64(len(p))%w.word == 0 {
		n, err := w.r.ReadAt(p, off)
		whole := int64(n) / w.word * w.word
		w.change(p[:whole])
		if int(whole) < n { // the source ends inside a word: that word is not there
			return int(whole), err
		}
		return n, err
	}
	b := make([]byte, (lead+int64(len(p))+w.word-1)/w.word*w.word)
	n, err := w.r.ReadAt(b, off-lead)
	whole := int64(n) / w.word * w.word
	w.change(b[:whole])
	n = copy(p, b[min(lead, whole):whole])
	if n == len(p) {
		return n, nil
	}
	return n, err
}
