package main

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/verify"
)

// A report is the JSON object of smelt convert: what was done, or with
// --dry-run what would be.
type report struct {
	Source       string             `json:"source"`
	Output       string             `json:"output"`
	Format       string             `json:"format"`
	Architecture string             `json:"architecture"`
	Bytes        int64              `json:"bytes"`
	Seconds      float64            `json:"seconds"` // 0 with --dry-run
	Tensors      []stepRow          `json:"tensors"`
	Dropped      []droppedRow       `json:"dropped"`
	Parameters   []paramRow         `json:"parameters"`
	Notes        []string           `json:"notes"`
	Overflows    []convert.Overflow `json:"overflows"`
	Also         []string           `json:"also"`  // files written beside the output
	Files        []string           `json:"files"` // of the model: the output, or its shards

	Recipe        string              `json:"recipe"`
	VectorPath    string              `json:"vector_path"`  // the kernels that change types; see quantize.VectorPath
	SourceBytes   int64               `json:"source_bytes"` // of the tensors, as the source stores them
	TensorBytes   int64               `json:"tensor_bytes"` // of the tensors, as they are written
	BitsPerWeight float64             `json:"bits_per_weight"`
	Types         []typeRow           `json:"types"`
	NonFinite     []convert.NonFinite `json:"nonfinite"`
	Loss          *lossRow            `json:"loss"`             // null if nothing was quantized
	Stored        *storedReport       `json:"stored,omitempty"` // of a model that was put into an Ollama store
	Verification  *verify.Report      `json:"verification,omitempty"`
}

// A typeRow sums up the tensors of one stored type.
type typeRow struct {
	Type    string `json:"type"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

// A lossRow says how far the quantized tensors together are from their source.
type lossRow struct {
	Relative float64    `json:"relative_rms"`  // ‖x−x̂‖₂/‖x‖₂
	Errors   float64    `json:"squared_error"` // Σ(x−x̂)²
	Squares  float64    `json:"squares"`       // Σx²
	Worst    []worstRow `json:"worst"`
}

// A worstRow is one of the tensors of the greatest relative error.
type worstRow struct {
	Tensor   string  `json:"tensor"`
	Type     string  `json:"type"`
	Relative float64 `json:"relative_rms"`
}

// A stepRow is one tensor of the output; Shape is outermost first.
type stepRow struct {
	Source string `json:"source"`
	Name   string `json:"name"`
	Shape  []int  `json:"shape"`
	From   string `json:"from"`
	To     string `json:"to"`
	File   int    `json:"file"`   // index in files
	Offset int64  `json:"offset"` // from the start of that file
	Why    string `json:"why"`
	// Fallback says why the type is not the one that the recipe means; "" if it is.
	Fallback string `json:"fallback"`
}

// A droppedRow is a tensor of the source that is not written.
type droppedRow struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// A paramRow is a hyperparameter.
type paramRow struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	From  string `json:"from"`
}

// newReport returns a report without steps.
func newReport(src *convert.Source, dst string) *report {
	return &report{
		Source: src.Path, Output: dst, Format: src.Model.Format, Tensors: []stepRow{}, Dropped: []droppedRow{}, Parameters: []paramRow{},
		Notes: []string{}, Overflows: []convert.Overflow{}, Also: []string{}, Files: []string{dst},
		Types: []typeRow{}, NonFinite: []convert.NonFinite{},
	}
}

// planReport describes what plan makes.
func planReport(plan *convert.Plan, dst string) *report {
	r := newReport(plan.Source, dst)
	r.Format, r.Architecture, r.Bytes = plan.Target.Name, plan.Arch, plan.Size()
	r.Files = plan.Paths(dst)
	for _, s := range plan.Steps {
		r.Tensors = append(r.Tensors, stepRow{s.Source, s.To.Name, append([]int{}, s.To.Shape...), s.From.DType.String(), s.To.DType.String(), s.Part, s.Offset, s.Why, s.Fallback})
	}
	for _, d := range plan.Dropped {
		r.Dropped = append(r.Dropped, droppedRow{d.Name, d.Why})
	}
	for _, v := range plan.Params {
		r.Parameters = append(r.Parameters, paramRow{v.Key, jsonValue(reflect.ValueOf(v.Value)), v.From})
	}
	r.Notes = append(r.Notes, plan.Notes...)
	r.Recipe = plan.Recipe.Name
	r.VectorPath, _ = quantize.VectorPath() // NewPlan has checked it
	r.addTypes(plan)
	return r
}

// addTypes sums up the tensors by stored type, in the order of first use.
func (r *report) addTypes(plan *convert.Plan) {
	var elems int64
	at := map[string]int{}
	for _, s := range plan.Steps {
		n, _ := s.To.Size()        // NewPlan has checked it
		e, _ := s.To.Shape.Elems() // and this
		name := s.To.DType.String()
		if _, ok := at[name]; !ok {
			at[name] = len(r.Types)
			r.Types = append(r.Types, typeRow{Type: name})
		}
		row := &r.Types[at[name]]
		row.Tensors++
		row.Bytes += n
		r.SourceBytes += s.From.Size()
		r.TensorBytes += n
		elems += e
	}
	if elems > 0 {
		r.BitsPerWeight = 8 * float64(r.TensorBytes) / float64(elems)
	}
}

// worstShown is how many tensors of the greatest error are named.
const worstShown = 5

// complete adds what the run found out.
func (r *report) complete(result *convert.Result, took time.Duration) {
	r.Bytes, r.Seconds, r.Also = result.Size, took.Seconds(), append(r.Also, result.Also...)
	r.Stored, r.Notes = storedReportOf(result.Stored), append(r.Notes, result.Notes...)
	r.Overflows = append(r.Overflows, result.Overflows...)
	r.NonFinite = append(r.NonFinite, result.NonFinite...)
	if len(result.Losses) == 0 {
		return
	}
	total := convert.TotalLoss(result.Losses)
	r.Loss = &lossRow{Relative: total.Relative(), Errors: total.Errors, Squares: total.Squares, Worst: []worstRow{}}
	for _, l := range convert.WorstLosses(result.Losses, worstShown) {
		r.Loss.Worst = append(r.Loss.Worst, worstRow{l.Tensor, l.DType.String(), l.Relative()})
	}
}

// say tells a person what was done.
func (r *report) say(bar *progress) {
	for _, o := range r.Overflows {
		bar.say("warning: %s: %d values became infinite, the first is %g at element %d", o.Tensor, o.Count, o.Value, o.First)
	}
	for _, n := range r.NonFinite {
		bar.say("warning: %s: %d values are infinite or no numbers, the first in row %d, column %d", n.Tensor, n.Count, n.Row, n.Column)
	}
	for _, n := range r.Notes {
		bar.say("note: %s", n)
	}
	if r.Stored != nil {
		r.Stored.say(bar)
	}
	for _, path := range r.Also {
		bar.say("also wrote %s", path)
	}
	if r.Loss != nil {
		r.sayLoss(bar)
	}
	what := r.Output
	if n := len(r.Files); n > 1 || r.Files[0] != r.Output {
		what = fmt.Sprintf("%s to %s", r.Files[0], filepath.Base(r.Files[n-1]))
	}
	if r.Verification != nil {
		bar.say("%s", r.Verification.Headline())
	}
	bar.say("wrote %s: %s in %.2f s, %.0f MB/s", what, size(r.Bytes), r.Seconds, float64(r.Bytes)/1e6/max(r.Seconds, 1e-9))
}

// sayLoss sums up what quantizing did.
func (r *report) sayLoss(bar *progress) {
	bar.say("tensors: %s → %s, %.2f bits per weight: %s", size(r.SourceBytes), size(r.TensorBytes), r.BitsPerWeight, r.typeList())
	var worst []string
	for _, w := range r.Loss.Worst {
		worst = append(worst, fmt.Sprintf("%s %.4f (%s)", w.Tensor, w.Relative, w.Type))
	}
	bar.say("relative RMS error of what was quantized: %.4f; worst: %s", r.Loss.Relative, strings.Join(worst, ", "))
}

// typeList counts the tensors of each type: "30 q6_k, 61 f32".
func (r *report) typeList() string {
	var parts []string
	for _, t := range r.Types {
		parts = append(parts, fmt.Sprintf("%d %s", t.Tensors, t.Type))
	}
	return strings.Join(parts, ", ")
}
