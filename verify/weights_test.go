package verify

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

func TestCorrectConversionsOfEveryTypePass(t *testing.T) {
	for _, r := range quantize.Recipes() {
		t.Run(r.Name, func(t *testing.T) {
			p := pairOf(t, stories, convert.Options{Type: r.Name})
			report := run(t, p, Options{Level: Weights})
			for _, f := range report.Failures() {
				t.Errorf("%+v", f)
			}
			if len(report.LeftOut) > 0 {
				t.Errorf("left out: %v", report.LeftOut)
			}
		})
	}
}

// floats changes a tensor of float32.
func floats(change func(x []float32, shape tensor.Shape)) func([]byte, tensor.Info) []byte {
	return func(b []byte, info tensor.Info) []byte {
		x := make([]float32, len(b)/4)
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		change(x, info.Shape)
		for i, v := range x {
			binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
		}
		return b
	}
}

func elementwise(f func(float32) float32) func([]byte, tensor.Info) []byte {
	return floats(func(x []float32, _ tensor.Shape) {
		for i, v := range x {
			x[i] = f(v)
		}
	})
}

func TestFaultsAreNamed(t *testing.T) {
	p := pairOf(t, stories, convert.Options{})
	const k = "blk.3.attn_k.weight"
	for _, c := range []struct {
		name, tensor string
		change       func([]byte, tensor.Info) []byte
		cause        string
	}{
		{"permuted", k, floats(func(x []float32, s tensor.Shape) {
			old, row, dim := append([]float32{}, x...), s[1], 8
			for r := range s[0] {
				from := r/dim*dim + r%2*dim/2 + r%dim/2
				copy(x[r*row:(r+1)*row], old[from*row:(from+1)*row])
			}
		}), "blk.3.attn_k.weight equals its source with rows permuted as for the other RoPE convention"},
		{"transposed", "blk.1.attn_q.weight", floats(func(x []float32, s tensor.Shape) {
			old := append([]float32{}, x...)
			for i := range x {
				x[i] = old[i%s[0]*s[1]+i/s[0]]
			}
		}), "transposed"},
		{"transposed data of a wide matrix", "blk.1.ffn_up.weight", floats(func(x []float32, s tensor.Shape) {
			old := append([]float32{}, x...)
			for i := range x {
				x[i] = old[i%s[0]*s[1]+i/s[0]]
			}
		}), "transposed"},
		{"scaled", k, elementwise(func(v float32) float32 { return v * 0.125 }), "scaled by 0.125"},
		{"sign", k, elementwise(func(v float32) float32 { return -v }), "wrong sign"},
		{"one added", "blk.2.attn_norm.weight", elementwise(func(v float32) float32 { return v + 1 }), "1 added"},
		{"one missing", "blk.2.attn_norm.weight", elementwise(func(v float32) float32 { return v - 1 }), "1 missing"},
		{"zeroed", k, elementwise(func(float32) float32 { return 0 }), "zeroed: every element is 0"},
		{"truncated", k, floats(func(x []float32, s tensor.Shape) { clear(x[20*s[1]:]) }), "truncated: rows from 20 on are 0"},
		{"zeroed part", k, floats(func(x []float32, s tensor.Shape) { clear(x[3*s[1] : 5*s[1]]) }), "zeroed: elements 192 to 319"},
		{"shifted", k, floats(func(x []float32, s tensor.Shape) { copy(x, append([]float32{}, x[3*s[1]:]...)) }), "shifted by -3 rows"},
		{"shifted elements", k, floats(func(x []float32, _ tensor.Shape) { copy(x[8:], append([]float32{}, x...)) }), "shifted by 8 elements"},
		{"halves", k, floats(func(x []float32, _ tensor.Shape) {
			n := len(x) / 2
			copy(x, append(append([]float32{}, x[n:]...), x[:n]...))
		}), "split in the wrong order: its 2 parts"},
		{"in turn", k, floats(func(x []float32, s tensor.Shape) {
			old := append([]float32{}, x...)
			n := s[0] / 2
			for r := range s[0] {
				from := r%2*n + r/2
				copy(x[r*s[1]:(r+1)*s[1]], old[from*s[1]:(from+1)*s[1]])
			}
		}), "split in the wrong order"},
		{"two rows", k, floats(func(x []float32, s tensor.Shape) {
			for c := range s[1] {
				x[4*s[1]+c], x[9*s[1]+c] = x[9*s[1]+c], x[4*s[1]+c]
			}
		}), "rows 4 and 9 are swapped"},
		{"bit", k, func(b []byte, _ tensor.Info) []byte { b[1000] ^= 4; return b }, "a single bit differs, in byte 1000 of the tensor (row 3, column 58)"},
		{"byte order", k, func(b []byte, _ tensor.Info) []byte {
			for i := 0; i < len(b); i += 4 {
				b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
			}
			return b
		}, "f32 in the wrong byte order"},
		{"bf16 as f16", k, floats(func(x []float32, _ tensor.Shape) {
			h, err := misreadings[0].read(x)
			if err != nil {
				t.Fatal(err)
			}
			copy(x, h)
		}), "bf16 read as f16"},
		{"scaled rows", k, floats(func(x []float32, s tensor.Shape) {
			for i := 2 * s[1]; i < 4*s[1]; i++ {
				x[i] *= 2
			}
		}), "scaled by 2 in rows 2 to 3"},
		{"one element", k, floats(func(x []float32, s tensor.Shape) { x[7*s[1]+1] = 9 }), "in row 7"},
		{"not a number", k, floats(func(x []float32, s tensor.Shape) { x[7*s[1]+1] = float32(math.NaN()) }), "in row 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := run(t, withBytes(t, p, c.tensor, c.change), Options{Level: Weights})
			wantFailure(t, report, c.tensor, c.cause)
		})
	}
}

// wantFailure checks that all failures are about the weights of one tensor, and their cause.
func wantFailure(t *testing.T, r *Report, tensor, cause string) {
	t.Helper()
	if r.Verdict != Failed {
		t.Fatalf("verdict %s, want %s", r.Verdict, Failed)
	}
	for _, f := range r.Failures() {
		if f.Check != "weights" || f.Tensor != tensor || !strings.Contains(f.Cause, cause) {
			t.Errorf("%s: %s %q: want weights: %s %q", f.Check, f.Tensor, f.Cause, tensor, cause)
		}
	}
}

func TestExchangedTensorsAreNamed(t *testing.T) {
	p := pairOf(t, stories, convert.Options{Type: "f16"})
	rename := map[string]string{"blk.1.attn_q.weight": "blk.1.attn_output.weight", "blk.1.attn_output.weight": "blk.1.attn_q.weight"}
	var tensors []*tensor.Tensor
	for _, x := range p.Result.Model.Tensors() {
		if to, ok := rename[x.Name]; ok {
			x = x.Renamed(to)
		}
		tensors = append(tensors, x)
	}
	report := run(t, changed(t, p, p.Result.Model.Meta, tensors), Options{Level: Weights})
	for _, f := range report.Failures() {
		if want := "swapped with " + rename[f.Tensor]; f.Cause != want {
			t.Errorf("%s: %q, want %q", f.Tensor, f.Cause, want)
		}
	}
	if len(report.Failures()) == 0 {
		t.Error("no failure")
	}

	copyOf := p.Result.Model.Tensor("blk.2.attn_k.weight")
	tensors = nil
	for _, x := range p.Result.Model.Tensors() {
		if x.Name == "blk.3.attn_k.weight" {
			x = copyOf.Renamed(x.Name)
		}
		tensors = append(tensors, x)
	}
	report = run(t, changed(t, p, p.Result.Model.Meta, tensors), Options{Level: Weights})
	var weights []Finding
	for _, f := range report.Failures() {
		if f.Check == "weights" {
			weights = append(weights, f)
		}
	}
	report.Findings = weights
	wantFailure(t, report, "blk.3.attn_k.weight", "equals blk.2.attn_k.weight")
}

func TestFaultsOfBlocksAreNamed(t *testing.T) {
	p := pairOf(t, stories, convert.Options{Type: "Q8_0"})
	const k = "blk.3.attn_k.weight"
	report := run(t, withBytes(t, p, k, func(b []byte, _ tensor.Info) []byte { b[100] ^= 1; return b }), Options{Level: Weights})
	wantFailure(t, report, k, "a single bit differs, in byte 100")
	report = run(t, withBytes(t, p, k, func(b []byte, _ tensor.Info) []byte { // the scales of blocks
		for i := 0; i < len(b); i += 34 {
			b[i+1] -= 4
		}
		return b
	}), Options{Level: Weights})
	wantFailure(t, report, k, "scaled by 0.5")
}

func TestFindingsDoNotDependOnWorkers(t *testing.T) {
	p := pairOf(t, stories, convert.Options{Type: "Q4_K_M"})
	a, b := run(t, p, Options{Level: Weights, Workers: 1}), run(t, p, Options{Level: Weights, Workers: 16})
	if len(a.Findings) != len(b.Findings) {
		t.Fatalf("%d findings with one worker, %d with 16", len(a.Findings), len(b.Findings))
	}
	for i := range a.Findings {
		if a.Findings[i] != b.Findings[i] {
			t.Errorf("%+v with one worker, %+v with 16", a.Findings[i], b.Findings[i])
		}
	}
}

func TestBlocksOfAnUnknownImportanceMatrixKeepTheirLimits(t *testing.T) {
	const name = "blk.2.ffn_up.weight"
	p := pairOf(t, stories, convert.Options{Type: "Q4_0"})
	random := rand.New(rand.NewPCG(3, 4))
	weighed := withBytes(t, p, name, func(b []byte, info tensor.Info) []byte {
		x, err := numbers(p.Canonical.Model.Tensor(name), int64(info.Shape[0]*info.Shape[1]))
		if err != nil {
			t.Fatal(err)
		}
		importance := make([]float32, info.Shape[1])
		for i := range importance {
			importance[i] = float32(random.ExpFloat64())
		}
		codec, err := quantize.CodecOf(info.DType)
		if err != nil {
			t.Fatal(err)
		}
		codec.Encode(b, x, importance)
		return b
	})
	report := run(t, weighed, Options{Level: Weights})
	if report.Verdict != Failed {
		t.Error("other blocks pass though the file states no importance matrix")
	}
	stated := weighed.Result.Model.Meta.With(tensor.KV{Key: "quantize.imatrix.file", Value: "imatrix.gguf"})
	report = run(t, changed(t, weighed, stated, weighed.Result.Model.Tensors()), Options{Level: Weights})
	for _, f := range report.Failures() {
		t.Errorf("%+v", f)
	}
	if len(report.LeftOut) != 1 || !strings.Contains(report.LeftOut[0].Why, "--imatrix") {
		t.Errorf("left out: %v", report.LeftOut)
	}
	wrong := withBytes(t, changed(t, weighed, stated, weighed.Result.Model.Tensors()), name, func(b []byte, _ tensor.Info) []byte {
		for i := 0; i < len(b); i += 18 { // the sign of every scale
			b[i+1] ^= 0x80
		}
		return b
	})
	wantFailure(t, run(t, wrong, Options{Level: Weights}), name, "wrong sign")
}
