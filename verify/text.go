package verify

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// maxShown is how many failures and left-out checks the text lists.
const maxShown = 12

// Text says in words what was found: the verdict, what was compared, and for each
// failure the place, both sides and the likely cause.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Headline())
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range r.Checks {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%.1f s\n", c.Name, c.outcome(), r.gist(c), c.Seconds)
	}
	_ = t.Flush() // to memory
	failures := r.causes()
	for i, f := range failures {
		if i == maxShown {
			fmt.Fprintf(&b, "\n…and %s more; --json lists all\n", count(len(failures)-i, "fault"))
			break
		}
		fmt.Fprintf(&b, "\n%s\n", f)
	}
	for i, l := range r.LeftOut {
		if i == 0 {
			b.WriteString("\nLeft out:\n")
		}
		fmt.Fprintf(&b, "  %s: %s\n", l.Check, l.Why)
	}
	return b.String()
}

// Headline is the verdict in one sentence.
func (r *Report) Headline() string {
	if r.Verdict == Failed {
		return fmt.Sprintf("NOT VERIFIED: %s is not %s: %s", r.Result.Name, r.Original.Name, count(len(r.causes()), "fault"))
	}
	s := fmt.Sprintf("VERIFIED: %s is the same model as %s", r.Result.Name, r.Original.Name)
	if len(r.LeftOut) > 0 {
		s += ", as far as it was compared"
	}
	return s
}

// outcome is a check's in a word.
func (s Summary) outcome() string {
	switch {
	case s.Failed > 0:
		return "FAILED"
	case s.Findings == 0:
		return "left out"
	}
	return "ok"
}

// gist says what a check found, in a few words: the worst of its numbers.
func (r *Report) gist(s Summary) string {
	var worst *Finding
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Check == s.Name && (worst == nil || f.burden() > worst.burden()) {
			worst = f
		}
	}
	switch {
	case worst == nil:
		return ""
	case worst.Metric == Mismatches && worst.OK:
		return worst.Expected + " " + worst.Found
	case worst.Metric == Mismatches || worst.Metric == DifferingIDs:
		return strings.TrimSpace(worst.place() + " " + worst.Expected)
	case worst.Got == 0 && worst.Limit == 0:
		return "byte for byte"
	case worst.Metric == RelativeRMS && worst.OK && worst.Got == worst.Limit:
		largest := r.largest(s.Name, RelativeRMS)
		return fmt.Sprintf("byte for byte; %s up to %v, %s", RelativeRMS, largest.Got, largest.place())
	}
	text := fmt.Sprintf("%s %v of %v", worst.Metric, worst.Got, worst.Limit)
	if worst.place() == "" {
		return text
	}
	return text + ", " + worst.place()
}

// largest returns the finding of a check with the greatest value of a metric.
func (r *Report) largest(check string, m Metric) (top Finding) {
	for _, f := range r.Findings {
		if f.Check == check && f.Metric == m && (top.Metric == "" || f.Got > top.Got) {
			top = f
		}
	}
	return top
}

// burden is how near a finding is to its limit; above 1 it fails.
func (f *Finding) burden() float64 {
	switch {
	case !f.OK:
		return 2
	case atLeast[f.Metric] || f.Limit == 0:
		return 0
	}
	return float64(f.Got / f.Limit)
}

// place is what a finding is about.
func (f *Finding) place() string { return strings.TrimSpace(f.Tensor + f.Key + f.Layer) }

// causes lists the faults: each place and cause once, with the first metric that
// showed it, without what follows from others.
func (r *Report) causes() []string {
	var out []string
	seen := map[string]bool{}
	for _, follows := range []bool{false, true} {
		for _, f := range r.Failures() {
			fault := f.place() + ": " + f.Cause
			if strings.HasPrefix(f.Cause, "follows from ") != follows || seen[fault] || follows && len(out) > 0 {
				continue
			}
			seen[fault] = true
			out = append(out, f.sentence())
		}
	}
	return slices.Clip(out)
}

// sentence tells a failure in two lines: what and why.
func (f *Finding) sentence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "✗ %s", firstOf(f.place(), f.Check))
	switch {
	case f.Metric == Mismatches:
		fmt.Fprintf(&b, ": expected %s, found %s", f.Expected, f.Found)
	case atLeast[f.Metric]:
		fmt.Fprintf(&b, ": %s %v, at least %v", f.Metric, f.Got, f.Limit)
	default:
		fmt.Fprintf(&b, ": %s %v, at most %v", f.Metric, f.Got, f.Limit)
	}
	if f.Cause != "" {
		fmt.Fprintf(&b, "\n  likely cause: %s", f.Cause)
	}
	return b.String()
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
