package quantize

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestCandidatesSuitTheRowsAndTheImportance(t *testing.T) {
	for _, c := range []struct {
		name    string
		row     int
		bits    float64
		weighed Weighing
		with    []tensor.DType
		without []tensor.DType
	}{
		{"whole superblocks", 512, 8, Weighed, []tensor.DType{tensor.Q4K, tensor.Q8_0}, []tensor.DType{tensor.IQ3S, tensor.IQ2S}},
		{"whole blocks", 576, 8, Unweighed, []tensor.DType{tensor.Q4_0, tensor.IQ4NL}, []tensor.DType{tensor.Q4K}},
		{"odd rows", 3, 8, Unweighed, []tensor.DType{tensor.F16}, []tensor.DType{tensor.Q8_0}},
		{"small, weighed", 256, 3, Weighed, []tensor.DType{tensor.IQ3S, tensor.IQ1S}, nil},
		{"small, unweighed", 256, 3, Unweighed, []tensor.DType{tensor.IQ3S}, []tensor.DType{tensor.IQ1S, tensor.IQ3XXS}},
	} {
		var got []tensor.DType
		for _, k := range Candidates(c.row, c.bits, c.weighed) {
			got = append(got, k.DType)
		}
		for _, d := range c.with {
			if !slices.Contains(got, d) {
				t.Errorf("%s: %v has no %v", c.name, got, d)
			}
		}
		for _, d := range c.without {
			if slices.Contains(got, d) {
				t.Errorf("%s: %v has %v", c.name, got, d)
			}
		}
	}
}

// The importance of every type that llama.cpp refuses to make without is asked for.
func TestCandidatesAgreeWithTheTypesThatNeedImportance(t *testing.T) {
	for _, c := range candidates {
		if codecs[c.DType].NeedsImportance && !c.Importance || importanceTypes[c.DType] != c.Importance {
			t.Errorf("%v: importance %v, llama.cpp's rule says %v", c.DType, c.Importance, importanceTypes[c.DType])
		}
	}
}

func TestWeightedErrorCountsColumnsByTheirImportance(t *testing.T) {
	const rows, row = 3, 64
	r := rand.New(rand.NewPCG(3, 4))
	src, w := make([]byte, 4*rows*row), make([]float32, row)
	for i := range rows * row {
		binary.LittleEndian.PutUint32(src[4*i:], math.Float32bits(float32(r.NormFloat64())))
	}
	for i := range w {
		w[i] = float32(r.ExpFloat64())
	}
	q, err := NewQuantizer(tensor.Q4_0, tensor.F32)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := tensor.Q4_0.Layout()
	dst, y := make([]byte, rows*row/l.Elems*l.Bytes), make([]float32, rows*row)
	got, ok := q.WeightedError(dst, src, w, &Scratch{})
	codecs[tensor.Q4_0].Decode(y, dst)
	var want float64
	for i, y := range y {
		d := float64(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))) - float64(y)
		want += float64(w[i%row]) * (d * d)
	}
	// each of the terms and sums is rounded once more at most where the platform fuses none
	if limit := rows * row * 0x1p-52 * want; !ok || math.Abs(got-want) > limit || want == 0 {
		t.Errorf("weighted error %g, %v; want %g ± %g", got, ok, want, limit)
	}
	plain, _ := q.WeightedError(dst, src, nil, &Scratch{})
	if m := q.Quantize(dst, src, nil, &Scratch{}); plain != m.Errors {
		t.Errorf("without importance %g, want %g", plain, m.Errors)
	}
	binary.LittleEndian.PutUint32(src, math.Float32bits(math.MaxFloat32))
	if _, ok := q.WeightedError(dst, src, nil, &Scratch{}); ok {
		t.Error("a block whose scale is infinite fits")
	}
}
