package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/smelt-project/smelt/ollama"
)

// A checkReport is what smelt ollama check prints.
type checkReport struct {
	Store    string       `json:"store"`
	Models   int          `json:"models"`
	Blobs    int          `json:"blobs"`
	Bytes    int64        `json:"bytes"` // that were read
	Whole    bool         `json:"whole"`
	Findings []findingRow `json:"findings"`
}

// A findingRow is one thing that is not as it should be.
type findingRow struct {
	Kind   ollama.FindingKind `json:"kind"`
	Path   string             `json:"path"`
	Bytes  int64              `json:"bytes"`
	Breaks []string           `json:"breaks"` // models
	Error  string             `json:"error"`
}

func (p *program) checkStore(ctx context.Context, names []ollama.Name, f *ollamaFlags) error {
	s, err := f.store(names)
	if err != nil {
		return err
	}
	c, err := s.Check(ctx, names, ollama.CheckOptions{Workers: f.workers})
	if err != nil {
		return err
	}
	broken := c.Broken()
	r := checkReport{Store: s.String(), Models: c.Models, Blobs: c.Blobs, Bytes: c.Bytes, Whole: len(broken) == 0, Findings: []findingRow{}}
	for _, found := range c.Findings {
		row := findingRow{found.Kind, found.Path, found.Size, append([]string{}, found.Breaks...), ""}
		if found.Err != nil {
			row.Error = found.Err.Error()
		}
		r.Findings = append(r.Findings, row)
	}
	if p.json {
		err = p.printJSON(r)
	} else {
		p.printCheck(&r)
	}
	if err == nil && !r.Whole {
		return errBrokenStore
	}
	return err
}

func (p *program) printCheck(r *checkReport) {
	for _, f := range r.Findings {
		fmt.Fprintf(p.out, "%s  %s", f.Kind, inline(f.Path))
		if len(f.Breaks) > 0 {
			fmt.Fprintf(p.out, "\n  breaks %s", inline(strings.Join(f.Breaks, ", ")))
		}
		if f.Error != "" {
			fmt.Fprintf(p.out, "\n  %s", inline(f.Error))
		}
		fmt.Fprintln(p.out)
	}
	outcome := "all are whole"
	if !r.Whole {
		outcome = "not all are whole"
	}
	fmt.Fprintf(p.out, "%s, %s of %s read: %s\n", plural(r.Models, "model"), plural(r.Blobs, "blob"), size(r.Bytes), outcome)
}

// A garbageRow is a file that was or would be removed.
type garbageRow struct {
	Path   string  `json:"path"`
	Bytes  int64   `json:"bytes"`
	About  string  `json:"about"`
	Age    float64 `json:"age_seconds"`
	Shared bool    `json:"shared"` // it is a link: removing it frees nothing
}

// A removalReport is what smelt ollama rm and gc print.
type removalReport struct {
	Store   string       `json:"store"`
	Model   string       `json:"model"` // "" of gc
	DryRun  bool         `json:"dry_run"`
	Removed []garbageRow `json:"removed"`
	Freed   int64        `json:"freed"`  // bytes
	Spared  []garbageRow `json:"spared"` // too young
	Kept    int          `json:"kept"`   // blobs that other models use
	Left    string       `json:"left"`   // why blobs were left; "" if they were not
}

func garbageRows(all []ollama.Garbage) (rows []garbageRow, freed int64) {
	rows = []garbageRow{}
	for _, g := range all {
		rows = append(rows, garbageRow{g.Path, g.Size, g.About, g.Age.Seconds(), g.Shared})
		if !g.Shared {
			freed += g.Size
		}
	}
	return rows, freed
}

func (p *program) removeStored(_ context.Context, names []ollama.Name, f *ollamaFlags) error {
	s, err := f.store(names)
	if err != nil {
		return err
	}
	removal, err := s.Remove(names[0])
	if err != nil {
		return err
	}
	r := removalReport{Store: s.String(), Model: removal.Name.String(), Spared: []garbageRow{}, Kept: removal.Kept, Left: removal.Left}
	r.Removed, r.Freed = garbageRows(removal.Removed)
	if p.json {
		return p.printJSON(r)
	}
	fmt.Fprintf(p.out, "removed %s with %s, %s freed", inline(r.Model), plural(len(r.Removed), "blob"), size(r.Freed))
	if r.Kept > 0 {
		fmt.Fprintf(p.out, "; other models use %d more", r.Kept)
	}
	if r.Left != "" {
		fmt.Fprintf(p.out, "; its blobs were left: %s", inline(r.Left))
	}
	fmt.Fprintln(p.out)
	return nil
}

func (p *program) collectStore(_ context.Context, _ []ollama.Name, f *ollamaFlags) error {
	s, err := f.store(nil)
	if err != nil {
		return err
	}
	c, err := s.Collect(ollama.CollectOptions{Grace: f.grace, DryRun: f.dryRun})
	if err != nil {
		return err
	}
	r := removalReport{Store: s.String(), DryRun: f.dryRun}
	r.Removed, r.Freed = garbageRows(c.Removed)
	r.Spared, _ = garbageRows(c.Spared)
	if p.json {
		return p.printJSON(r)
	}
	p.printCollection(&r, f.grace)
	return nil
}

func (p *program) printCollection(r *removalReport, grace time.Duration) {
	done := "removed"
	if r.DryRun {
		done = "would remove"
	}
	for _, g := range r.Removed {
		about := g.About
		if g.Shared {
			about += "; a link, the file stays"
		}
		fmt.Fprintf(p.out, "%s  %s  %s (%s)\n", done, size(g.Bytes), inline(g.Path), about)
	}
	fmt.Fprintf(p.out, "%s %s, %s", done, plural(len(r.Removed), "file"), size(r.Freed))
	if n := len(r.Spared); n > 0 {
		fmt.Fprintf(p.out, "; spared %d that are younger than %s", n, grace)
	}
	fmt.Fprintln(p.out)
}
