//go:build !noasm

package quantize

import (
	"encoding/binary"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A simpleType encodes a block type that rounds every element once, elems
// elements at a time.
type simpleType struct {
	dtype tensor.DType
	blockType
	elems int
	// pack packs elems elements, or returns false if there is one among them
	// that is for the type's own functions.
	pack func(n *numbers, b []byte, x []float32) bool
}

var simpleTypes = []simpleType{
	{tensor.MXFP4, mxfp4, superBlock, packMXFP4},
	{tensor.NVFP4, nvfp4, superBlock, packNVFP4},
	{tensor.TQ1_0, tq1_0, superBlock, packTQ1},
	{tensor.TQ2_0, tq2_0, superBlock, packTQ2},
	{tensor.Q1_0, q1_0, 8 * 128, packQ1},
	{tensor.Q2_0, q2_0, superBlock, packQ2},
}

// encoder returns the Encode of the type's codec; none of the types looks at
// importance.
func (t *simpleType) encoder(v isa) func(dst []byte, src, importance []float32) int {
	l, _ := t.dtype.Layout()
	size := t.elems / l.Elems * l.Bytes
	packed := t.blockType
	packed.lost = nil // pack leaves blocks with lost elements
	return func(dst []byte, src, _ []float32) (lost int) {
		n := numbersPool.Get().(*numbers)
		defer numbersPool.Put(n)
		n.isa = v
		for len(src) >= t.elems {
			b, x := dst[:size], src[:t.elems]
			clear(b)
			if !t.pack(n, b, x) {
				lost += t.encodeRow(l, b, x, nil)
			} else {
				for ; len(x) > 0; b, x = b[l.Bytes:], x[l.Elems:] {
					lost += packed.lostIn(b, x[:l.Elems])
				}
			}
			dst, src = dst[size:], src[t.elems:]
		}
		return lost + t.encodeRow(l, dst, src, nil)
	}
}

// mostOf returns the largest of magnitudes of 16 elements, a NaN if there is one.
func mostOf(magnitudes []float32) float32 {
	var most uint32
	for _, m := range magnitudes {
		most = max(most, math.Float32bits(m))
	}
	return math.Float32frombits(most)
}

// setE2M1 sets the scale of 16 elements; ok is false if the middles between the
// values do not decide their codes.
func (n *numbers) setE2M1(j int, d, most float32) (ok bool) {
	n.by[j] = d
	return most <= newE2M1(d).reach
}

func packMXFP4(n *numbers, b []byte, x []float32) bool {
	var most lane
	n.magnitudes(&most, x)
	for j := range 8 {
		m := mostOf(most[2*j : 2*j+2])
		if !(m <= math.MaxFloat32) {
			return false
		}
		if m > 0 {
			b[17*j] = uint8(floorLog2(m) - 2 + 127)
		}
		d := halfE8M0(b[17*j])
		if !n.setE2M1(2*j, d, m) || !n.setE2M1(2*j+1, d, m) {
			return false
		}
	}
	n.e2m1Codes(&n.q, x, &n.by)
	for j := range 8 {
		putLevels(b[17*j+1:17*j+17], (*[32]uint8)(n.q[32*j:]))
	}
	return true
}

func packNVFP4(n *numbers, b []byte, x []float32) bool {
	var most lane
	n.magnitudes(&most, x)
	for j, m := range most {
		if !(m <= 6*maxUE4M3) {
			return false
		}
		s := toUE4M3(m / 6)
		b[j/4*36+j%4] = s
		if !n.setE2M1(j, halfUE4M3(s), m) {
			return false
		}
	}
	n.e2m1Codes(&n.q, x, &n.by)
	for j := range 16 {
		q := n.q[16*j : 16*j+16]
		binary.LittleEndian.PutUint64(b[j/4*36+4+j%4*8:], eight(q)|eight(q[8:])<<4)
	}
	return true
}

// setTrits sets q to what trits does and returns d; ok is false if it is not finite.
func (n *numbers) setTrits(x []float32) (d float32, ok bool) {
	var most lane
	n.magnitudes(&most, x)
	d = mostOf(most[:])
	if !(d <= math.MaxFloat32) {
		return 0, false
	}
	inv := inverse(d)
	for j := range n.by {
		n.by[j] = inv
	}
	n.roundAway(&n.q, x, &n.by, 1)
	return d, true
}

func packTQ1(n *numbers, b []byte, x []float32) bool {
	d, ok := n.setTrits(x)
	if ok {
		putHalf(b[52:], d)
		putTrits(b, &n.q)
	}
	return ok
}

func packTQ2(n *numbers, b []byte, x []float32) bool {
	d, ok := n.setTrits(x)
	if ok {
		putHalf(b[64:], d)
		putCrumbs(b[:64], &n.q)
	}
	return ok
}

func packQ1(n *numbers, b []byte, x []float32) bool {
	var sum [8]float32
	n.sumMagnitudes(&sum, x)
	for j, s := range sum {
		if !(s <= math.MaxFloat32) {
			return false
		}
		putHalf(b[18*j:], s/128)
	}
	for j := 0; j < 8; j += 2 {
		var signs [32]byte
		n.notNegative(&signs, x[128*j:])
		copy(b[18*j+2:18*j+18], signs[:16])
		copy(b[18*j+20:18*j+36], signs[16:])
	}
	return true
}

func packQ2(n *numbers, b []byte, x []float32) bool {
	var most lane
	n.magnitudes(&most, x)
	for j := range 4 {
		d := mostOf(most[4*j : 4*j+4])
		inv := inverse(d)
		if !(d <= math.MaxFloat32 && inv <= math.MaxFloat32) {
			return false
		}
		putHalf(b[18*j:], d)
		for i := range 4 {
			n.by[4*j+i] = inv
		}
	}
	n.roundAway(&n.q, x, &n.by, 1)
	for j := range 4 {
		putPairs(b[18*j+2:18*j+18], n.q[64*j:64*j+64])
	}
	return true
}
