package quantize

import "testing"

func TestNonlinearLevelIsTheNearestUpperOne(t *testing.T) {
	for _, v := range floats(200000) {
		if v != v {
			if got := nonlinearLevel(v); got != 15 {
				t.Errorf("level of NaN = %d; want 15", got)
			}
			continue
		}
		want := 0
		for q, n := range nonlinear {
			// float64 differences are exact, so that ties are seen
			if d := abs64(float64(v) - float64(n)); d <= abs64(float64(v)-float64(nonlinear[want])) {
				want = q
			}
		}
		if got := nonlinearLevel(v); int(got) != want && abs(v) < 1<<20 { // beyond, all are equally far
			t.Fatalf("level of %x = %d, %g away; want %d, %g away", v, got, abs(v-nonlinear[got]), want, abs(v-nonlinear[want]))
		}
	}
}

func abs64(x float64) float64 { return max(x, -x) }
