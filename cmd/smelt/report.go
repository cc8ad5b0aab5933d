package main

import (
	"reflect"

	"github.com/smelt-project/smelt/convert"
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
	Also         []string           `json:"also"` // files written beside the output
}

// A stepRow is one tensor of the output; Shape is outermost first.
type stepRow struct {
	Source string `json:"source"`
	Name   string `json:"name"`
	Shape  []int  `json:"shape"`
	From   string `json:"from"`
	To     string `json:"to"`
	Offset int64  `json:"offset"` // from the start of the file
	Why    string `json:"why"`
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
		Notes: []string{}, Overflows: []convert.Overflow{}, Also: []string{},
	}
}

// planReport describes what plan makes.
func planReport(plan *convert.Plan, dst string) *report {
	r := newReport(plan.Source, dst)
	r.Format, r.Architecture, r.Bytes = plan.Target.Name, plan.Arch, plan.Place.Size
	for _, s := range plan.Steps {
		r.Tensors = append(r.Tensors, stepRow{s.Source, s.To.Name, append([]int{}, s.To.Shape...), s.From.DType.String(), s.To.DType.String(), s.Offset, s.Why})
	}
	for _, d := range plan.Dropped {
		r.Dropped = append(r.Dropped, droppedRow{d.Name, d.Why})
	}
	for _, v := range plan.Params {
		r.Parameters = append(r.Parameters, paramRow{v.Key, jsonValue(reflect.ValueOf(v.Value)), v.From})
	}
	r.Notes = append(r.Notes, plan.Notes...)
	return r
}
