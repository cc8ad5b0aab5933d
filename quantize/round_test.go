package quantize

import (
	"math"
	"math/rand/v2"
	"testing"
)

// floats returns random bit patterns, and the neighbours of multiples of ½ up to 2²⁴.
func floats(n int) (x []float32) {
	r := rand.New(rand.NewPCG(21, 22))
	for range n {
		x = append(x, math.Float32frombits(r.Uint32()))
		half := float32(r.IntN(1<<25)-1<<24) / float32(int(2)<<r.IntN(20))
		tie := float32(math.Floor(float64(half))) + 0.5
		for _, v := range []float32{half, tie} {
			x = append(x, v, math.Nextafter32(v, 1e9), math.Nextafter32(v, -1e9))
		}
	}
	return append(x, 0, float32(math.Copysign(0, -1)), 0.49999997, -0.49999997, 0.5, -0.5, 1<<31, -1<<31, 1<<23+1, float32(math.Inf(1)), float32(math.Inf(-1)), nan32)
}

func TestNearestRoundsTiesToEven(t *testing.T) {
	for _, x := range floats(100000) {
		if math.Abs(float64(x)) >= 1<<22 || x != x {
			continue
		}
		if got, want := nearest(x), int32(math.RoundToEven(float64(x))); got != want {
			t.Fatalf("nearest(%x) = %d; want %d", x, got, want)
		}
	}
}

func TestRoundAwayRoundsTiesAway(t *testing.T) {
	for _, x := range floats(100000) {
		want := int32(math.MinInt32)
		if r := math.Round(float64(x)); r >= -1<<31 && r < 1<<31 {
			want = int32(r)
		}
		if got := roundAway(x); got != want {
			t.Fatalf("roundAway(%x) = %d; want %d", x, got, want)
		}
	}
}

func TestTruncateTakesWhatDoesNotFitToTheLeastInteger(t *testing.T) {
	for _, c := range []struct {
		name string
		x    float32
		want int32
	}{
		{"fraction", -2.75, -2}, {"largest that fits", 2147483520, 2147483520}, {"2³¹", 1 << 31, math.MinInt32},
		{"−2³¹", -1 << 31, math.MinInt32}, {"infinity", float32(math.Inf(1)), math.MinInt32}, {"NaN", nan32, math.MinInt32},
	} {
		if got := truncate(c.x); got != c.want {
			t.Errorf("%s: truncate(%g) = %d; want %d", c.name, c.x, got, c.want)
		}
	}
}
