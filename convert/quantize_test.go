package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

const stories = "../testdata/stories260K/stories260K.pt"

// floats is an F32 tensor in memory.
func floats(t *testing.T, name string, shape tensor.Shape, x []float32) *tensor.Tensor {
	t.Helper()
	b := make([]byte, 4*len(x))
	for i, v := range x {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	w, err := tensor.New(tensor.Info{Name: name, DType: tensor.F32, Shape: shape}, bytes.NewReader(b), tensor.Origin{File: "memory", Offset: -1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// sourceOf is a source of canonical tensors.
func sourceOf(t *testing.T, meta tensor.Meta, tensors ...*tensor.Tensor) *Source {
	t.Helper()
	if meta.Text("general.architecture") == "" {
		meta = meta.With(tensor.KV{Key: "general.architecture", Value: "test"})
	}
	m, err := tensor.NewModel("memory", meta, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return &Source{Path: "memory", Model: m, Canonical: true}
}

// normal returns n numbers of a standard normal distribution.
func normal(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// positive returns n importances.
func positive(seed uint64, n int) []float32 {
	x := normal(seed, n)
	for i, v := range x {
		x[i] = v * v
	}
	return x
}

// written plans and runs, and returns the result and the file's bytes.
func written(t *testing.T, s *Source, opt Options, run RunOptions) (*Result, []byte) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "x.gguf")
	p, err := NewPlan(context.Background(), s, dst, opt)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Run(context.Background(), dst, run)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(dst)
	if err != nil {
		t.Fatal(err)
	}
	return r, b
}

// bytesIn returns the data of each tensor of a file.
func bytesIn(t *testing.T, file []byte) (data map[string][]byte, model *tensor.Model) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "y.gguf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	data = map[string][]byte{}
	for _, x := range s.Model.Tensors() {
		if data[x.Name], err = x.ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	return data, s.Model
}

// imatrix writes an importance matrix as llama-imatrix does, each entry with a
// count of 1 for each of its rows.
func imatrix(t *testing.T, entries ...*tensor.Tensor) string {
	t.Helper()
	var all []*tensor.Tensor
	for _, e := range entries {
		n := e.Shape[0]
		ones := make([]float32, n)
		for i := range ones {
			ones[i] = 1
		}
		all = append(all, e.Renamed(e.Name+".in_sum2"), floats(t, e.Name+".counts", tensor.Shape{n, 1}, ones))
	}
	meta := tensor.NewMeta(tensor.KV{Key: "general.type", Value: "imatrix"}, tensor.KV{Key: "imatrix.datasets", Value: []string{"text"}}, tensor.KV{Key: "imatrix.chunk_count", Value: uint32(3)})
	_, b := written(t, sourceOf(t, meta, all...), Options{}, RunOptions{})
	path := filepath.Join(t.TempDir(), "imatrix.gguf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A checkpoint is quantized as the file that keeps its types would be.
func TestQuantizingACheckpointEqualsQuantizingItsGGUF(t *testing.T) {
	kept := convertFile(t, stories, "stories260K.gguf", Options{}, RunOptions{})
	for _, recipe := range []string{"Q4_K_M", "Q8_0", "Q4_0", "IQ4_NL", "TQ1_0", "MXFP4_MOE"} {
		direct := digests(t, convertFile(t, stories, "a.gguf", Options{Type: recipe}, RunOptions{}))
		through := digests(t, convertFile(t, kept, "b.gguf", Options{Type: recipe}, RunOptions{}))
		if len(direct) != 47 {
			t.Errorf("%s: %d tensors, want 47", recipe, len(direct))
		}
		for name, want := range through {
			if direct[name] != want {
				t.Errorf("%s: %s is %s, want %s", recipe, name, direct[name], want)
			}
		}
	}
}

func TestQuantizedFilesDoNotDependOnWorkers(t *testing.T) {
	const rows, columns = 700, 1024 // three units of work
	up := floats(t, "blk.0.ffn_up.weight", tensor.Shape{rows, columns}, normal(1, rows*columns))
	exps := floats(t, "blk.0.ffn_down_exps.weight", tensor.Shape{3, 7, columns}, normal(2, 3*7*columns))
	path := imatrix(t, floats(t, up.Name, tensor.Shape{1, columns}, positive(3, columns)), floats(t, exps.Name, tensor.Shape{3, columns}, positive(4, 3*columns)))
	for _, importance := range []string{"", path} {
		opt := Options{Type: "Q8_0", Quantize: Quantization{Importance: importance, Tensors: []string{"exps=q4_k"}}}
		first, want := written(t, sourceOf(t, tensor.Meta{}, up, exps), opt, RunOptions{Workers: 1})
		for _, workers := range []int{2, 16} {
			r, got := written(t, sourceOf(t, tensor.Meta{}, up, exps), opt, RunOptions{Workers: workers})
			if !bytes.Equal(got, want) {
				t.Errorf("importance %q: 1 and %d workers write different bytes", importance, workers)
			}
			if !slices.Equal(r.Losses, first.Losses) || len(r.Losses) != 2 {
				t.Errorf("importance %q: losses with %d workers %v, want %v", importance, workers, r.Losses, first.Losses)
			}
		}
	}
}

// Each matrix of a stack is weighed by its own columns, each row as a whole.
func TestEveryMatrixOfAStackHasItsOwnImportance(t *testing.T) {
	const twice, experts, rows, columns = 2, 3, 5, 512 // ggml weighs a fourth dimension alike
	x, weights := normal(1, twice*experts*rows*columns), positive(2, experts*columns)
	exps := floats(t, "blk.0.ffn_up_exps.weight", tensor.Shape{twice, experts, rows, columns}, x)
	path := imatrix(t, floats(t, exps.Name, tensor.Shape{experts, columns}, weights))
	for _, d := range []tensor.DType{tensor.Q4_0, tensor.Q4K, tensor.IQ2XS} {
		_, file := written(t, sourceOf(t, tensor.Meta{}, exps), Options{Type: "Q8_0", Quantize: Quantization{Importance: path, Tensors: []string{"exps=" + d.String()}}}, RunOptions{})
		data, _ := bytesIn(t, file)
		codec, err := quantize.CodecOf(d)
		if err != nil {
			t.Fatal(err)
		}
		n, err := d.Bytes(exps.Shape)
		if err != nil {
			t.Fatal(err)
		}
		want, each := make([]byte, n), int(n)/(twice*experts)
		for i := range twice * experts {
			codec.Encode(want[i*each:(i+1)*each], x[i*rows*columns:(i+1)*rows*columns], weights[i%experts*columns:][:columns])
		}
		if !bytes.Equal(data[exps.Name], want) {
			t.Errorf("%v: other bytes than matrix by matrix", d)
		}
	}
}

// Long rows are weighed whole, whatever the unit of work.
func TestRowsLongerThanAUnitAreWeighedWhole(t *testing.T) {
	const columns = chunkElems + 256
	x, weights := normal(1, 2*columns), positive(2, columns)
	up := floats(t, "blk.0.ffn_up.weight", tensor.Shape{2, columns}, x)
	path := imatrix(t, floats(t, up.Name, tensor.Shape{1, columns}, weights))
	_, file := written(t, sourceOf(t, tensor.Meta{}, up), Options{Type: "Q4_0", Quantize: Quantization{Importance: path}}, RunOptions{})
	data, _ := bytesIn(t, file)
	want := make([]byte, len(data[up.Name]))
	codec, err := quantize.CodecOf(tensor.Q4_0)
	if err != nil {
		t.Fatal(err)
	}
	codec.Encode(want, x, weights)
	if !bytes.Equal(data[up.Name], want) {
		t.Error("other bytes than of whole rows")
	}
}

func TestLossIsThatOfTheWrittenBytes(t *testing.T) {
	const rows, columns = 300, 1024
	x := normal(1, rows*columns)
	up := floats(t, "blk.0.ffn_up.weight", tensor.Shape{rows, columns}, x)
	zero := floats(t, "blk.0.ffn_gate.weight", tensor.Shape{2, columns}, make([]float32, 2*columns))
	r, file := written(t, sourceOf(t, tensor.Meta{}, up, zero), Options{Type: "Q4_K_M"}, RunOptions{})
	data, _ := bytesIn(t, file)
	codec, err := quantize.CodecOf(tensor.Q4K)
	if err != nil {
		t.Fatal(err)
	}
	y := make([]float32, len(x))
	codec.Decode(y, data[up.Name])
	var squares, errs float64
	for i, v := range x {
		d := float64(v) - float64(y[i])
		squares, errs = squares+float64(v)*float64(v), errs+d*d
	}
	if len(r.Losses) != 2 || r.Losses[0].Tensor != up.Name {
		t.Fatalf("losses %v, want those of two tensors", r.Losses)
	}
	// Positive terms, added in another grouping: each sum is within n·2⁻⁵³ of the true one.
	tolerance := 2 * rows * columns * 0x1p-53
	for _, c := range []struct{ got, want float64 }{{r.Losses[0].Squares, squares}, {r.Losses[0].Errors, errs}} {
		if math.Abs(c.got-c.want) > tolerance*c.want {
			t.Errorf("sum %v, want %v", c.got, c.want)
		}
	}
	if got := r.Losses[1].Relative(); got != 0 {
		t.Errorf("relative error of zeros %v, want 0", got)
	}
	total := TotalLoss(r.Losses)
	if worst := WorstLosses(r.Losses, 5); worst[0] != r.Losses[0] || len(worst) != 2 || total.Errors != r.Losses[0].Errors {
		t.Errorf("worst %v, total %v", worst, total)
	}
}

func TestWhatIsNoNumberIsNamedAndRefused(t *testing.T) {
	const rows, columns = 600, 1024 // three units of work
	x := normal(1, rows*columns)
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	x[300*columns+17], x[599*columns] = nan, inf
	bad := floats(t, "blk.0.ffn_up.weight", tensor.Shape{rows, columns}, x)
	norm := floats(t, "blk.0.ffn_norm.weight", tensor.Shape{4}, []float32{1, 2, nan, nan})
	good := floats(t, "blk.0.ffn_gate.weight", tensor.Shape{2, columns}, normal(2, 2*columns))
	want := []NonFinite{{bad.Name, tensor.Q8_0, 2, 300, 17}, {norm.Name, tensor.F32, 2, 0, 2}}
	dir := t.TempDir()
	dst := filepath.Join(dir, "x.gguf")
	p, err := NewPlan(context.Background(), sourceOf(t, tensor.Meta{}, bad, norm, good), dst, Options{Type: "Q8_0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, allowed := range []RunOptions{{}, {AllowNonFinite: true}} {
		_, err = p.Run(context.Background(), dst, allowed)
		var e *NonFiniteError
		if !errors.As(err, &e) || !slices.Equal(e.Tensors, want) || !e.Blocks {
			t.Fatalf("%+v: %v, want %v in blocks", allowed, err, want)
		}
		if !strings.Contains(err.Error(), "blk.0.ffn_up.weight: 2 values, the first in row 300, column 17") {
			t.Errorf("%v does not say where", err)
		}
		if names := left(t, dir); len(names) != 0 {
			t.Errorf("left behind: %v", names)
		}
	}
	// Where the type can hold them, they may stay.
	opt := Options{Type: "Q8_0", Quantize: Quantization{Tensors: []string{"ffn_up=f16"}}}
	want[0].DType = tensor.F16
	r, file := written(t, sourceOf(t, tensor.Meta{}, bad, norm, good), opt, RunOptions{AllowNonFinite: true})
	if !slices.Equal(r.NonFinite, want) {
		t.Errorf("allowed: %v, want %v", r.NonFinite, want)
	}
	data, _ := bytesIn(t, file)
	if h := binary.LittleEndian.Uint16(data[bad.Name][2*599*columns:]); h != 0xfc00 {
		t.Errorf("−infinity is stored as %#x, want 0xfc00", h)
	}
}

func TestBlocksThatOverflowAreNamed(t *testing.T) {
	x := normal(1, 4*256)
	x[2*256+9] = 3e38 // a scale of 3e38/127 is no half
	w := floats(t, "blk.0.ffn_up.weight", tensor.Shape{4, 256}, x)
	p, err := NewPlan(context.Background(), sourceOf(t, tensor.Meta{}, w), "x.gguf", Options{Type: "Q8_0"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Run(context.Background(), filepath.Join(t.TempDir(), "x.gguf"), RunOptions{})
	var e *OverflowError
	if !errors.As(err, &e) || len(e.Tensors) != 1 || e.Tensors[0].First != 2*256+9 || e.Tensors[0].Value != float64(float32(3e38)) || e.Tensors[0].Count != 32 {
		t.Errorf("%v, want an overflow of a block of 32 by element 521", err)
	}
}

func TestPlanSaysWhatFellBack(t *testing.T) {
	w := floats(t, "blk.0.ffn_up.weight", tensor.Shape{4, 96}, normal(1, 4*96))
	odd := floats(t, "blk.0.ffn_gate.weight", tensor.Shape{4, 6}, normal(1, 4*6))
	fits := floats(t, "blk.0.attn_q.weight", tensor.Shape{4, 256}, normal(1, 4*256))
	p, err := NewPlan(context.Background(), sourceOf(t, tensor.Meta{}, w, odd, fits), "x.gguf", Options{Type: "Q4_K_S"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []tensor.DType{tensor.Q5_0, tensor.F16, tensor.Q4K} {
		s := p.Steps[i]
		if s.To.DType != want || (s.Fallback == "") != (want == tensor.Q4K) || !strings.Contains(s.Reason(), s.Fallback) {
			t.Errorf("%s becomes %v (%s), want %v", s.To.Name, s.To.DType, s.Reason(), want)
		}
	}
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "2 of 3 tensors") || !strings.Contains(notes, "1 as f16, 1 as q5_0") {
		t.Errorf("notes %q do not tell of the fallbacks", notes)
	}
}

func TestQuantizedFilesSayWhatTheyAre(t *testing.T) {
	w := floats(t, "blk.0.ffn_up.weight", tensor.Shape{4, 256}, normal(1, 4*256))
	path := imatrix(t, floats(t, w.Name, tensor.Shape{1, 256}, positive(2, 256)))
	meta := tensor.NewMeta(tensor.KV{Key: "general.architecture", Value: "test"}, tensor.KV{Key: "general.file_type", Value: uint32(1)})
	_, file := written(t, sourceOf(t, meta, w), Options{Type: "Q4_K_M", Quantize: Quantization{Importance: path}}, RunOptions{})
	_, m := bytesIn(t, file)
	for key, want := range map[string]any{
		"general.file_type": uint32(15), "general.quantization_version": uint32(2), "quantize.imatrix.file": path[:min(len(path), 127)],
		"quantize.imatrix.dataset": "text", "quantize.imatrix.entries_count": uint32(1), "quantize.imatrix.chunks_count": uint32(3),
	} {
		if got, _ := m.Meta.Get(key); got != want {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
	}
}

// dat is an imatrix.dat of one entry.
func dat(name string, values []float32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 1)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(name))), name...)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(values)))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func TestBothFormatsOfImportanceGiveTheSameFile(t *testing.T) {
	w := floats(t, "blk.0.ffn_up.weight", tensor.Shape{4, 256}, normal(1, 4*256))
	weights := positive(2, 256)
	old := filepath.Join(t.TempDir(), "imatrix.dat")
	if err := os.WriteFile(old, dat(w.Name, weights), 0o600); err != nil {
		t.Fatal(err)
	}
	var files []map[string][]byte
	for _, path := range []string{"", old, imatrix(t, floats(t, w.Name, tensor.Shape{1, 256}, weights))} {
		_, file := written(t, sourceOf(t, tensor.Meta{}, w), Options{Type: "Q4_K_S", Quantize: Quantization{Importance: path}}, RunOptions{})
		data, _ := bytesIn(t, file)
		files = append(files, data)
	}
	if !bytes.Equal(files[1][w.Name], files[2][w.Name]) {
		t.Error("the two formats give different bytes")
	}
	if bytes.Equal(files[0][w.Name], files[1][w.Name]) {
		t.Error("importance changes nothing")
	}
}

func TestPlansThatCannotSucceedAreRefused(t *testing.T) {
	up := floats(t, "blk.0.ffn_up.weight", tensor.Shape{4, 256}, normal(1, 4*256))
	gate := floats(t, "blk.0.ffn_gate.weight", tensor.Shape{4, 256}, normal(1, 4*256))
	narrow := floats(t, "blk.0.ffn_down.weight", tensor.Shape{4, 96}, normal(1, 4*96))
	_, quantized := written(t, sourceOf(t, tensor.Meta{}, up), Options{Type: "Q8_0"}, RunOptions{})
	q8 := filepath.Join(t.TempDir(), "q8.gguf")
	notMatrix := filepath.Join(t.TempDir(), "model.gguf")
	for path, b := range map[string][]byte{q8: quantized, notMatrix: quantized} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(q8, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	wrong := imatrix(t, floats(t, up.Name, tensor.Shape{1, 128}, positive(1, 128)))
	one := imatrix(t, floats(t, up.Name, tensor.Shape{1, 256}, positive(1, 256)))
	badMeta := tensor.NewMeta(tensor.KV{Key: "general.architecture", Value: "test"}, tensor.KV{Key: "test.block_count", Value: "many"})
	for _, c := range []struct {
		name string
		src  *Source
		opt  Options
		want string
	}{
		{"quantized already", again, Options{Type: "Q4_0"}, "blk.0.ffn_up.weight (q8_0)"},
		{"no fallback", sourceOf(t, tensor.Meta{}, narrow), Options{Type: "Q4_K_S", Quantize: Quantization{NoFallback: true}}, "blk.0.ffn_down.weight (rows of 96"},
		{"needs importance", sourceOf(t, tensor.Meta{}, up, gate), Options{Type: "IQ2_XS"}, "2 tensors would become useless without an importance matrix"},
		{"importance of some", sourceOf(t, tensor.Meta{}, up, gate), Options{Type: "IQ2_XS", Quantize: Quantization{Importance: one}}, "blk.0.ffn_gate.weight (iq2_xs)"},
		{"importance of another model", sourceOf(t, tensor.Meta{}, up), Options{Type: "Q4_K_S", Quantize: Quantization{Importance: wrong}}, "it was made with another model"},
		{"a model for an importance matrix", sourceOf(t, tensor.Meta{}, up), Options{Type: "Q4_K_S", Quantize: Quantization{Importance: notMatrix}}, "belongs to no importance matrix"},
		{"no such importance matrix", sourceOf(t, tensor.Meta{}, up), Options{Type: "Q4_K_S", Quantize: Quantization{Importance: "none.dat"}}, "none.dat"},
		{"pattern", sourceOf(t, tensor.Meta{}, up), Options{Type: "Q4_K_S", Quantize: Quantization{Tensors: []string{"(=q8_0"}}}, "missing closing )"},
		{"pattern without type", sourceOf(t, tensor.Meta{}, up), Options{Type: "Q4_K_S", Quantize: Quantization{Tensors: []string{"ffn"}}}, "want PATTERN=TYPE"},
		{"type that does not exist", sourceOf(t, tensor.Meta{}, up), Options{Type: "Q4_K_S", Quantize: Quantization{Output: "q4_z"}}, `unknown type "q4_z"`},
		{"type that is not written", sourceOf(t, tensor.Meta{}, up), Options{Type: "Q4_K_S", Quantize: Quantization{TokenEmbedding: "q8_1"}}, "does not write q8_1"},
		{"a type for some tensors of f16", sourceOf(t, tensor.Meta{}, up), Options{Type: "f16", Quantize: Quantization{Output: "q8_0"}}, "f16 is none"},
		{"metadata", sourceOf(t, badMeta, up), Options{Type: "Q4_K_S"}, "test.block_count is many"},
	} {
		_, err := NewPlan(context.Background(), c.src, "x.gguf", c.opt)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	p, err := NewPlan(context.Background(), again, "x.gguf", Options{Type: "Q4_0", Quantize: Quantization{Requantize: true}})
	if err != nil || p.Steps[0].To.DType != tensor.Q4_0 || !strings.Contains(strings.Join(p.Notes, " "), "1 tensors were quantized already") {
		t.Errorf("allowed: %v", err)
	}
	p, err = NewPlan(context.Background(), sourceOf(t, tensor.Meta{}, up, gate), "x.gguf", Options{Type: "Q4_K_S", Quantize: Quantization{Importance: one}})
	if err != nil || !strings.Contains(strings.Join(p.Notes, " "), "no entry for blk.0.ffn_gate.weight") {
		t.Errorf("importance of some, type that needs none: %v, %v", err, p.Notes)
	}
}

func TestBinOfRowsThatAreNotWholeBlocksIsRefused(t *testing.T) {
	s, err := Open("testdata/tiny/whisper.pt", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for recipe, want := range map[string]string{"Q8_0": "rows of 4", "Q4_K_M": "not whole blocks of q4_k", "TQ1_0": "tq1_0"} {
		_, err := NewPlan(context.Background(), s, "x.bin", Options{Type: recipe})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", recipe, err, want)
		}
	}
	_, err = NewPlan(context.Background(), s, "x.bin", Options{Type: "Q8_0", Quantize: Quantization{Output: "f16"}})
	if err == nil || !strings.Contains(err.Error(), "one type") {
		t.Errorf("a type for the output: %v, want an error", err)
	}
	p, err := NewPlan(context.Background(), s, "x.gguf", Options{Type: "Q8_0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range p.Steps {
		if strings.HasPrefix(step.To.Name, "encoder.conv") && strings.HasSuffix(step.To.Name, "weight") && (step.To.DType != tensor.F16 || step.Fallback != "") {
			t.Errorf("%s becomes %v (%s), want f16 by rule", step.To.Name, step.To.DType, step.Reason())
		}
	}
}

// reads counts the bytes that are read.
type reads struct {
	r io.ReaderAt
	n atomic.Int64
}

func (c *reads) ReadAt(p []byte, off int64) (int, error) {
	c.n.Add(int64(len(p)))
	return c.r.ReadAt(p, off)
}

func TestSeveralTypesAreWrittenFromOneReading(t *testing.T) {
	const rows, columns = 700, 1024 // three units of work
	up := floats(t, "blk.0.ffn_up.weight", tensor.Shape{rows, columns}, normal(1, rows*columns))
	counted := &reads{r: up.Data}
	up.Data = counted
	norm := floats(t, "blk.0.ffn_norm.weight", tensor.Shape{4}, normal(2, 4))
	types := []string{"Q8_0", "Q4_K_M", "f16", "MXFP4_MOE"}
	var want [][]byte
	for _, recipe := range types {
		_, b := written(t, sourceOf(t, tensor.Meta{}, up, norm), Options{Type: recipe}, RunOptions{})
		want = append(want, b)
	}
	for _, workers := range []int{1, 3} {
		dir := t.TempDir()
		var jobs []Job
		var total int64
		for i, recipe := range types {
			dst := filepath.Join(dir, recipe+".gguf")
			var p *Plan
			var err error
			if i == 0 {
				p, err = NewPlan(context.Background(), sourceOf(t, tensor.Meta{}, up, norm), dst, Options{Type: recipe})
			} else {
				p, err = jobs[0].Plan.Another(dst, recipe)
			}
			if err != nil {
				t.Fatal(err)
			}
			jobs, total = append(jobs, Job{p, dst}), total+p.Size()
		}
		counted.n.Store(0)
		var most atomic.Int64
		results, err := RunAll(context.Background(), jobs, RunOptions{Workers: workers, Progress: func(done int64) {
			for old := most.Load(); done > old && !most.CompareAndSwap(old, done); old = most.Load() {
			}
		}})
		if err != nil || len(results) != len(types) {
			t.Fatalf("%d results, %v", len(results), err)
		}
		if got := counted.n.Load(); got != 4*rows*columns {
			t.Errorf("%d workers: %d bytes of %d are read", workers, got, 4*rows*columns)
		}
		for i, j := range jobs {
			if got, err := os.ReadFile(j.Dst); err != nil || !bytes.Equal(got, want[i]) {
				t.Errorf("%d workers: %s differs from the file that is written alone (%v)", workers, types[i], err)
			}
		}
		if padding := int64(31 * 2 * len(types)); most.Load() > total || most.Load() < total-padding { // at most 31 bytes after each tensor are not written
			t.Errorf("progress ends at %d of %d bytes", most.Load(), total)
		}
	}
}

func TestIfOneOfSeveralFilesFailsNoneAppears(t *testing.T) {
	x := normal(1, 4*256)
	x[9] = 70000 // f16 cannot hold it, Q8_0 can
	w := floats(t, "blk.0.ffn_up.weight", tensor.Shape{4, 256}, x)
	dir := t.TempDir()
	first := filepath.Join(dir, "a.gguf")
	p, err := NewPlan(context.Background(), sourceOf(t, tensor.Meta{}, w), first, Options{Type: "Q8_0"})
	if err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(dir, "b.gguf")
	q, err := p.Another(second, "f16")
	if err != nil {
		t.Fatal(err)
	}
	results, err := RunAll(context.Background(), []Job{{p, first}, {q, second}}, RunOptions{})
	var e *OverflowError
	if !errors.As(err, &e) || len(results) != 0 {
		t.Errorf("%d results, %v; want an OverflowError", len(results), err)
	}
	if names := left(t, dir); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	other, err := NewPlan(context.Background(), sourceOf(t, tensor.Meta{}, w), second, Options{Type: "Q8_0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RunAll(context.Background(), []Job{{p, first}, {other, second}}, RunOptions{}); err == nil {
		t.Error("plans of two sources make one pass")
	}
	if names := left(t, dir); len(names) != 0 {
		t.Errorf("left behind by two sources: %v", names)
	}
}

func ExampleNewPlan_quantize() {
	src, err := Open("../testdata/stories260K/stories260K.pt", OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close()
	plan, err := NewPlan(context.Background(), src, "out.gguf", Options{Type: "Q8_0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range plan.Steps[:3] {
		fmt.Println(s.To.Name, s.To.DType)
	}
	// Output:
	// token_embd.weight q8_0
	// blk.0.attn_norm.weight f32
	// blk.0.attn_q.weight q8_0
}
