package verify

import (
	_ "embed" // the page
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Parse(pageText))

// WriteHTML writes the report as one page that needs nothing else: no network, no
// other file.
func (r *Report) WriteHTML(w io.Writer) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return page.Execute(w, map[string]any{
		"Report": r, "Failed": r.Verdict == Failed, "Headline": r.Headline(), "Causes": r.causes(), "Checks": r.rows(), "Plots": r.plots(),
		"Worst": r.worstTensors(), "JSON": string(data),
	})
}

// A checkRow is one line of the table of checks.
type checkRow struct {
	Summary
	Outcome, Gist string
}

func (r *Report) rows() []checkRow {
	var out []checkRow
	for _, c := range r.Checks {
		out = append(out, checkRow{c, c.outcome(), r.gist(c)})
	}
	return out
}

// worstShown is how many tensors the page lists.
const worstShown = 20

// worstTensors lists the tensors that come nearest to their limit.
func (r *Report) worstTensors() []Finding {
	var out []Finding
	for _, f := range r.Findings {
		if f.Metric != RelativeRMS {
			continue
		}
		at := len(out)
		for at > 0 && (f.burden() > out[at-1].burden() || f.burden() == out[at-1].burden() && f.Got > out[at-1].Got) {
			at--
		}
		if at < worstShown {
			out = append(out[:at], append([]Finding{f}, out[at:]...)...)
			out = out[:min(len(out), worstShown)]
		}
	}
	return out
}

// plots draws what there is to draw.
func (r *Report) plots() []*plot {
	var out []*plot
	if p := r.errorPlot("tensors", "Error of each tensor", "‖x−x̂‖/‖x‖ of each tensor of the result, and the limit that the same conversion sets; on the bottom line: exact.",
		func(f Finding) (string, bool) { return f.Tensor, f.Metric == RelativeRMS && f.Check == "weights" }); p != nil {
		out = append(out, p)
	}
	for _, check := range []string{"layers", "layers.mapping"} {
		title := map[string]string{"layers": "Error of each layer", "layers.mapping": "Error of each layer with the original's values"}[check]
		if p := r.errorPlot(strings.ReplaceAll(check, ".", "-"), title, "Relative error of the activations against the original's own program, and the limit.",
			func(f Finding) (string, bool) { return f.Layer, f.Metric == RelativeError && f.Check == check }); p != nil {
			out = append(out, p)
		}
	}
	for i, s := range r.Samples {
		out = append(out, logitPlot(i, s))
	}
	return out
}

// errorPlot shows findings with their limits, nil if there are none.
func (r *Report) errorPlot(id, title, about string, pick func(Finding) (string, bool)) *plot {
	p := newPlot(id, title, about)
	var got, limits []datum
	var values []float64
	for _, f := range r.Findings {
		name, ok := pick(f)
		if !ok {
			continue
		}
		i := len(got)
		got = append(got, datum{i, float64(f.Got), fmt.Sprintf("%s: %v, limit %v", name, f.Got, f.Limit), !f.OK})
		limits = append(limits, datum{i: i, value: float64(f.Limit)})
		values = append(values, float64(f.Got), float64(f.Limit))
	}
	if len(got) == 0 {
		return nil
	}
	x := axis{0, float64(max(len(got)-1, 1)), p.Left, p.Right}
	for _, i := range []int{0, len(got) / 2, len(got) - 1} {
		name, _, _ := strings.Cut(got[i].label, ":")
		if len(p.XTicks) == 0 || p.XTicks[len(p.XTicks)-1].At < x.at(float64(i)) {
			p.XTicks = append(p.XTicks, tick{x.at(float64(i)), name})
		}
	}
	y := p.logarithmic(values)
	p.add("limit", "limit", marks, x, y, log10, limits)
	p.add("error", "got", points, x, y, log10, got)
	return p
}

// logitPlot compares the logits of the likeliest tokens.
func logitPlot(i int, s Sample) *plot {
	p := newPlot(fmt.Sprintf("logits-%d", i+1), "Likeliest next tokens", fmt.Sprintf("Centred logits after %.80q: the original's as a line, the result's as points.", s.Name))
	var a, b []datum
	var values []float64
	for k, t := range s.Tokens {
		label := fmt.Sprintf("%q: original %v, result %v", t, s.Original[k], s.Result[k])
		a = append(a, datum{k, float64(s.Original[k]), label, false})
		b = append(b, datum{k, float64(s.Result[k]), label, false})
		values = append(values, float64(s.Original[k]), float64(s.Result[k]))
	}
	x := axis{0, float64(max(len(a)-1, 1)), p.Left, p.Right}
	for k := 0; k < len(s.Tokens); k += 5 {
		p.XTicks = append(p.XTicks, tick{x.at(float64(k)), fmt.Sprintf("%.10q", s.Tokens[k])})
	}
	y := p.linear(values)
	p.add("original", "limit", line, x, y, same, a)
	p.add("result", "got", points, x, y, same, b)
	return p
}
