package quantize

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestPackedLevelsComeBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		levels uint32
		bytes  int
		put    func(b []byte, q *[superBlock]uint8)
		get    func(q *[superBlock]uint8, b []byte)
	}{
		{"crumbs", 4, 64, putCrumbs, crumbs},
		{"nibbles", 16, 128, putNibbles, nibbles},
		{"nibbles and fifth bits", 32, 160, putNibbles, nibbles},
		{"one bit", 2, 32, func(b []byte, q *[superBlock]uint8) { putBitPlane(b, q, 0) }, func(q *[superBlock]uint8, b []byte) { bitPlane(q, b, 0) }},
		{"six bits", 64, 192, putQ6K, levelsQ6K},
		{"pairs", 4, 64, func(b []byte, q *[superBlock]uint8) { putPairs(b, q[:]) }, func(q *[superBlock]uint8, b []byte) { pairs(q[:], b) }},
		{"levels", 16, 16, putFirst, getFirst},
		{"levels and fifth bits", 32, 20, putFirst, getFirst},
	} {
		r := rand.New(rand.NewPCG(18, 19))
		for range 50 {
			var q, back [superBlock]uint8
			for i := range q {
				if c.bytes > 20 || i < 32 {
					q[i] = uint8(r.Uint32N(c.levels))
				}
			}
			b := make([]byte, c.bytes)
			c.put(b, &q)
			c.get(&back, b)
			if back != q {
				t.Fatalf("%s: %v\ncame back as %v", c.name, q, back)
			}
		}
	}
}

func putFirst(b []byte, q *[superBlock]uint8) { putLevels(b, (*[32]uint8)(q[:])) }
func getFirst(q *[superBlock]uint8, b []byte) { levels((*[32]uint8)(q[:]), b) }

// Rows with NaNs have any bytes for trits, and ggml computes with bytes.
func TestTritsArePackedModulo256(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 21))
	for range 200 {
		var q [superBlock]uint8
		for i := range q {
			q[i] = uint8(r.Uint32())
		}
		got, want := make([]byte, 54), make([]byte, 54)
		putTrits(got, &q)
		from := q[:]
		for _, r := range tritRuns {
			for j := range r.bytes {
				var v uint8
				for n := range 5 {
					v *= 3
					if n < r.levels {
						v += from[n*r.bytes+j]
					}
				}
				want[r.at+j] = uint8((uint32(v)*256 + 242) / 243)
			}
			from = from[r.levels*r.bytes:]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("packed %x; want %x", got, want)
		}
	}
}
