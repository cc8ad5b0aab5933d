package quantize

// Super-blocks of 256 elements in groups, each with a scale and a min that are
// integers times two halves: x ≈ d·s·q − e·m.
// (ggml-quants.c@d99724f2, quantize_row_q2_K_ref and _impl to q5_K)

// superBlock is the number of elements in a block of the K and most IQ types.
const superBlock = 256

var (
	plainQ2K    = affineSearch{top: 3, from: -0.5, step: 0.1, steps: 15, absolute: true}
	weightedQ2K = affineSearch{top: 3, from: -0.9, step: 0.05, steps: 36}
)

// q2_k: 16 groups of 16 with 4-bit scales and mins; 16 bytes s|m<<4, 64 bytes
// of levels, d, e.
var q2_k = blockType{
	halves: []int{80, 82},
	decode: func(x []float32, b []byte) {
		d, e := halfAt(b[80:]), halfAt(b[82:])
		var q [superBlock]uint8
		crumbs(&q, b[16:80])
		for j, sm := range b[:16] {
			decodeAffine(x[16*j:16*j+16], q[16*j:], float32(d*float32(sm&15)), float32(e*float32(sm>>4)))
		}
	},
	encode: func(b []byte, x []float32) {
		var q [superBlock]uint8
		var d, m [16]float32
		var w [16]float32
		for j := range d {
			group := x[16*j : 16*j+16]
			for i, v := range group {
				w[i] = abs(v)
			}
			d[j], m[j] = plainQ2K.fit(q[16*j:16*j+16], group, w[:])
		}
		putScalesQ2K(b, &d, &m)
		packQ2K(b, x, &q)
	},
	weighted: func(b []byte, x, importance []float32) {
		var q [superBlock]uint8
		var d, m, sumW [16]float32
		var w [16]float32
		s := float32(sumSquares(x) / superBlock)
		for j := range d {
			group := x[16*j : 16*j+16]
			importanceWeights(w[:], group, importance[16*j:], s)
			sumW[j] = sum(w[:])
			d[j], m[j] = weightedQ2K.fit(q[16*j:16*j+16], group, w[:])
		}
		putWeightedScalesQ2K(b, &d, &m, &sumW)
		packQ2K(b, x, &q)
	},
}

func putScalesQ2K(b []byte, d, m *[16]float32) {
	var mostD, mostM float32
	for j := range d {
		mostD, mostM = greater(mostD, d[j]), greater(mostM, m[j])
	}
	if mostD > 0 {
		inv := 15 / mostD
		for j := range d {
			b[j] = uint8(nearest(float32(inv * d[j])))
		}
	}
	if mostM > 0 {
		inv := 15 / mostM
		for j := range m {
			b[j] |= uint8(nearest(float32(inv*m[j])) << 4)
		}
	}
	putHalf(b[80:], mostD/15)
	putHalf(b[82:], mostM/15)
}

func putWeightedScalesQ2K(b []byte, d, m, sumW *[16]float32) {
	var qd, qm [16]uint8
	putHalf(b[80:], positive(qd[:], d[:], sumW[:], 15))
	putHalf(b[82:], positive(qm[:], m[:], sumW[:], 15))
	for j := range qd {
		b[j] = qd[j] | qm[j]<<4
	}
}

// packQ2K stores the levels for the scales in b. Where a group's scale is 0 they
// are those of the search, q.
func packQ2K(b []byte, x []float32, q *[superBlock]uint8) {
	d, e := halfAt(b[80:]), halfAt(b[82:])
	for j, sm := range b[:16] {
		affineLevels(q[16*j:16*j+16], x[16*j:], float32(d*float32(sm&15)), float32(e*float32(sm>>4)), 3)
	}
	putCrumbs(b[16:80], q)
}

// q4_k and q5_k: 8 groups of 32 with 6-bit scales and mins; d, e, 12 bytes of
// them, for q5_k 32 bytes with the fifth bits, 128 bytes of nibbles.
var (
	sixBitQ4K = sixBitScales{affineSearch{top: 15, from: -1, step: 0.1, steps: 20}, 255}
	sixBitQ5K = sixBitScales{affineSearch{top: 31, from: -0.5, step: 0.1, steps: 15}, 63}
	q4_k      = sixBitQ4K.blockType()
	q5_k      = sixBitQ5K.blockType()
)

// sixBitScales are the types with this search where there is no importance.
// With it, the integer scales are limited to mostScale.
type sixBitScales struct {
	plain     affineSearch
	mostScale uint8
}

func (t sixBitScales) weighted() affineSearch {
	return affineSearch{top: t.plain.top, from: -0.9, step: 0.05, steps: 36}
}

func (t sixBitScales) blockType() blockType {
	plain, weighted := t.plain, t.weighted()
	return blockType{
		halves: []int{0, 2},
		decode: func(x []float32, b []byte) {
			d, e := halfAt(b), halfAt(b[2:])
			var q [superBlock]uint8
			nibbles(&q, b[16:])
			for j := range 8 {
				s, m := scaleAndMin(b[4:16], j)
				decodeAffine(x[32*j:32*j+32], q[32*j:], float32(d*float32(s)), float32(e*float32(m)))
			}
		},
		encode: func(b []byte, x []float32) {
			var q [superBlock]uint8
			var d, m [8]float32
			var w [32]float32
			for j := range d {
				group := x[32*j : 32*j+32]
				rms := sqrt(float32(sumSquares(group) / 32))
				for i, v := range group {
					w[i] = rms + abs(v)
				}
				d[j], m[j] = plain.fit(q[32*j:32*j+32], group, w[:])
			}
			t.put(b, &d, &m)
			packSixBit(b, x, &q, plain.top)
		},
		weighted: func(b []byte, x, importance []float32) {
			var q [superBlock]uint8
			var d, m, sumW [8]float32
			var w [32]float32
			s := float32(2 * sumSquares(x) / superBlock)
			for j := range d {
				group := x[32*j : 32*j+32]
				importanceWeights(w[:], group, importance[32*j:], s)
				sumW[j] = sum(w[:])
				d[j], m[j] = weighted.fit(q[32*j:32*j+32], group, w[:])
			}
			t.putWeighted(b, &d, &m, &sumW)
			packSixBit(b, x, &q, weighted.top)
		},
	}
}

// put stores the scales and mins of the groups.
func (t sixBitScales) put(b []byte, d, m *[8]float32) {
	var mostD, mostM float32
	for j := range d {
		mostD, mostM = greater(mostD, d[j]), greater(mostM, m[j])
	}
	var invD, invM float32
	if mostD > 0 {
		invD = 63 / mostD
	}
	if mostM > 0 {
		invM = 63 / mostM
	}
	var qd, qm [8]uint8
	for j := range d {
		qd[j] = min(63, uint8(nearest(float32(invD*d[j]))))
		qm[j] = min(63, uint8(nearest(float32(invM*m[j]))))
	}
	putHalf(b, mostD/63)
	putHalf(b[2:], mostM/63)
	putScalesAndMins(b[4:16], &qd, &qm)
}

// putWeighted is put where the elements of a group weigh sumW.
func (t sixBitScales) putWeighted(b []byte, d, m, sumW *[8]float32) {
	var qd, qm [8]uint8
	putHalf(b, positive(qd[:], d[:], sumW[:], 63))
	putHalf(b[2:], positive(qm[:], m[:], sumW[:], 63))
	for j := range qd {
		qd[j], qm[j] = min(t.mostScale, qd[j]), min(t.mostScale, qm[j])
	}
	putScalesAndMins(b[4:16], &qd, &qm)
}

// packSixBit stores the levels for the scales in b. Where a group's scale is 0
// they are those of the search, q.
func packSixBit(b []byte, x []float32, q *[superBlock]uint8, top int32) {
	d, e := halfAt(b), halfAt(b[2:])
	for j := range 8 {
		s, m := scaleAndMin(b[4:16], j)
		affineLevels(q[32*j:32*j+32], x[32*j:], float32(d*float32(s)), float32(e*float32(m)), top)
	}
	putNibbles(b[16:], q)
}

// affineLevels sets q to the levels of x ≈ d·q − m, unless d is 0.
func affineLevels(q []uint8, x []float32, d, m float32, top int32) {
	if d == 0 {
		return
	}
	x = x[:len(q)]
	for i, v := range x {
		q[i] = uint8(clamp(nearest((v+m)/d), 0, top))
	}
}

func decodeAffine(x []float32, q []uint8, d, m float32) {
	q = q[:len(x)]
	for i := range x {
		x[i] = float32(d*float32(q[i])) - m
	}
}

// putScalesAndMins packs eight 6-bit scales and mins into 12 bytes: 0–3 and 4–7
// hold the first four, 8–11 the lower four bits of the others, whose upper two
// are the upper two of bytes 0–7. Bits beyond the sixth are kept where ggml keeps them.
func putScalesAndMins(b []byte, s, m *[8]uint8) {
	for j := range 4 {
		b[j] = s[j] | s[j+4]>>4<<6
		b[j+4] = m[j] | m[j+4]>>4<<6
		b[j+8] = s[j+4]&15 | m[j+4]<<4
	}
}

// scaleAndMin undoes putScalesAndMins for group j.
func scaleAndMin(b []byte, j int) (s, m uint8) {
	if j < 4 {
		return b[j] & 63, b[j+4] & 63
	}
	return b[j+4]&15 | b[j-4]>>6<<4, b[j+4]>>4 | b[j]>>6<<4
}
