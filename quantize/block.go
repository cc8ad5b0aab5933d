package quantize

import (
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A blockType is what the codec of a block format is made of. Its functions get
// exactly one block; b is zero before encoding.
type blockType struct {
	decode func(x []float32, b []byte)
	// encode packs x without importance.
	encode func(b []byte, x []float32)
	// weighted packs x with the importance of its columns. nil: as encode.
	weighted func(b []byte, x, importance []float32)
	// rowWeighted is weighted for types that also look at the mean square of the
	// row that the block is in.
	rowWeighted func(b []byte, x, importance []float32, meanSquare float32)
	// halves are the places of half-precision scales in b.
	halves []int
	// reach bounds the magnitudes that b can hold where the searches may take a
	// larger one for nothing instead of making a scale infinite. 0: they do not.
	reach float32
	// lost counts the finite values that b does not hold, for types whose scales
	// are no halves. nil: none.
	lost            func(b []byte, x []float32) int
	needsImportance bool
}

func (t blockType) codec(d tensor.DType, maxError float64) Codec {
	l, _ := d.Layout()
	return Codec{
		Decode: func(dst []float32, src []byte) {
			for len(dst) > 0 {
				t.decode(dst[:l.Elems:l.Elems], src[:l.Bytes:l.Bytes])
				dst, src = dst[l.Elems:], src[l.Bytes:]
			}
		},
		Encode: func(dst []byte, src, importance []float32) (overflows int) {
			if len(importance) == 0 {
				return t.encodeRow(l, dst, src, nil)
			}
			rowBytes := len(importance) / l.Elems * l.Bytes
			for len(src) > 0 {
				overflows += t.encodeRow(l, dst, src[:len(importance)], importance)
				dst, src = dst[rowBytes:], src[len(importance):]
			}
			return overflows
		},
		MaxError:        maxError,
		NeedsImportance: t.needsImportance,
	}
}

// encodeRow packs a row, or without importance any number of blocks.
func (t blockType) encodeRow(l tensor.Layout, dst []byte, x, importance []float32) (lost int) {
	return t.encodeBlocks(l, dst, x, importance, t.meanSquare(x, importance))
}

// meanSquare returns that of a row with importance, for types that look at it.
func (t blockType) meanSquare(row, importance []float32) float32 {
	if importance == nil || t.rowWeighted == nil {
		return 0
	}
	return sumSquares(row) / float32(len(row))
}

// encodeBlocks packs blocks of a row with that mean square.
func (t blockType) encodeBlocks(l tensor.Layout, dst []byte, x, importance []float32, meanSquare float32) (lost int) {
	for len(x) > 0 {
		b, xb := dst[:l.Bytes:l.Bytes], x[:l.Elems:l.Elems]
		clear(b)
		switch {
		case importance == nil || t.rowWeighted == nil && t.weighted == nil:
			t.encode(b, xb)
		case t.rowWeighted != nil:
			t.rowWeighted(b, xb, importance[:l.Elems:l.Elems], meanSquare)
		default:
			t.weighted(b, xb, importance[:l.Elems:l.Elems])
		}
		lost += t.lostIn(b, xb)
		dst, x = dst[l.Bytes:], x[l.Elems:]
		if importance != nil {
			importance = importance[l.Elems:]
		}
	}
	return lost
}

// lostIn counts the finite elements of x that b does not hold.
func (t blockType) lostIn(b []byte, x []float32) int {
	if t.lost != nil {
		return t.lost(b, x)
	}
	for _, at := range t.halves {
		if !finiteHalf(b[at:]) {
			return countFinite(x)
		}
	}
	if t.reach > 0 && beyond(x, t.reach) {
		return countFinite(x)
	}
	return 0
}

const maxHalf = 65504

// beyond reports whether x has a finite element of a magnitude above reach.
func beyond(x []float32, reach float32) bool {
	for _, v := range x {
		if a := abs(v); a > reach && a <= math.MaxFloat32 {
			return true
		}
	}
	return false
}

func countFinite(x []float32) (n int) {
	for _, v := range x {
		if v-v == 0 {
			n++
		}
	}
	return n
}
