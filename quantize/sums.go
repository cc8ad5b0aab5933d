package quantize

// sumLanes is the number of parts in which sums over a run are taken: a kernel
// takes them side by side and gets the same result.
const sumLanes = 16

// sums are Σx² and Σ(x−y)² of a run in parts: part j of both is of the elements
// j, j+16, j+32 …, added in this order in float64.
type sums struct{ squares, errors [sumLanes]float64 }

// A summing is addAll, or does the same.
type summing func(s *sums, x, y []float32)

// addAll adds elements that begin at a multiple of sumLanes in the run. Where
// one of x is not finite, neither is a part of the squares.
func (s *sums) addAll(x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		s.add(i%sumLanes, v, y[i])
	}
}

func (s *sums) add(lane int, x, y float32) {
	a, d := float64(x), float64(x)-float64(y)
	s.squares[lane] += float64(a * a)
	s.errors[lane] += float64(d * d)
}

// finite reports whether all of x were: the squares of float32 are far from
// overflowing.
func (s *sums) finite() bool {
	for _, v := range s.squares {
		if v-v != 0 {
			return false
		}
	}
	return true
}

func total(parts *[sumLanes]float64) (sum float64) {
	for _, v := range parts {
		sum += v
	}
	return sum
}
