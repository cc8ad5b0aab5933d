package main

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/smelt-project/smelt/convert"
)

// printPlan prints what plan would write to dst.
func (p *program) printPlan(plan *convert.Plan, dst string, f *convertFlags) error {
	if f.json {
		return p.printJSON(planReport(plan, dst))
	}
	if err := p.printPlanFacts(plan, dst); err != nil {
		return err
	}
	if len(plan.Params) > 0 {
		if err := p.printParams(plan); err != nil {
			return err
		}
	}
	if err := p.printMetadata(plan.Meta); err != nil {
		return err
	}
	if err := p.printSteps(plan); err != nil {
		return err
	}
	p.printDropped(plan)
	p.printNotes(plan.Notes)
	p.printFiles(plan, dst)
	have := "The file has"
	if n := len(plan.Parts); n > 1 {
		have = fmt.Sprintf("The %d files have", n)
	}
	fmt.Fprintf(p.out, "\n%s %s bytes (%s). Nothing was written.\n", have, humanize.Comma(plan.Size()), size(plan.Size()))
	return nil
}

func (p *program) printPlanFacts(plan *convert.Plan, dst string) error {
	t := p.table()
	fmt.Fprintf(t, "Plan: %s → %s\n\n", inline(plan.Source.Path), inline(dst))
	fmt.Fprintf(t, "  from\t%s\n", inline(fmt.Sprintf("%s, %s in %s", plan.Source.Model.Format, size(plan.Source.Bytes()), plural(len(plan.Source.Files), "file"))))
	fmt.Fprintf(t, "  to\t%s\n", inline(fmt.Sprintf("%s, %s in %s", plan.Target.Name, size(plan.Size()), plural(len(plan.Steps), "tensor"))))
	fmt.Fprintf(t, "  architecture\t%s\n", inline(firstOf(plan.Arch, "unknown")))
	fmt.Fprintf(t, "  type\t%s\n", plan.Recipe.Name)
	if plan.Recipe.Quantizes() {
		r := planReport(plan, dst)
		fmt.Fprintf(t, "  tensors\t%s → %s, %.2f bits per weight: %s\n", size(r.SourceBytes), size(r.TensorBytes), r.BitsPerWeight, r.typeList())
	}
	return t.Flush()
}

func (p *program) printParams(plan *convert.Plan) error {
	t := p.table()
	fmt.Fprintf(t, "\nHyperparameters: %s\n  NAME\tVALUE\tFROM\n", plural(len(plan.Params), "value"))
	for _, v := range plan.Params {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", inline(v.Key), brief(v.Value), inline(v.From))
	}
	return t.Flush()
}

func (p *program) printSteps(plan *convert.Plan) error {
	t := p.table()
	fmt.Fprintf(t, "\nTensors: %s\n  OFFSET\tSOURCE → NAME\tSHAPE\tTYPE → TYPE\tWHY\n", plural(len(plan.Steps), "tensor"))
	for _, s := range plan.Steps {
		name := s.To.Name
		if s.Source != name {
			name = s.Source + " → " + name
		}
		fmt.Fprintf(t, "  %d\t%s\t%v\t%v → %v\t%s\n", s.Offset, inline(name), s.To.Shape, s.From.DType, s.To.DType, inline(s.Reason()))
	}
	return t.Flush()
}

// printFiles lists the shards.
func (p *program) printFiles(plan *convert.Plan, dst string) {
	if len(plan.Parts) < 2 {
		return
	}
	fmt.Fprintf(p.out, "\nFiles: %d\n", len(plan.Parts))
	for i, path := range plan.Paths(dst) {
		part := plan.Parts[i]
		fmt.Fprintf(p.out, "  %s: %s, %s\n", inline(path), plural(len(part.Steps), "tensor"), size(part.Place.Size))
	}
}

// printDropped lists the tensors that are left out, those of one reason
// together.
func (p *program) printDropped(plan *convert.Plan) {
	var reasons []string
	names := map[string][]string{}
	for _, d := range plan.Dropped {
		if names[d.Why] == nil {
			reasons = append(reasons, d.Why)
		}
		names[d.Why] = append(names[d.Why], d.Name)
	}
	if len(reasons) > 0 {
		fmt.Fprintf(p.out, "\nLeft out: %s\n", plural(len(plan.Dropped), "tensor"))
	}
	for _, why := range reasons {
		fmt.Fprintf(p.out, "  %s: %s\n", inline(why), inline(few(names[why])))
	}
}

// few joins the first of names and counts the others.
func few(names []string) string {
	const show = 4
	if len(names) <= show {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:show], ", "), len(names)-show)
}
