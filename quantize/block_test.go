package quantize

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/smelt-project/smelt/quantize/quantizetest"
	"github.com/smelt-project/smelt/tensor"
)

const testRow = 768 // whole blocks of every type

// modes calls f for every block type without and with importance.
func modes(t *testing.T, f func(t *testing.T, d tensor.DType, importance []float32)) {
	t.Helper()
	importance := make([]float32, testRow)
	quantizetest.Importance(rand.New(rand.NewPCG(1, 2)), importance)
	for _, d := range blockTypes() {
		t.Run(d.String()+" plain", func(t *testing.T) { f(t, d, nil) })
		t.Run(d.String()+" importance", func(t *testing.T) { f(t, d, importance) })
	}
}

func encoded(d tensor.DType, x, importance []float32) (b []byte, lost int) {
	l, _ := d.Layout()
	b = bytes.Repeat([]byte{0x5a}, len(x)/l.Elems*l.Bytes)
	lost = codecs[d].Encode(b, x, importance)
	return b, lost
}

func decoded(d tensor.DType, b []byte) []float32 {
	l, _ := d.Layout()
	x := make([]float32, len(b)/l.Bytes*l.Elems)
	codecs[d].Decode(x, b)
	return x
}

func normalRows(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// relativeError is ‖x−y‖₂/‖x‖₂.
func relativeError(x, y []float32) float64 {
	var loss, norm float64
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		loss += d * d
		norm += float64(x[i]) * float64(x[i])
	}
	return math.Sqrt(loss / norm)
}

func TestThereAreTwentyFiveBlockTypes(t *testing.T) {
	if n := len(blockTypes()); n != 25 {
		t.Errorf("%d block types; want 25", n)
	}
}

func TestErrorOfNormalRowsIsWithinMaxError(t *testing.T) {
	equalWeights := make([]float32, 1024)
	for i := range equalWeights {
		equalWeights[i] = 1
	}
	for d, c := range codecs {
		if c.Encode == nil {
			continue
		}
		for seed := range uint64(16) {
			x := normalRows(seed+100, 1024)
			for name, importance := range map[string][]float32{"plain": nil, "equal importance": equalWeights} {
				b, _ := encoded(d, x, importance)
				if got := relativeError(x, decoded(d, b)); !(got <= c.MaxError) {
					t.Errorf("%v, %s, row %d: error %.4g; want at most %.4g", d, name, seed, got, c.MaxError)
				}
			}
		}
	}
}

func TestZeroRowsDecodeToZeros(t *testing.T) {
	modes(t, func(t *testing.T, d tensor.DType, importance []float32) {
		b, lost := encoded(d, make([]float32, testRow), importance)
		if lost != 0 {
			t.Errorf("%d zeros did not fit", lost)
		}
		for i, v := range decoded(d, b) {
			if v != 0 {
				t.Fatalf("element %d = %g; want 0", i, v)
			}
		}
	})
}

func TestChunkBoundariesDoNotShow(t *testing.T) {
	const rows = 5
	modes(t, func(t *testing.T, d tensor.DType, importance []float32) {
		x := normalRows(7, rows*testRow)
		want, _ := encoded(d, x, importance)
		numbers := decoded(d, want)
		for _, split := range [][]int{{1, 1, 1, 1, 1}, {2, 3}, {4, 1}} {
			var got []byte
			var back []float32
			at := 0
			for _, n := range split {
				b, _ := encoded(d, x[at*testRow:(at+n)*testRow], importance)
				got, back = append(got, b...), append(back, decoded(d, b)...)
				at += n
			}
			if !bytes.Equal(got, want) {
				t.Errorf("rows %v apart give other bytes than together", split)
			}
			for i := range back {
				if back[i] != numbers[i] {
					t.Fatalf("rows %v apart decode to other numbers than together", split)
				}
			}
		}
	})
}

func TestWorkersDoNotShow(t *testing.T) {
	x := normalRows(8, testRow)
	modes(t, func(t *testing.T, d tensor.DType, importance []float32) {
		want, _ := encoded(d, x, importance)
		fastest, err := choosePath("")
		if err != nil {
			t.Fatal(err)
		}
		c, _ := fastest.codec(d)
		var got [4][]byte
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				got[i] = make([]byte, len(want))
				c.Encode(got[i], x, importance)
			})
		}
		wg.Wait()
		for _, b := range got {
			if !bytes.Equal(b, want) {
				t.Error("concurrent calls give different bytes")
			}
		}
	})
}

// A row of hard numbers is encoded without a panic, and what was finite stays
// so unless it was counted.
func TestHardRowsStayFiniteOrAreCounted(t *testing.T) {
	modes(t, func(t *testing.T, d tensor.DType, importance []float32) {
		for _, g := range quantizetest.Generators {
			r := rand.New(rand.NewPCG(9, uint64(d)))
			for range 4 {
				x := make([]float32, testRow)
				g.Fill(r, x)
				b, lost := encoded(d, x, importance)
				if lost < 0 || lost > countFinite(x) {
					t.Errorf("%s: %d of %d finite values lost", g.Name, lost, countFinite(x))
				}
				if n := countFinite(decoded(d, b)); lost == 0 && countFinite(x) == testRow && n != testRow {
					t.Errorf("%s: %d of %d values are finite after decoding, 0 counted as lost", g.Name, n, testRow)
				}
			}
		}
	})
}

func TestValuesThatDoNotFitAreCounted(t *testing.T) {
	large := map[tensor.DType]int{ // otherwise the whole block around the value
		tensor.MXFP4: 0, // its scales reach 2¹²⁷
		tensor.NVFP4: 1, // clipped alone
	}
	for _, d := range blockTypes() {
		l, _ := d.Layout()
		x := normalRows(3, testRow)
		x[5] = 1e30
		want, ok := large[d]
		if !ok {
			want = l.Elems
		}
		if _, lost := encoded(d, x, nil); lost != want {
			t.Errorf("%v: %d lost; want %d", d, lost, want)
		}
	}
}

func TestImportantColumnsLoseLess(t *testing.T) {
	ignored := map[tensor.DType]bool{
		tensor.Q8_0: true, tensor.TQ1_0: true, tensor.TQ2_0: true, tensor.MXFP4: true, tensor.NVFP4: true, tensor.Q1_0: true, tensor.Q2_0: true,
	}
	importance := make([]float32, testRow)
	for i := range importance {
		importance[i] = 1
		if i%4 == 0 {
			importance[i] = 100
		}
	}
	for _, d := range blockTypes() {
		var plain, weighted float64
		for seed := range uint64(4) {
			x := normalRows(seed, testRow)
			for i, sum := range []*float64{&plain, &weighted} {
				b, _ := encoded(d, x, [][]float32{nil, importance}[i])
				for j, v := range decoded(d, b) {
					if j%4 == 0 {
						*sum += float64(v-x[j]) * float64(v-x[j])
					}
				}
			}
		}
		if better := weighted < plain; better == ignored[d] {
			t.Errorf("%v: squared error of important columns %.4g with their importance, %.4g without; want less: %v", d, weighted, plain, !ignored[d])
		}
	}
}

func TestEqualImportanceStandsInWhereItIsNeeded(t *testing.T) {
	x, ones := normalRows(4, testRow), make([]float32, testRow)
	for i := range ones {
		ones[i] = 1
	}
	for _, d := range []tensor.DType{tensor.IQ1S, tensor.IQ2XXS, tensor.IQ2XS} {
		if !codecs[d].NeedsImportance {
			t.Errorf("%v does not need importance", d)
		}
		plain, _ := encoded(d, x, nil)
		if equal, _ := encoded(d, x, ones); !bytes.Equal(plain, equal) {
			t.Errorf("%v: no importance and equal importance give different bytes", d)
		}
		if _, err := NewTranscoder(d, tensor.F32); err == nil {
			t.Errorf("a transcoder to %v without importance was made", d)
		}
	}
}

func TestCodecsDoNotAllocate(t *testing.T) {
	modes(t, func(t *testing.T, d tensor.DType, importance []float32) {
		x := normalRows(5, testRow)
		b, _ := encoded(d, x, importance) // makes the lists of near points
		decoded(d, b)
		for i := range paths {
			p := &paths[i]
			if !p.available {
				continue
			}
			c, _ := p.codec(d)
			// The mean of many runs, rounded down: a pool may be emptied at times.
			if n := testing.AllocsPerRun(20, func() { c.Encode(b, x, importance); c.Decode(x, b) }); n != 0 {
				t.Errorf("%s: %v allocations a row; want 0", p.name, n)
			}
		}
	})
}

func TestTranscodingBlocks(t *testing.T) {
	x := normalRows(6, 2*testRow)
	half := make([]byte, 2*len(x))
	encodeF16(half, x, nil)
	decodeF16(x, half)
	for _, d := range []tensor.DType{tensor.Q8_0, tensor.Q4K, tensor.NVFP4} {
		want, _ := encoded(d, x, nil)
		to, err := NewTranscoder(d, tensor.F16)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if n := to(got, half, make([]float32, len(x))); n != 0 || !bytes.Equal(got, want) {
			t.Errorf("f16 to %v differs from the codec, or lost %d", d, n)
		}
		from, err := NewTranscoder(tensor.F32, d)
		if err != nil {
			t.Fatal(err)
		}
		back, wantBack := make([]byte, 4*len(x)), make([]byte, 4*len(x))
		from(back, want, make([]float32, len(x)))
		encodeF32(wantBack, decoded(d, want), nil)
		if !bytes.Equal(back, wantBack) {
			t.Errorf("%v to f32 differs from the codec", d)
		}
	}
	if v := Number(tensor.Q4_0, make([]byte, 18)); v == v {
		t.Errorf("one number of a block of 32 = %g; want NaN", v)
	}
}

// FuzzBlocks takes any bytes, repeated, for blocks, and for numbers and their importance.
func FuzzBlocks(f *testing.F) {
	r := rand.New(rand.NewPCG(10, 11))
	for i, g := range quantizetest.Generators {
		x := make([]float32, 64)
		g.Fill(r, x)
		b := make([]byte, 4*len(x))
		encodeF32(b, x, nil)
		f.Add(b, uint8(i), i%2 == 0)
	}
	types := blockTypes()
	f.Fuzz(func(t *testing.T, data []byte, kind uint8, weighted bool) {
		d := types[int(kind)%len(types)]
		l, _ := d.Layout()
		var all [2048]byte
		for n := 0; n < len(all) && len(data) > 0; {
			n += copy(all[n:], data)
		}
		blocks := all[:256/l.Elems*l.Bytes]
		if y := decoded(d, blocks); fmt.Sprint(y) != fmt.Sprint(decoded(d, blocks)) {
			t.Errorf("%v decodes differently the second time", d)
		}
		var x [512]float32
		decodeF32(x[:], all[:])
		importance := x[256:]
		if !weighted {
			importance = nil
		}
		ordinary := countFinite(x[:]) == len(x)
		for _, w := range importance {
			ordinary = ordinary && w >= 0 && w < 1e12
		}
		b, lost := encoded(d, x[:256], importance)
		if y := decoded(d, b); lost == 0 && ordinary && countFinite(y) != len(y) {
			t.Errorf("%v: finite numbers are not finite after decoding, and not counted", d)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	x := normalRows(12, 16*1024)
	importance := make([]float32, 1024)
	quantizetest.Importance(rand.New(rand.NewPCG(1, 2)), importance)
	onPathsAnd(b, append(blockTypes(), tensor.F32, tensor.F16, tensor.BF16), func(b *testing.B, d tensor.DType, c Codec) {
		l, _ := d.Layout()
		for name, importance := range map[string][]float32{"plain": nil, "importance": importance} {
			b.Run(name, func(b *testing.B) {
				dst := make([]byte, len(x)/l.Elems*l.Bytes)
				c.Encode(dst, x, importance) // makes the lists of near points
				b.SetBytes(int64(4 * len(x)))
				for b.Loop() {
					c.Encode(dst, x, importance)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(x)), "ns/elem")
			})
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	x := normalRows(13, 16*1024)
	onPathsAnd(b, append(blockTypes(), tensor.F32, tensor.F16, tensor.BF16), func(b *testing.B, d tensor.DType, c Codec) {
		src, _ := encoded(d, x, nil)
		b.SetBytes(int64(4 * len(x)))
		for b.Loop() {
			c.Decode(x, src)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(x)), "ns/elem")
	})
}

// onPathsAnd runs f for the codec of every type on every path that has one of
// its own.
func onPathsAnd(b *testing.B, types []tensor.DType, f func(b *testing.B, d tensor.DType, c Codec)) {
	for _, d := range types {
		for i := range paths {
			p := &paths[i]
			if p.available && (i == 0 || p.encode[d] != nil || p.decode[d] != nil) {
				c, _ := p.codec(d)
				b.Run(d.String()+"/"+p.name, func(b *testing.B) { f(b, d, c) })
			}
		}
	}
}
