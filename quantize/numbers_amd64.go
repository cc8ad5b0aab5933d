//go:build !noasm

package quantize

import (
	"encoding/binary"
	"sync"

	"github.com/smelt-project/smelt/tensor"
)

// numbers is what the kernels turn into 256 elements: their levels, and for
// each 16 of them a factor and perhaps a minimum.
type numbers struct {
	q          [superBlock]uint8
	by, offset lane
	isa        // of the kernels
}

var numbersPool = sync.Pool{New: func() any { return new(numbers) }}

// A numberType decodes a block type with the kernels.
type numberType struct {
	dtype tensor.DType
	blockType
	// load takes 256 elements apart.
	load func(n *numbers, b []byte)
	// store sets x to the numbers.
	store func(n *numbers, x []float32)
}

var numberTypes = []numberType{
	{tensor.Q5_0, q5_0, loadLegacy(2), storeSigned(16)},
	{tensor.Q4_1, q4_1, loadLegacy(4), storeAffine},
	{tensor.Q5_1, q5_1, loadLegacy(4), storeAffine},
	{tensor.Q2K, q2_k, loadQ2K, storeAffine},
	{tensor.Q3K, q3_k, loadQ3K, storeSigned(4)},
	{tensor.Q4K, q4_k, loadSixBit, storeAffine},
	{tensor.Q5K, q5_k, loadSixBit, storeAffine},
	{tensor.Q6K, q6_k, loadQ6K, storeSigned(32)},
	{tensor.IQ4NL, iq4_nl, loadLegacy(2), storeNonlinear},
	{tensor.IQ4XS, iq4_xs, loadIQ4XS, storeNonlinear},
	{tensor.MXFP4, mxfp4, loadMXFP4, storeE2M1},
	{tensor.NVFP4, nvfp4, loadNVFP4, storeE2M1},
	{tensor.TQ2_0, tq2_0, loadTQ2, storeSigned(1)},
	{tensor.Q2_0, q2_0, loadQ2, storeSigned(1)},
}

// decoder returns the Decode of the type's codec. What is less than 256 elements
// the type's own function decodes.
func (t *numberType) decoder(v isa) func(dst []float32, src []byte) {
	layout, _ := t.dtype.Layout()
	size := superBlock / layout.Elems * layout.Bytes
	rest := t.codec(t.dtype, 0).Decode
	return func(dst []float32, src []byte) {
		n := numbersPool.Get().(*numbers)
		defer numbersPool.Put(n)
		n.isa = v
		for len(dst) >= superBlock {
			t.load(n, src[:size])
			t.store(n, dst[:superBlock])
			dst, src = dst[superBlock:], src[size:]
		}
		rest(dst, src)
	}
}

func storeAffine(n *numbers, x []float32) { n.affineNumbers(x, &n.q, &n.by, &n.offset) }

func storeNonlinear(n *numbers, x []float32) { n.nonlinearNumbers(x, &n.q, &n.by) }

func storeE2M1(n *numbers, x []float32) { n.e2m1Numbers(x, &n.q, &n.by) }

func storeSigned(below uint32) func(*numbers, []float32) {
	return func(n *numbers, x []float32) { n.signedNumbers(x, &n.q, &n.by, below) }
}

// loadLegacy takes eight blocks of 32 apart whose levels come after a scale, and
// in four bytes a minimum.
func loadLegacy(head int) func(n *numbers, b []byte) {
	return func(n *numbers, b []byte) {
		size := len(b) / 8
		for j := range 8 {
			b := b[j*size : j*size+size]
			n.by[2*j] = halfAt(b)
			n.by[2*j+1] = n.by[2*j]
			if head == 4 {
				n.offset[2*j] = -halfAt(b[2:])
				n.offset[2*j+1] = n.offset[2*j]
			}
			levels((*[32]uint8)(n.q[32*j:]), b[head:])
		}
	}
}

func loadQ2K(n *numbers, b []byte) {
	d, e := halfAt(b[80:]), halfAt(b[82:])
	for j, sm := range b[:16] {
		n.by[j], n.offset[j] = float32(d*float32(sm&15)), float32(e*float32(sm>>4))
	}
	clear(n.q[:])
	crumbs(&n.q, b[16:80])
}

func loadQ3K(n *numbers, b []byte) {
	d := halfAt(b[108:])
	for j := range n.by {
		n.by[j] = float32(d * float32(scaleQ3K(b[96:108], j)))
	}
	bitPlane(&n.q, b[:32], 2)
	crumbs(&n.q, b[32:96])
}

func loadSixBit(n *numbers, b []byte) {
	d, e := halfAt(b), halfAt(b[2:])
	for j := range 8 {
		s, m := scaleAndMin(b[4:16], j)
		n.by[2*j], n.offset[2*j] = float32(d*float32(s)), float32(e*float32(m))
		n.by[2*j+1], n.offset[2*j+1] = n.by[2*j], n.offset[2*j]
	}
	nibbles(&n.q, b[16:])
}

func loadQ6K(n *numbers, b []byte) {
	d := halfAt(b[208:])
	for j, s := range b[192:208] {
		n.by[j] = float32(d * float32(int8(s)))
	}
	levelsQ6K(&n.q, b)
}

func loadIQ4XS(n *numbers, b []byte) {
	for j := range 8 {
		n.by[2*j] = scaleIQ4XS(b, j)
		n.by[2*j+1] = n.by[2*j]
		levels((*[32]uint8)(n.q[32*j:]), b[8+16*j:24+16*j])
	}
}

func loadMXFP4(n *numbers, b []byte) {
	for j := range 8 {
		n.by[2*j] = halfE8M0(b[17*j])
		n.by[2*j+1] = n.by[2*j]
		levels((*[32]uint8)(n.q[32*j:]), b[17*j+1:17*j+17])
	}
}

func loadNVFP4(n *numbers, b []byte) {
	for j := range 16 {
		n.by[j] = halfUE4M3(b[j/4*36+j%4])
		v, q := eight(b[j/4*36+4+j%4*8:]), n.q[16*j:16*j+16]
		binary.LittleEndian.PutUint64(q, v&low4)
		binary.LittleEndian.PutUint64(q[8:], v>>4&low4)
	}
}

func loadTQ2(n *numbers, b []byte) {
	d := halfAt(b[64:])
	for j := range n.by {
		n.by[j] = d
	}
	clear(n.q[:])
	crumbs(&n.q, b[:64])
}

func loadQ2(n *numbers, b []byte) {
	for j := range 4 {
		d := halfAt(b[18*j:])
		for i := range 4 {
			n.by[4*j+i] = d
		}
		pairs(n.q[64*j:64*j+64], b[18*j+2:18*j+18])
	}
}
