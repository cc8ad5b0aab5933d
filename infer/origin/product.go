package origin

// A matrix is rows of float64, one after the other. The float64 are float32
// numbers, so that their products are exact.
type matrix struct {
	data        []float64
	rows, width int
}

func (m matrix) row(i int) []float64 { return m.data[i*m.width : (i+1)*m.width] }

// widen fills dst with src.
func widen(dst []float64, src []float32) {
	dst = dst[:len(src)]
	for i, x := range src {
		dst[i] = float64(x)
	}
}

// tileX and tileW are how many rows of x and of w one pass multiplies: their
// sums and operands are in registers on amd64, where 4 and 2 are not.
const tileX, tileW = 3, 2

// product makes dst[t·stride+o] = Σᵢ w[o,i]·x[t,i].
func product[T float32 | float64](dst []T, stride int, x, w matrix) {
	for t := 0; t < x.rows; t += tileX {
		var xs [tileX][]float64
		for i := range xs {
			xs[i] = x.row(min(t+i, x.rows-1))
		}
		nx := min(tileX, x.rows-t)
		for o := 0; o < w.rows; o += tileW {
			nw := min(tileW, w.rows-o)
			var sums [tileX][tileW]float64
			if nx == 1 {
				sums[0][0], sums[0][1] = pair(xs[0], w.row(o), w.row(o+nw-1))
			} else {
				sums = tile(xs, w.row(o), w.row(o+nw-1))
			}
			for i := range nx {
				for j := range nw {
					dst[(t+i)*stride+o+j] = T(sums[i][j])
				}
			}
		}
	}
}

// tile returns the products of three rows with two.
func tile(x [tileX][]float64, w0, w1 []float64) [tileX][tileW]float64 {
	n := len(w0)
	w1 = w1[:n]
	x0, x1, x2 := x[0][:n], x[1][:n], x[2][:n]
	var a00, a01, a10, a11, a20, a21 float64
	for k, u := range w0 {
		v := w1[k]
		a00 += x0[k] * u
		a01 += x0[k] * v
		a10 += x1[k] * u
		a11 += x1[k] * v
		a20 += x2[k] * u
		a21 += x2[k] * v
	}
	return [tileX][tileW]float64{{a00, a01}, {a10, a11}, {a20, a21}}
}

// pair returns the products of one row with two.
func pair(x, w0, w1 []float64) (a0, a1 float64) {
	n := len(x)
	w0, w1 = w0[:n], w1[:n]
	for k, u := range x {
		a0 += u * w0[k]
		a1 += u * w1[k]
	}
	return a0, a1
}
