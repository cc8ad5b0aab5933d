package quantize

// The searches of ggml for scales and levels that lose least. All sums run from
// the first element to the last, and products are taken from the left, because
// the order decides the last bit.

// tiny is the magnitude below which ggml takes a group for zeros
// (ggml-quants.c@d99724f2, GROUP_MAX_EPS).
const tiny = 1e-15

// symmetric returns the scale d and sets the levels q for x ≈ d·(q−n), q ∈
// [0, 2n), that maximize (Σ w·x·l)²/Σ w·l² with l = q−n over 19 ways to round:
// l = x·(n+0.1k)/−m, k from −9 to 9, m the element of largest magnitude. d is
// the least-squares scale of these levels. A group of zeros has q = 0, not n.
// (ggml-quants.c@d99724f2, make_qx_quants)
func symmetric(q []uint8, x, w []float32, n int32) (d float32) {
	m := peak(x)
	if abs(m) < tiny {
		clear(q)
		return 0
	}
	inv := -float32(n) / m
	sumLX, sumL2 := symmetricSums(x, w, inv, n)
	if sumL2 != 0 {
		d = sumLX / sumL2
	}
	best, bestInv := float32(d*sumLX), inv
	for k := float32(-9); k <= 9; k++ {
		if k == 0 {
			continue
		}
		inv = -(float32(n) + float32(0.1*k)) / m
		sumLX, sumL2 = symmetricSums(x, w, inv, n)
		if sumL2 > 0 && float32(sumLX*sumLX) > float32(best*sumL2) {
			d = sumLX / sumL2
			best, bestInv = float32(d*sumLX), inv
		}
	}
	for i, v := range x {
		q[i] = uint8(n + clamp(nearest(float32(bestInv*v)), -n, n-1))
	}
	return d
}

// symmetricSums returns Σ w·x·l and Σ w·l² of the levels l = x·inv.
func symmetricSums(x, w []float32, inv float32, n int32) (sumLX, sumL2 float32) {
	w = w[:len(x)]
	for i, v := range x {
		l := float32(clamp(nearest(float32(inv*v)), -n, n-1))
		sumLX += float32(float32(w[i]*v) * l)
		sumL2 += float32(float32(w[i]*l) * l)
	}
	return sumLX, sumL2
}

// refined is symmetric with weights x² and another search: from the first
// rounding, single levels are changed as long as that helps, in at most five
// rounds. (ggml-quants.c@d99724f2, make_q3_quants)
func refined(q []uint8, x []float32, n int32) (d float32) {
	m := peak(x)
	if abs(m) < tiny {
		clear(q)
		return 0
	}
	inv := -float32(n) / m
	var level [16]int32
	var sumLX, sumL2 float32
	for i, v := range x {
		level[i] = clamp(nearest(float32(inv*v)), -n, n-1)
		l, w := float32(level[i]), float32(v*v)
		sumLX += float32(float32(w*v) * l)
		sumL2 += float32(float32(w*l) * l)
	}
	for range 5 {
		changed := false
		for i, v := range x {
			l, w := float32(level[i]), float32(v*v)
			lx := sumLX - float32(float32(w*v)*l)
			if !(lx > 0) {
				continue
			}
			l2 := sumL2 - float32(float32(w*l)*l)
			to := clamp(nearest(float32(v*l2)/lx), -n, n-1)
			if to == level[i] {
				continue
			}
			l = float32(to)
			lx += float32(float32(w*v) * l)
			l2 += float32(float32(w*l) * l)
			if l2 > 0 && float32(float32(lx*lx)*sumL2) > float32(float32(sumLX*sumLX)*l2) {
				level[i], sumLX, sumL2, changed = to, lx, l2, true
			}
		}
		if !changed {
			break
		}
	}
	for i := range q {
		q[i] = uint8(level[i] + n)
	}
	if sumL2 > 0 {
		return sumLX / sumL2
	}
	return 0
}

// An affineSearch looks for x ≈ d·q − m, q ∈ [0, top], m ≥ 0, with the least
// Σ w·(d·q − m − x)². It rounds x in steps+1 ways, q = (x−min)·(top + from +
// step·k)/(max−min), and solves for d and m by least squares each time; −m is
// the min of the next ways if it was better.
type affineSearch struct {
	top        int32
	from, step float32
	steps      int
	absolute   bool // compare by Σ w·|d·q − m − x|
}

// fit sets q, as long as x, at most 32.
// (ggml-quants.c@d99724f2, make_qkx2_quants and make_qkx3_quants)
func (s *affineSearch) fit(q []uint8, x, w []float32) (d, m float32) {
	w = w[:len(x)]
	low, high, sumW := x[0], x[0], w[0]
	sumX := float32(sumW * x[0])
	for i, v := range x[1:] {
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
		sumW += w[i+1]
		sumX += float32(w[i+1] * v)
	}
	if low > 0 {
		low = 0
	}
	if high == low {
		clear(q)
		return 0, -low
	}
	var level [32]float32
	inv := float32(s.top) / (high - low)
	d = 1 / inv
	for i, v := range x {
		level[i] = float32(clamp(nearest(float32(inv*(v-low))), 0, s.top))
	}
	least := s.loss(level[:], x, w, d, low)
	bestInv, bestLow := inv, low
	for k := range s.steps + 1 {
		inv = (s.from + float32(s.step*float32(k)) + float32(s.top)) / (high - low)
		var sumL, sumL2, sumLX float32
		for i, v := range x {
			l := float32(clamp(nearest(float32(inv*(v-low))), 0, s.top))
			level[i] = l
			wl := float32(w[i] * l)
			sumL += wl
			sumL2 += float32(wl * l)
			sumLX += float32(wl * v)
		}
		det := float32(sumW*sumL2) - float32(sumL*sumL)
		if !(det > 0) {
			continue
		}
		dk := (float32(sumW*sumLX) - float32(sumX*sumL)) / det
		lowk := (float32(sumL2*sumX) - float32(sumL*sumLX)) / det
		if lowk > 0 {
			lowk, dk = 0, sumLX/sumL2
		}
		if loss := s.loss(level[:], x, w, dk, lowk); loss < least {
			least, bestInv, bestLow = loss, inv, low
			d, low = dk, lowk
		}
	}
	for i, v := range x {
		q[i] = uint8(clamp(nearest(float32(bestInv*(v-bestLow))), 0, s.top))
	}
	return d, -low
}

// loss weighs the differences between d·level + low and x.
func (s *affineSearch) loss(level, x, w []float32, d, low float32) (sum float32) {
	level, w = level[:len(x)], w[:len(x)]
	for i, v := range x {
		diff := float32(d*level[i]) + low - v
		if s.absolute {
			diff = abs(diff)
		} else {
			diff = float32(diff * diff)
		}
		sum += float32(w[i] * diff)
	}
	return sum
}

// positive returns the scale d and sets the levels q for x ≈ d·q, q ∈ [0, top],
// x ≥ 0 but for rounding, with little Σ w·(x−d·q)²: the best of nine ways to
// round, then single levels are changed as long as that helps, in at most five
// rounds. (ggml-quants.c@d99724f2, make_qp_quants)
func positive(q []uint8, x, w []float32, top int32) (d float32) {
	w, q = w[:len(x)], q[:len(x)]
	var high float32
	for _, v := range x {
		high = larger(high, v)
	}
	if high < tiny {
		clear(q)
		return 0
	}
	inv := float32(top) / high
	d = 1 / inv
	var least float32
	for i, v := range x {
		diff := v - float32(d*float32(uint8(nearest(float32(inv*v)))))
		least += float32(float32(w[i]*diff) * diff)
	}
	for k := float32(-4); k <= 4; k++ {
		if k == 0 {
			continue
		}
		invk := (float32(0.1*k) + float32(top)) / high
		dk := 1 / invk
		var loss float32
		for i, v := range x {
			diff := v - float32(dk*float32(min(top, nearest(float32(invk*v)))))
			loss += float32(float32(w[i]*diff) * diff)
		}
		if loss < least {
			least, inv = loss, invk
		}
	}
	var sumLX, sumL2 float32
	for i, v := range x {
		level := min(top, nearest(float32(inv*v)))
		q[i] = uint8(level)
		l := float32(level)
		sumLX += float32(float32(w[i]*v) * l)
		sumL2 += float32(float32(w[i]*l) * l)
	}
	for range 5 {
		changed := false
		for i, v := range x {
			l := float32(q[i])
			lx := sumLX - float32(float32(w[i]*v)*l)
			l2 := sumL2 - float32(float32(w[i]*l)*l)
			if !(lx > 0 && l2 > 0) {
				continue
			}
			to := min(top, nearest(float32(v*l2)/lx))
			if to == int32(q[i]) {
				continue
			}
			l = float32(to)
			lx += float32(float32(w[i]*v) * l)
			l2 += float32(float32(w[i]*l) * l)
			if float32(float32(lx*lx)*sumL2) > float32(float32(sumLX*sumLX)*l2) {
				q[i], sumLX, sumL2, changed = uint8(to), lx, l2, true
			}
		}
		if !changed {
			break
		}
	}
	if sumL2 > 0 {
		return sumLX / sumL2
	}
	return 0
}
