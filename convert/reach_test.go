package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// layered is a model whose matrices have rows of whole superblocks and weights of
// different sizes.
func layered(t *testing.T) *Source {
	t.Helper()
	tensors := []*tensor.Tensor{floats(t, "output_norm.weight", tensor.Shape{256}, normal(99, 256))}
	for layer := range 8 {
		for i, part := range []string{"attn_q", "attn_v", "ffn_up", "ffn_down"} {
			x := normal(uint64(10*layer+i), 16*256)
			for k := range x {
				x[k] *= float32(1+layer) * float32(1+3*i)
			}
			tensors = append(tensors, floats(t, fmt.Sprintf("blk.%d.%s.weight", layer, part), tensor.Shape{16, 256}, x))
		}
	}
	return sourceOf(t, tensor.Meta{}, tensors...)
}

func planned(t *testing.T, s *Source, opt Options) *Plan {
	t.Helper()
	p, err := NewPlan(context.Background(), s, "x.gguf", opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// measured returns the options of a plan's tensors at 3 bits for a weight.
func measured(t *testing.T, p *Plan) [][]quantize.Option {
	t.Helper()
	options, err := p.sized(3)
	if err != nil {
		t.Fatal(err)
	}
	if options, err = p.measure(context.Background(), options, 2); err != nil {
		t.Fatal(err)
	}
	return options
}

func TestMeasuringTellsHowMuchIsDone(t *testing.T) {
	var mu sync.Mutex
	var calls, most, all int64
	tell := func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if calls == 0 && done != 0 || calls > 0 && total != all || done > total {
			t.Errorf("call %d: %d of %d bytes, want none first and then up to %d", calls, done, total, all)
		}
		calls, most, all = calls+1, max(most, done), total
	}
	planned(t, layered(t), Options{Goal: Goal{BitsPerWeight: 5}, Progress: tell})
	if calls < 3 || most != all || all == 0 {
		t.Errorf("%d calls, the last of %d of %d bytes", calls, most, all)
	}
}

func TestFilesAreNeverLargerThanAsked(t *testing.T) {
	s := layered(t)
	var unreachable *GoalError
	_, err := NewPlan(context.Background(), s, "x.gguf", Options{Goal: Goal{Size: 1}})
	if !errors.As(err, &unreachable) || unreachable.Size != 1 {
		t.Fatalf("a file of a byte: %v, want a GoalError", err)
	}
	if _, err := NewPlan(context.Background(), s, "x.gguf", Options{Goal: Goal{Size: unreachable.Smallest - 1}}); err == nil {
		t.Errorf("a file of %d bytes is possible, one of %d was called the smallest", unreachable.Smallest-1, unreachable.Smallest)
	}
	for _, c := range []struct {
		name string
		size int64
		meta []string
	}{
		{"the smallest", unreachable.Smallest, nil},
		{"a byte more", unreachable.Smallest + 1, nil},
		{"half as much more", unreachable.Smallest * 3 / 2, nil},
		{"more, wide padding", unreachable.Smallest * 5 / 2, []string{"general.alignment=u32:2048"}},
		{"everything", 100 * unreachable.Smallest, nil},
	} {
		dst := filepath.Join(t.TempDir(), "x.gguf")
		r, err := planned(t, s, Options{Goal: Goal{Size: c.size}, Meta: c.meta}).Run(context.Background(), dst, RunOptions{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if st, err := os.Stat(dst); err != nil || st.Size() != r.Size || r.Size > c.size || r.Size < unreachable.Smallest {
			t.Errorf("%s: %d bytes, %v; want %d to %d", c.name, r.Size, err, unreachable.Smallest, c.size)
		}
	}
}

func TestBitsPerWeightAreAtMostThoseAskedFor(t *testing.T) {
	s := layered(t)
	for _, bits := range []float64{4.2, 4.5, 5.6789, 8.4, 16, 40} {
		var bytes, elems int64
		for _, step := range planned(t, s, Options{Goal: Goal{BitsPerWeight: bits}}).Steps {
			n, _ := step.To.Size()
			e, _ := step.To.Shape.Elems()
			bytes, elems = bytes+n, elems+e
		}
		if got := 8 * float64(bytes) / float64(elems); got > bits || got < min(bits, 32)-0.5 {
			t.Errorf("%g bits asked: %g", bits, got)
		}
	}
	var unreachable *GoalError
	_, err := NewPlan(context.Background(), s, "x.gguf", Options{Goal: Goal{BitsPerWeight: 1}})
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), fmt.Sprintf("%.4f", unreachable.Bits)) || unreachable.Bits <= 1 {
		t.Errorf("1 bit: %v, want a GoalError that names what is possible", err)
	}
}

func TestTypesForASizeHaveLessErrorThanThoseOfARecipe(t *testing.T) {
	for _, name := range []string{"Q4_K_M", "Q3_K_M", "Q5_K_S", "Q2_K"} {
		r, file := written(t, layered(t), Options{Type: name}, RunOptions{})
		better, smaller := written(t, layered(t), Options{Goal: Goal{Size: int64(len(file))}}, RunOptions{})
		got, want := TotalLoss(better.Losses).Errors, TotalLoss(r.Losses).Errors
		if got >= want || len(smaller) > len(file) {
			t.Errorf("error %g in %d bytes, %s has %g in %d", got, len(smaller), name, want, len(file))
		}
	}
}

// With an importance matrix it is the weighed error that is less than that of a
// recipe made with the same matrix.
func TestTypesForASizeHaveLessWeighedErrorThanThoseOfARecipe(t *testing.T) {
	source := layered(t)
	var entries []*tensor.Tensor
	weights := map[string][]float32{}
	for i, w := range source.Model.Tensors()[1:] {
		x := positive(uint64(200+i), 256)
		for k := range x { // from alike to very different
			x[k] = float32(math.Pow(float64(x[k]), float64(i%5)))
		}
		weights[w.Name] = x
		entries = append(entries, floats(t, w.Name, tensor.Shape{1, 256}, x))
	}
	how := Quantization{Importance: imatrix(t, entries...)}
	weighed := func(file []byte) (sum float64) {
		data, m := bytesIn(t, file)
		for _, w := range source.Model.Tensors()[1:] {
			b, err := w.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			x, y, mean := decoded(t, w.DType, b), decoded(t, m.Tensor(w.Name).DType, data[w.Name]), meanOf(weights[w.Name])
			for i, v := range x {
				d := float64(v) - float64(y[i])
				sum += float64(weights[w.Name][i%256]) / mean * d * d
			}
		}
		return sum
	}
	for _, name := range []string{"Q4_K_M", "Q2_K"} {
		_, ruled := written(t, source, Options{Type: name, Quantize: how}, RunOptions{})
		_, solved := written(t, source, Options{Goal: Goal{Size: int64(len(ruled))}, Quantize: how}, RunOptions{})
		if got, want := weighed(solved), weighed(ruled); got >= want || len(solved) > len(ruled) {
			t.Errorf("weighed error %g in %d bytes, %s has %g in %d", got, len(solved), name, want, len(ruled))
		}
	}
}

// decoded returns the numbers in b.
func decoded(t *testing.T, d tensor.DType, b []byte) []float32 {
	t.Helper()
	c, err := quantize.CodecOf(d)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := d.Layout()
	x := make([]float32, len(b)/l.Bytes*l.Elems)
	c.Decode(x, b)
	return x
}

// All rows of these tensors are in the sample: what is planned with is the error
// of the file.
func TestMeasuredErrorIsThatOfTheFile(t *testing.T) {
	s := layered(t)
	draft := planned(t, s, Options{Type: "Q8_0"})
	options := measured(t, draft)
	for _, name := range []string{"Q2_K", "Q4_0", "Q4_K_S", "IQ4_NL", "IQ3_S"} {
		r, _ := written(t, s, Options{Type: name, Quantize: Quantization{Pure: true}}, RunOptions{})
		for i, l := range r.Losses {
			step := i + 1 // after the norm
			k := slices.IndexFunc(options[step], func(o quantize.Option) bool { return o.DType == l.DType })
			if draft.Steps[step].To.Name != l.Tensor || k < 0 {
				t.Fatalf("%s: no option %v for %s: %v", name, l.DType, l.Tensor, options[step])
			}
			if got := options[step][k].Error; got != l.Errors || got == 0 {
				t.Errorf("%s as %v: measured %g, written %g", l.Tensor, l.DType, got, l.Errors)
			}
		}
	}
}

// The error of a column counts by its importance divided by the mean.
func TestImportanceWeighsWhatIsMeasured(t *testing.T) {
	const rows, row = 5, 256
	w := floats(t, "blk.0.ffn_up.weight", tensor.Shape{rows, row}, normal(1, rows*row))
	weights := positive(2, row)
	s := sourceOf(t, tensor.Meta{}, w)
	draft := planned(t, s, Options{Type: "Q8_0", Quantize: Quantization{Importance: imatrix(t, floats(t, w.Name, tensor.Shape{1, row}, weights))}})
	options := measured(t, draft)
	x, y, mean := normal(1, rows*row), make([]float32, rows*row), 0.0
	for _, v := range weights {
		mean += float64(v) / row
	}
	for _, o := range options[0] {
		c, err := quantize.CodecOf(o.DType)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := o.DType.Bytes(w.Shape)
		b := make([]byte, size)
		c.Encode(b, x, weights)
		c.Decode(y, b)
		var want float64
		for i, v := range x {
			d := float64(v) - float64(y[i])
			want += float64(weights[i%row]) / mean * d * d
		}
		// five rounded operations for each of the terms and of the weights, all positive
		if limit := 5 * 2 * rows * row * 0x1p-53 * want; math.Abs(o.Error-want) > limit {
			t.Errorf("%v: error %g, want %g ± %g", o.DType, o.Error, want, limit)
		}
	}
	if !slices.ContainsFunc(options[0], func(o quantize.Option) bool { return o.DType == tensor.IQ2XXS && o.Error > 0 }) {
		t.Errorf("options %v have no IQ2_XXS although the importance is known", options[0])
	}
}

func TestSamplesAreRowsAtEqualDistances(t *testing.T) {
	const row = 1024
	x := make([]float32, 300*row)
	for i := range x {
		x[i] = float32(i / row)
	}
	p := planned(t, sourceOf(t, tensor.Meta{}, floats(t, "blk.0.ffn_up.weight", tensor.Shape{300, row}, x)), Options{Type: "Q8_0"})
	m, err := newSample(&p.Steps[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(m.rows) != sampleElems/row || m.scale != 300/float64(len(m.rows)) {
		t.Errorf("%d rows, scale %g; want %d, %g", len(m.rows), m.scale, sampleElems/row, 300/float64(sampleElems/row))
	}
	codec, err := quantize.CodecOf(tensor.F32)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, len(m.src)/4)
	codec.Decode(got, m.src)
	for i, r := range m.rows {
		if want := int64(i) * 300 / int64(len(m.rows)); r != want || got[i*row] != float32(r) || got[i*row+row-1] != float32(r) {
			t.Errorf("row %d of the sample is %d and holds %g … %g, want row %d", i, r, got[i*row], got[i*row+row-1], want)
		}
	}
}

func TestChoiceDoesNotDependOnWorkers(t *testing.T) {
	s := layered(t)
	one := planned(t, s, Options{Goal: Goal{BitsPerWeight: 4.6, Workers: 1}})
	many := planned(t, s, Options{Goal: Goal{BitsPerWeight: 4.6, Workers: 16}})
	if one.String() != many.String() || !reflect.DeepEqual(one.Meta, many.Meta) || !reflect.DeepEqual(one.Notes, many.Notes) {
		t.Errorf("plans differ:\n%s\n%s", one, many)
	}
}

func TestPlanForASizeSaysErrorAndSizeOfEachChoice(t *testing.T) {
	p := planned(t, layered(t), Options{Goal: Goal{BitsPerWeight: 5}, Quantize: Quantization{Tensors: []string{`^blk\.3\.attn_q=q5_1`}}})
	for _, s := range p.Steps {
		switch {
		case s.To.Name == "blk.3.attn_q.weight":
			if s.To.DType != tensor.Q5_1 {
				t.Errorf("%s becomes %v, q5_1 was asked for", s.To.Name, s.To.DType)
			}
		case len(s.To.Shape) == 2:
			if want := fmt.Sprintf("least error for the size: %v ", s.To.DType); !strings.HasPrefix(s.Why, want) || !strings.Contains(s.Why, "KiB; ") {
				t.Errorf("%s: %q, want %q and its neighbours", s.To.Name, s.Why, want)
			}
		}
	}
	if ft, _ := p.Meta.Get("general.file_type"); ft == uint32(0) || ft == nil {
		t.Errorf("general.file_type = %v, want that of a quantizing recipe", ft)
	}
	if all := strings.Join(p.Notes, " "); !strings.Contains(all, "no other choice within the size has less than") {
		t.Errorf("notes %q do not sum up the choice", all)
	}
}

// A source whose values only some types hold, and flags that the recipes to
// compare with would refuse.
func TestTypesThatCannotHoldATensorAreNotChosen(t *testing.T) {
	x := normal(1, 4*256)
	x[5] = 1e6 // more than F16 holds
	y := normal(2, 4*96)
	s := sourceOf(t, tensor.Meta{}, floats(t, "blk.0.ffn_up.weight", tensor.Shape{4, 256}, x), floats(t, "blk.0.ffn_down.weight", tensor.Shape{4, 96}, y))
	p := planned(t, s, Options{Goal: Goal{BitsPerWeight: 18}, Quantize: Quantization{NoFallback: true}})
	if got := p.Steps[0].To.DType; got == tensor.F16 {
		t.Errorf("%s with a value of 1e6 becomes %v", p.Steps[0].To.Name, got)
	}
	if s := p.Steps[1]; s.Fallback != "" {
		t.Errorf("%s falls back: %s", s.To.Name, s.Reason())
	}
}

func TestNamesWithMagicCharactersMatchThemselvesOnly(t *testing.T) {
	for _, name := range []string{"a[0].weight", `a\b*?`, "blk.0.ffn_up.weight"} {
		for _, other := range []string{name, "a0.weight", `a\bcd`, "x"} {
			got, err := filepath.Match(literal(name), other)
			if err != nil || got != (name == other) {
				t.Errorf("pattern for %q and %q: %v, %v", name, other, got, err)
			}
		}
	}
}

func TestTensorsOfOneTypeAreChosenTogether(t *testing.T) {
	draft := &Plan{Target: &Target{oneType: true}, Steps: []Step{{free: true}, {}, {free: true}}}
	s := newSelection(draft, [][]quantize.Option{
		{{DType: tensor.Q4_0, Bytes: 1, Error: 8}, {DType: tensor.Q8_0, Bytes: 2, Error: 1}, {DType: tensor.Q4K, Bytes: 1, Error: 1}},
		nil,
		{{DType: tensor.Q8_0, Bytes: 20, Error: 10}, {DType: tensor.Q4_0, Bytes: 10, Error: 80}},
	})
	want := []quantize.Option{{DType: tensor.Q4_0, Bytes: 11, Error: 88}, {DType: tensor.Q8_0, Bytes: 22, Error: 11}}
	if len(s.groups) != 1 || !slices.Equal(s.groups[0], []int{0, 2}) || !slices.Equal(s.options[0], want) {
		t.Errorf("groups %v with options %v, want one with %v", s.groups, s.options, want)
	}
}

func TestGoalsThatContradictAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  Options
	}{
		{"size and bits", Options{Goal: Goal{Size: 1 << 30, BitsPerWeight: 5}}},
		{"workers alone", Options{Goal: Goal{Workers: 2}}},
		{"negative size", Options{Goal: Goal{Size: -1}}},
		{"no number of bits", Options{Goal: Goal{BitsPerWeight: math.NaN()}}},
		{"more bits than elements have", Options{Goal: Goal{BitsPerWeight: 65}}},
		{"context without memory", Options{Goal: Goal{Size: 1 << 30, Context: 5}}},
		{"a type", Options{Goal: Goal{Size: 1 << 30}, Type: "Q8_0"}},
		{"one type for all", Options{Goal: Goal{Size: 1 << 30}, Quantize: Quantization{Pure: true}}},
	} {
		if _, err := NewPlan(context.Background(), layered(t), "x.gguf", c.opt); !errors.Is(err, tensor.ErrUnsupported) {
			t.Errorf("%s: error %v, want %v", c.name, err, tensor.ErrUnsupported)
		}
	}
}
