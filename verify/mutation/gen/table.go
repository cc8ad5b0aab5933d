package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/smelt-project/smelt/verify/mutation"
)

// What a cell says.
const (
	named    = "named"
	detected = "detected"
	missed   = "**missed**"
	nothing  = "" // the fault cannot happen to the conversion
)

func cell(c column, m mutation.Mutation) string {
	o, ok := c.outcomes[m.Name]
	switch {
	case !ok:
		return nothing
	case o.Located:
		return named
	case o.Detected:
		return detected
	}
	return missed
}

// writeHead writes the first lines of a table.
func writeHead(w *bytes.Buffer, heads []string) {
	fmt.Fprintf(w, "\n| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
}

// writeFaults writes a row for each fault and a column for each conversion.
func (g *generator) writeFaults(w *bytes.Buffer) {
	heads := []string{"kind", "fault"}
	for _, c := range g.columns {
		heads = append(heads, c.headline)
	}
	writeHead(w, heads)
	for _, m := range mutation.All() {
		fmt.Fprintf(w, "| %s | %s |", m.Kind, m.Name)
		for _, c := range g.columns {
			fmt.Fprintf(w, " %s |", cell(c, m))
		}
		fmt.Fprintln(w)
	}
	var all mutation.Summary
	lines := []string{"| | **faults** |", "| | **detected** |", "| | **named** |"}
	for _, c := range g.columns {
		all.Planted += c.sum.Planted
		all.Detected += c.sum.Detected
		all.Located += c.sum.Located
		for i, n := range []int{c.sum.Planted, c.sum.Detected, c.sum.Located} {
			lines[i] += fmt.Sprintf(" %d |", n)
		}
	}
	fmt.Fprintf(w, "%s\n\n", strings.Join(lines, "\n"))
	fmt.Fprintf(w, "%d faults planted, %d detected, %d (%.1f %%) named: the first failure is at the right tensor or key and has the right cause.\n",
		all.Planted, all.Detected, all.Located, 100*float64(all.Located)/float64(max(all.Planted, 1)))
}

// writeTypes writes what is said about correct conversions.
func (g *generator) writeTypes(w *bytes.Buffer) {
	heads := []string{"correct conversion to"}
	for _, m := range models() {
		heads = append(heads, m.name)
	}
	writeHead(w, heads)
	for _, r := range g.accepted {
		fmt.Fprintf(w, "| %s | %s |\n", r.name, strings.Join(r.verdicts, " | "))
	}
	fmt.Fprintln(w)
}
