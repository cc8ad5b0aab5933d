package verify

import (
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/smelt-project/smelt/quantize"
)

// The verdicts.
const (
	Verified = "verified" // every limit is kept
	Failed   = "failed"   // at least one is not
)

// A Report is what was found; it is also the JSON object that smelt verify prints.
type Report struct {
	Verdict     string      `json:"verdict"`
	Original    SideReport  `json:"original"`
	Result      SideReport  `json:"result"`
	Level       string      `json:"level"`
	Seconds     float64     `json:"seconds"`
	Environment Environment `json:"environment"`
	Checks      []Summary   `json:"checks"`
	LeftOut     []LeftOut   `json:"left_out"`
	Findings    []Finding   `json:"findings"`
	// Samples are the outputs that were compared, for the plots.
	Samples []Sample `json:"samples"`
}

// A SideReport says which model was compared.
type SideReport struct {
	Name         string `json:"name"`
	Format       string `json:"format"`
	Architecture string `json:"architecture"`
	Parameters   int64  `json:"parameters"`
	Files        []File `json:"files"`
}

// An Environment is what numbers may depend on.
type Environment struct {
	Version  string   `json:"version"`
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Vectors  string   `json:"vectors"` // the kernels of package quantize
	Workers  int      `json:"workers"`
	Backends []string `json:"backends"`
	Time     string   `json:"time"`
}

// A Summary is the outcome of one check.
type Summary struct {
	Name     string  `json:"name"`
	About    string  `json:"about"`
	Findings int     `json:"findings"`
	Failed   int     `json:"failed"`
	Seconds  float64 `json:"seconds"`
}

// A LeftOut is a check, or a part of one, that was not made.
type LeftOut struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

func newReport(p Pair, opt Options) *Report {
	r := &Report{
		Level: opt.Level.String(), Original: sideReport(p.Original), Result: sideReport(p.Result), Environment: environment(opt),
		Checks: []Summary{}, LeftOut: []LeftOut{}, Findings: []Finding{}, Samples: []Sample{},
	}
	r.Original.Architecture = p.Canonical.Model.Meta.Text("general.architecture")
	return r
}

func sideReport(s Side) SideReport {
	r := SideReport{Name: s.Name, Format: s.Model.Format, Architecture: s.Model.Meta.Text("general.architecture"), Parameters: s.Model.Elems(), Files: s.Files}
	if r.Files == nil {
		r.Files = []File{}
	}
	return r
}

func environment(opt Options) Environment {
	e := Environment{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Workers: opt.Workers,
		Backends: []string{}, Time: time.Now().UTC().Format(time.RFC3339)}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		e.Version = info.Main.Version
	}
	if path, err := quantize.VectorPath(); err == nil {
		e.Vectors = path
	}
	for _, b := range opt.Backends {
		e.Backends = append(e.Backends, b.Name())
	}
	return e
}

// add sums up the findings from first on, which are those of c.
func (r *Report) add(c Check, first int, took time.Duration) {
	s := Summary{Name: c.Name, About: c.About, Seconds: took.Seconds()}
	for _, f := range r.Findings[first:] {
		s.Findings++
		if !f.OK {
			s.Failed++
		}
	}
	r.Checks = append(r.Checks, s)
}

// judge sets the verdict.
func (r *Report) judge() {
	r.Verdict = Verified
	if len(r.Failures()) > 0 {
		r.Verdict = Failed
	}
}

// Failures returns the findings that keep the result from being verified.
func (r *Report) Failures() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.OK })
}

// A Sample is one output that was compared: the centred logits of the original's
// likeliest tokens after a text.
type Sample struct {
	Name     string   `json:"name"`
	Tokens   []string `json:"tokens"`
	Original []Number `json:"original"`
	Result   []Number `json:"result"`
}
