//go:build !noasm

package quantize

import "github.com/smelt-project/smelt/tensor"

// laneTypes are the types that the lane kernels encode.
var laneTypes = []laneType{
	sixBitQ4K.lanes(tensor.Q4K, q4_k),
	sixBitQ5K.lanes(tensor.Q5K, q5_k),
	lanesQ2K(),
	lanesQ3K(),
	lanesQ6K(),
	signedLanes(tensor.Q4_0, q4_0, 8),
	signedLanes(tensor.Q5_0, q5_0, 16),
	affineLanes(tensor.Q4_1, q4_1, 15),
	affineLanes(tensor.Q5_1, q5_1, 31),
	lanesIQ4NL(),
	lanesIQ4XS(),
}

func doubleMeanSquare(x []float32) float32 { return float32(2 * sumSquares(x) / superBlock) }

func (t sixBitScales) lanes(d tensor.DType, of blockType) laneType {
	plain, weighted := t.plain, t.weighted()
	plainFactors, weightedFactors := plain.factors(), weighted.factors()
	limit := uint32(magicBits + plain.top)
	return laneType{
		dtype: d, blockType: of, group: 32, spreadOf: doubleMeanSquare,
		plain: func(l *lanes, b []byte, x []float32) {
			l.weightsRMS(l.at(), 32)
			l.affineFit(l.at(), 32, plainFactors, limit)
			l.eachSixBit(b, x, plain.top, func(b []byte, d, m, _ *[8]float32) { t.put(b, d, m) })
		},
		important: func(l *lanes, b []byte, x []float32) {
			l.weightsImportance(l.at(), 32)
			l.affineFit(l.at(), 32, weightedFactors, limit)
			l.eachSixBit(b, x, plain.top, t.putWeighted)
		},
	}
}

// eachSixBit packs the two super-blocks of a fitted batch.
func (l *lanes) eachSixBit(b []byte, x []float32, top int32, put func(b []byte, d, m, sumW *[8]float32)) {
	size := len(b) / 2
	for at := 0; at < batch; at += 8 {
		for j := range l.d {
			l.d[j], l.m[j], l.sum[j] = l.scale[at+j], -l.low[at+j], l.sumW[at+j]+0
		}
		put(b, &l.d, &l.m, &l.sum)
		dh, eh := halfAt(b), halfAt(b[2:])
		for j := range 8 {
			s, m := scaleAndMin(b[4:16], j)
			l.by[2*j], l.offset[2*j] = float32(dh*float32(s)), float32(eh*float32(m))
			l.by[2*j+1], l.offset[2*j+1] = l.by[2*j], l.offset[2*j]
		}
		l.overScales(x, 32, at, 0, top)
		putNibbles(b[16:size], &l.q)
		b, x = b[size:], x[superBlock:]
	}
}

func lanesQ2K() laneType {
	plainFactors, weightedFactors := plainQ2K.factors(), weightedQ2K.factors()
	limit := uint32(magicBits + plainQ2K.top)
	pack := func(l *lanes, b []byte, x []float32) {
		dh, eh := halfAt(b[80:]), halfAt(b[82:])
		for j, sm := range b[:16] {
			l.by[j], l.offset[j] = float32(dh*float32(sm&15)), float32(eh*float32(sm>>4))
		}
		l.overScales(x, 16, 0, 0, plainQ2K.top)
		putCrumbs(b[16:80], &l.q)
	}
	mins := func(l *lanes) (m lane) {
		for j, low := range l.low {
			m[j] = -low
		}
		return m
	}
	return laneType{
		dtype: tensor.Q2K, blockType: q2_k, group: 16,
		spreadOf: func(x []float32) float32 { return float32(sumSquares(x) / superBlock) },
		plain: func(l *lanes, b []byte, x []float32) {
			l.weightsMagnitude(l.at(), 16)
			l.affineFitMagnitude(l.at(), 16, plainFactors, limit)
			m := mins(l)
			putScalesQ2K(b, &l.scale, &m)
			pack(l, b, x)
		},
		important: func(l *lanes, b []byte, x []float32) {
			l.weightsImportance(l.at(), 16)
			l.affineFit(l.at(), 16, weightedFactors, limit)
			m, sumW := mins(l), l.sums()
			putWeightedScalesQ2K(b, &l.scale, &m, &sumW)
			pack(l, b, x)
		},
	}
}

// sums returns the sums of the weights as a sum that begins with zero has them:
// never −0.
func (l *lanes) sums() (s lane) {
	for j, w := range l.sumW {
		s[j] = w + 0
	}
	return s
}

func lanesQ3K() laneType {
	factors := symmetricFactors(4)
	setScales := func(l *lanes, b []byte) {
		d := halfAt(b[108:])
		for j := range 16 {
			l.by[j], l.offset[j] = float32(d*float32(scaleQ3K(b[96:108], j))), 0
		}
	}
	return laneType{
		dtype: tensor.Q3K, blockType: q3_k, group: 16, spreadOf: doubleMeanSquare,
		plain: func(l *lanes, b []byte, x []float32) {
			l.refinedFit(l.at(), 16)
			putPlainQ3K(b, &l.scale)
			setScales(l, b)
			l.levelsOver(&l.q, x, &l.by, &l.offset, magicBits-4, magicBits+3)
			for j, by := range l.by {
				for i := range 16 {
					if by == 0 && l.inv[j] == 0 {
						l.q[16*j+i] = 0
					} else if by == 0 {
						l.q[16*j+i] = uint8(int32(l.level[i][j]) + 4)
					}
				}
			}
			putQ3K(b, &l.q)
		},
		important: func(l *lanes, b []byte, x []float32) {
			l.weightsImportance(l.at(), 16)
			l.symmetricFit(l.at(), 16, factors, magicBits-4, magicBits+3)
			sumW := l.sumWeights(16)
			putWeightedQ3K(b, &l.scale, &sumW)
			setScales(l, b)
			clear(l.from[:])
			l.overScales(x, 16, 0, -4, 3)
			putQ3K(b, &l.q)
		},
	}
}

// sumWeights adds the weights of each group of n, as sum does.
func (l *lanes) sumWeights(n int) (s lane) {
	for i := range n {
		for j, w := range &l.w[i] {
			s[j] += w
		}
	}
	return s
}

func lanesQ6K() laneType {
	factors := symmetricFactors(32)
	important := func(l *lanes, b []byte, x []float32) {
		l.symmetricFit(l.at(), 16, factors, magicBits-32, magicBits+31)
		dh, ok := scalesQ6K(b, &l.scale)
		if !ok {
			return
		}
		for j := range l.by {
			l.by[j], l.offset[j] = float32(dh*float32(int8(b[192+j]))), 0
		}
		clear(l.from[:])
		l.overScales(x, 16, 0, -32, 31)
		putQ6K(b, &l.q)
	}
	return laneType{
		dtype: tensor.Q6K, blockType: q6_k, group: 16,
		plain: func(l *lanes, b []byte, x []float32) {
			l.weightsSquare(l.at(), 16)
			important(l, b, x)
		},
		important: important,
	}
}

// timesInverses sets l.q to the levels inv·(x − from) of the eight groups of 32
// from group at; those of groups without are 0.
func (l *lanes) timesInverses(x []float32, at int, bottom, top int32) {
	for j := range 8 {
		l.by[2*j], l.offset[2*j] = l.inv[at+j], l.from[at+j]
		l.by[2*j+1], l.offset[2*j+1] = l.by[2*j], l.offset[2*j]
	}
	l.levelsTimes(&l.q, x[:superBlock], &l.by, &l.offset, uint32(magicBits+bottom), uint32(magicBits+top))
	for j := range 8 {
		if l.inv[at+j] == 0 {
			clear(l.q[32*j : 32*j+32])
		}
	}
}

// eachLegacy packs the 16 blocks of a fitted batch, of which put stores what
// comes before the levels.
func (l *lanes) eachLegacy(b []byte, x []float32, bottom, top int32, put func(b []byte, j int) (head int)) {
	size := len(b) / batch
	for at := 0; at < batch; at += 8 {
		l.timesInverses(x[32*at:], at, bottom, top)
		for j := range 8 {
			head := put(b, at+j)
			putLevels(b[head:size], (*[32]uint8)(l.q[32*j:]))
			b = b[size:]
		}
	}
}

// signedLanes has the importance of signedType.
func signedLanes(d tensor.DType, of blockType, n int32) laneType {
	factors := symmetricFactors(n)
	return laneType{
		dtype: d, blockType: of, group: 32,
		important: func(l *lanes, b []byte, x []float32) {
			l.weightsImportance(l.at(), 32)
			l.symmetricFit(l.at(), 32, factors, uint32(magicBits-n), uint32(magicBits+n-1))
			clear(l.from[:])
			l.eachLegacy(b, x, -n, n-1, func(b []byte, j int) int {
				putHalf(b, l.scale[j])
				return 2
			})
		},
	}
}

// affineLanes has the importance of affineType.
func affineLanes(d tensor.DType, of blockType, top int32) laneType {
	search := affineSearch{top: top, from: -0.9, step: 0.05, steps: 36}
	factors := search.factors()
	return laneType{
		dtype: d, blockType: of, group: 32,
		important: func(l *lanes, b []byte, x []float32) {
			l.weightsImportance(l.at(), 32)
			l.affineFit(l.at(), 32, factors, uint32(magicBits+top))
			l.eachLegacy(b, x, 0, top, func(b []byte, j int) int {
				putHalf(b, l.scale[j])
				putHalf(b[2:], l.low[j])
				return 4
			})
		},
	}
}

// nonlinearFactors are the ways of nonlinearScale to round, times the peak, but
// for the first.
func nonlinearFactors() (f []float32) {
	for k := float32(-7); k <= 7; k++ {
		f = append(f, k+nonlinear[0])
	}
	return f
}

// nonlinearBatch is what the two types have in common: pack gets 8 groups of 32
// and their number in the batch.
func nonlinearBatch(t laneType, pack func(l *lanes, b []byte, x []float32, at int)) laneType {
	factors := nonlinearFactors()
	fit := func(l *lanes, b []byte, x []float32) {
		l.nonlinearFit(l.at(), 32, factors)
		half := len(b) / 2
		pack(l, b[:half], x[:superBlock], 0)
		pack(l, b[half:], x[superBlock:], 8)
	}
	t.group = 32
	t.plain = func(l *lanes, b []byte, x []float32) {
		l.weightsSquare(l.at(), 32)
		fit(l, b, x)
	}
	t.important = func(l *lanes, b []byte, x []float32) {
		l.weightsImportance(l.at(), 32)
		fit(l, b, x)
	}
	return t
}

func lanesIQ4NL() laneType {
	return nonlinearBatch(laneType{
		dtype: tensor.IQ4NL, blockType: iq4_nl,
		spreadOf: func(x []float32) float32 { return float32(sumSquares(x) * (2. / 32)) },
	}, func(l *lanes, b []byte, x []float32, at int) {
		for j := range 8 {
			l.by[2*j] = inverse(l.scale[at+j])
			l.by[2*j+1] = l.by[2*j]
		}
		l.nonlinearLevels(&l.q, x, &l.by)
		for j := range 8 {
			putHalf(b[18*j:], l.scale[at+j])
			putLevels(b[18*j+2:18*j+18], (*[32]uint8)(l.q[32*j:]))
		}
	})
}

func lanesIQ4XS() laneType {
	return nonlinearBatch(laneType{
		dtype: tensor.IQ4XS, blockType: iq4_xs,
		spreadOf: func(x []float32) float32 { return float32(sumSquares(x) * (2. / superBlock)) },
	}, func(l *lanes, b []byte, x []float32, at int) {
		var by [8]float32
		putScalesIQ4XS(b, &by, (*[8]float32)(l.scale[at:]))
		for j := range 8 {
			l.by[2*j], l.by[2*j+1] = by[j], by[j]
		}
		l.nonlinearLevels(&l.q, x, &l.by)
		for j := range 8 {
			putLevels(b[8+16*j:24+16*j], (*[32]uint8)(l.q[32*j:]))
		}
	})
}
