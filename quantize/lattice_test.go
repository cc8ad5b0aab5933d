package quantize

import (
	"slices"
	"testing"
)

func TestLatticesHoldTheirPointsAndTheNearestOnes(t *testing.T) {
	for _, c := range []struct {
		name           string
		lattice        func() *lattice
		points, shells int
		step, offset   float32
	}{
		{"iq2_xxs", latticeIQ2XXS, 256, 2, 2, 1}, {"iq2_xs", latticeIQ2XS, 512, 2, 2, 1}, {"iq2_s", latticeIQ2S, 1024, 1, 2, 1},
		{"iq1", latticeIQ1, 2048, 3, 1, -1}, {"iq3_xxs", latticeIQ3XXS, 256, 2, 2, 1}, {"iq3_s", latticeIQ3S, 512, 3, 2, 1},
	} {
		l := c.lattice()
		if n := len(l.values) / l.dims; n != c.points {
			t.Fatalf("%s: %d points; want %d", c.name, n, c.points)
		}
		points := 0
		for code, n := range l.number {
			at := coordinates(code, l.dims, l.base)
			if n >= 0 {
				for i, v := range l.values[int(n)*l.dims:][:l.dims] {
					if want := c.step*float32(at[i]) + c.offset; v != want {
						t.Fatalf("%s: value %d of point %d = %g; want %g", c.name, i, n, v, want)
					}
				}
				points++
				continue
			}
			if code%29 != 0 {
				continue // one in 29 is compared with all points
			}
			if got, want := l.near[l.start[code]:l.start[code+1]], nearestPoints(l, at, c.step, c.offset, c.shells); !slices.Equal(got, want) {
				t.Fatalf("%s: near code %d are %v; want %v", c.name, code, got, want)
			}
		}
		if points != c.points {
			t.Errorf("%s: %d codes have a point; want %d", c.name, points, c.points)
		}
	}
}

// nearestPoints measures every distance and sorts.
func nearestPoints(l *lattice, at []int, step, offset float32, shells int) (near []uint16) {
	type point struct{ distance, number int }
	var all []point
	for n := range len(l.values) / l.dims {
		p := point{number: n}
		for i, v := range l.values[n*l.dims:][:l.dims] {
			d := int((v-offset)/step) - at[i]
			p.distance += d * d
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b point) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return a.number - b.number
	})
	last := -1
	for _, p := range all {
		if p.distance != last {
			last = p.distance
			shells--
		}
		if shells < 0 {
			break
		}
		near = append(near, uint16(p.number))
	}
	return near
}

func TestSignsOfEightAreStoredInSeven(t *testing.T) {
	x := []float32{-1, 2, -3, 4, 5, -6, 0.5, 8} // three signs: the least element changes its own
	w := []float32{1, 1, 1, 1, 1, 1, 1, 1}
	mag := make([]float32, 8)
	signs := split(mag, x)
	if want := uint8(0b00100101); signs != want {
		t.Errorf("signs %08b; want %08b", signs, want)
	}
	signs = makeEven(signs, mag, x, w)
	if want := uint8(0b01100101); signs != want || mag[6] != -0.5 {
		t.Errorf("even signs %08b, magnitude %g; want %08b, -0.5", signs, mag[6], want)
	}
	for s := range 256 {
		signs := uint8(s)
		even := makeEven(signs, make([]float32, 8), x, w)
		if withParity(even&127) != even {
			t.Fatalf("signs %08b come back as %08b", even, withParity(even&127))
		}
	}
}
