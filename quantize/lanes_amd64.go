//go:build !noasm

package quantize

import (
	"math"
	"sync"
	"unsafe"

	"github.com/smelt-project/smelt/tensor"
)

// batch is the number of groups that a lane kernel works on at once.
const batch = 16

type lane = [batch]float32

// lanes is what the lane kernels work on: every field has one number for each
// group of a batch, so that one instruction does the same for all of them. The
// kernels know the places of the fields. It must be on the heap, where an array
// of this size does not straddle cache lines.
type lanes struct {
	x, w [32]lane // elements, weights
	// scale and low are the results of a fit; the levels are inv·(x − from).
	scale, low, inv, from lane
	sumW                  lane
	_                     lane
	spread                lane     // see weightsImportance
	_                     [53]lane // for the kernels alone
	level                 [32]lane
	_                     [32]lane

	q      [superBlock]uint8
	by     lane // for levelsOver and levelsTimes
	offset lane
	// of the groups of a super-block: scale, minimum, sum of the weights
	d, m, sum [8]float32
	// a batch that is not full
	padX, padImportance [32 * batch]float32
	padB                [32 * 32]byte
	isa                            // of the kernels
	_                   [2847]byte // to 20,480, a size that the runtime aligns to 4,096
}

// The places that asm/lanes.go has: another one does not compile.
var _ = [...]struct{}{
	[1]struct{}{}[unsafe.Offsetof(lanes{}.w)-2048],
	[1]struct{}{}[unsafe.Offsetof(lanes{}.scale)-4096],
	[1]struct{}{}[unsafe.Offsetof(lanes{}.spread)-4096-6*64],
	[1]struct{}{}[unsafe.Offsetof(lanes{}.level)-(8192-4*64)],
	[1]struct{}{}[unsafe.Sizeof(lanes{})-20480],
}

// at is where the kernels get the struct.
func (l *lanes) at() *float32 { return &l.x[0][0] }

var lanesPool = sync.Pool{New: func() any { return new(lanes) }}

const (
	magicBits    = 0x4b400000 // float32 bits of 1.5·2²³: what the kernels add levels to
	infinityBits = 0x7f800000
)

// A laneType encodes a block type with the lane kernels.
type laneType struct {
	dtype tensor.DType
	blockType
	group int // elements
	// plain packs a batch. nil: the type's own functions do.
	plain func(l *lanes, b []byte, x []float32)
	// important is plain with importance, which is in l.w, and the spread of
	// weightsImportance in l.spread.
	important func(l *lanes, b []byte, x []float32)
	// spreadOf returns the spread of a block. nil: the mean square of the row.
	spreadOf func(x []float32) float32
}

// encoder returns the Encode of the type's codec.
func (t *laneType) encoder(v isa) func(dst []byte, src, importance []float32) int {
	layout, _ := t.dtype.Layout()
	return func(dst []byte, src, importance []float32) (overflows int) {
		if len(importance) == 0 {
			return t.encodeRow(v, layout, dst, src, nil)
		}
		rowBytes := len(importance) / layout.Elems * layout.Bytes
		for len(src) > 0 {
			overflows += t.encodeRow(v, layout, dst, src[:len(importance)], importance)
			dst, src = dst[rowBytes:], src[len(importance):]
		}
		return overflows
	}
}

// encodeRow is that of the block type.
func (t *laneType) encodeRow(v isa, layout tensor.Layout, dst []byte, x, importance []float32) (lost int) {
	meanSquare := t.meanSquare(x, importance)
	if importance == nil && t.plain == nil || importance != nil && t.important == nil {
		return t.encodeBlocks(layout, dst, x, importance, meanSquare)
	}
	l := lanesPool.Get().(*lanes)
	defer lanesPool.Put(l)
	l.isa = v
	elems := batch * t.group
	for len(x) > 0 {
		n := min(len(x), elems)
		b := dst[:n/layout.Elems*layout.Bytes]
		var w []float32
		if importance != nil {
			w, importance = importance[:n], importance[n:]
		}
		lost += t.encodeBatch(l, layout, b, x[:n], w, meanSquare)
		dst, x = dst[len(b):], x[n:]
	}
	return lost
}

// encodeBatch packs at most as many elements as there are in a batch. Where
// there is one that is not finite the block type's own functions do it.
func (t *laneType) encodeBatch(l *lanes, layout tensor.Layout, dst []byte, x, importance []float32, meanSquare float32) (lost int) {
	b, full, w := dst, x, importance
	if n := batch * t.group; len(x) < n {
		b, full = l.padB[:n/layout.Elems*layout.Bytes], l.padX[:n]
		clear(full[copy(full, x):])
		if importance != nil {
			w = l.padImportance[:n]
			clear(w[copy(w, importance):])
		}
	}
	most := l.transpose(l.at(), full, t.group)
	if most >= infinityBits || w != nil && l.transpose(&l.w[0][0], w, t.group) >= infinityBits {
		return t.encodeBlocks(layout, dst, x, importance, meanSquare)
	}
	clear(b)
	if w == nil {
		t.plain(l, b, full)
	} else {
		t.setSpread(l, layout.Elems, full, meanSquare)
		t.important(l, b, full)
	}
	if len(b) > len(dst) {
		copy(dst, b)
	}
	check := t.blockType
	if math.Float32frombits(most) <= t.reach {
		check.reach = 0
	}
	for ; len(x) > 0; dst, x = dst[layout.Bytes:], x[layout.Elems:] {
		lost += check.lostIn(dst[:layout.Bytes], x[:layout.Elems])
	}
	return lost
}

func (t *laneType) setSpread(l *lanes, elems int, x []float32, meanSquare float32) {
	if t.spreadOf == nil {
		for j := range l.spread {
			l.spread[j] = meanSquare
		}
		return
	}
	groups := elems / t.group
	for j := 0; j < batch; j += groups {
		s := t.spreadOf(x[j*t.group : (j+groups)*t.group])
		for i := range groups {
			l.spread[j+i] = s
		}
	}
}

// factors are the ways of the search to round, times max−min.
func (s *affineSearch) factors() []float32 {
	f := []float32{float32(s.top)}
	for k := range s.steps + 1 {
		f = append(f, s.from+float32(s.step*float32(k))+float32(s.top))
	}
	return f
}

// symmetricFactors are the ways of symmetric to round, times the peak.
func symmetricFactors(n int32) []float32 {
	f := []float32{-float32(n)}
	for k := float32(-9); k <= 9; k++ {
		if k != 0 {
			f = append(f, -(float32(n) + float32(0.1*k)))
		}
	}
	return f
}

// searched sets q to the levels of group j of n elements that the fit has found
// in x; they are bottom or more, at most top, and stored as what they are above bottom.
func (l *lanes) searched(q []uint8, x []float32, j int, bottom, top int32) {
	inv, from := l.inv[j], l.from[j]
	if inv == 0 {
		clear(q)
		return
	}
	for i := range q {
		q[i] = uint8(clamp(nearest(float32(inv*(x[i]-from))), bottom, top) - bottom)
	}
}

// overScales sets l.q to the levels (x + offset)/by of a super-block in groups
// of n, of which the first is group at of the batch. l.by and l.offset are those
// of 16 elements; where by is 0 the levels are those that the fit found.
func (l *lanes) overScales(x []float32, n, at int, bottom, top int32) {
	l.levelsOver(&l.q, x[:superBlock], &l.by, &l.offset, uint32(magicBits+bottom), uint32(magicBits+top))
	for i := 0; i < superBlock; i += n {
		if l.by[i/16] == 0 {
			l.searched(l.q[i:i+n], x[i:i+n], at+i/n, bottom, top)
		}
	}
}
