package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/pickle"
)

// scanFlags are the flags of smelt scan.
type scanFlags struct{ json bool }

func (p *program) scanCommand() *cli.Command {
	f := &scanFlags{}
	return &cli.Command{
		Name:  "scan",
		Usage: "tell whether pickles are safe to load with Python",
		UsageText: `smelt scan PATH... [FLAGS]

smelt scan model.pt
smelt scan downloads/ --json`,
		Description: "Lists every name that a pickle imports, where, and how it is used. Folders and archives are searched for pickles under any name. Nothing is executed. " +
			"The exit code is that of the worst verdict: 3 if anything is dangerous, else 1 if anything could not be read to its end, else 4 if a name is not known to be safe, else 0.",
		Flags:        []cli.Flag{&cli.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print a JSON list, one object for each file", Destination: &f.json}},
		OnUsageError: onUsageError,
		BashComplete: complete(nil),
		Action:       func(c *cli.Context) error { return p.scan(c, f) },
	}
}

func (p *program) scan(c *cli.Context, f *scanFlags) error {
	p.json = f.json
	if c.NArg() == 0 {
		return usagef("smelt scan needs a PATH; see smelt scan --help")
	}
	reports := []pickle.Report{}
	for _, path := range c.Args().Slice() {
		found, err := pickle.Scan(c.Context, path, pickle.ScanOptions{})
		if c.Err() != nil {
			return context.Cause(c.Context)
		}
		if err != nil {
			found = append(found, pickle.Report{Path: path, Verdict: pickle.VerdictUnreadable, Errors: []string{err.Error()}})
		}
		reports = append(reports, found...)
	}
	if p.json {
		return errors.Join(p.printJSON(reports), verdictError(reports))
	}
	for _, r := range reports {
		if err := p.printReport(r); err != nil {
			return err
		}
	}
	return verdictError(reports)
}

// verdicts orders the verdicts from the worst, with the failure of each.
var verdicts = []struct {
	verdict pickle.Verdict
	err     error
	says    string
}{
	{pickle.VerdictDangerous, errDangerous, "DANGEROUS: loading it with Python can run programs, reach files or the network"},
	{pickle.VerdictUnreadable, errUnreadable, "UNREADABLE: it could not be examined to its end, so nothing is known of the rest"},
	{pickle.VerdictUnknown, errUnknown, "unknown: it names what is not known to be safe"},
	{pickle.VerdictSafe, nil, "safe: it names nothing but what makes tensors and plain data"},
}

// verdictError returns the failure of the worst verdict.
func verdictError(reports []pickle.Report) error {
	for _, v := range verdicts {
		n := 0
		for _, r := range reports {
			if r.Verdict == v.verdict {
				n++
			}
		}
		if n > 0 {
			return v.err
		}
	}
	return nil
}

func verdictWords(v pickle.Verdict) string {
	for _, row := range verdicts {
		if row.verdict == v {
			return row.says
		}
	}
	return string(v)
}

func (p *program) printReport(r pickle.Report) error {
	fmt.Fprintf(p.out, "%s: %s\n", inline(r.Path), verdictWords(r.Verdict))
	t := p.table()
	for _, g := range r.Globals {
		where := fmt.Sprintf("byte 0x%x", g.Offset)
		if g.Member != "" {
			where = g.Member + " " + where
		}
		row := []string{string(g.Kind), g.Module + "." + g.Name, g.Use, where}
		if g.Why != "" {
			row = append(row, g.Why)
		}
		fmt.Fprintf(t, "  %s\n", strings.Join(inlineAll(row), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, e := range r.Errors {
		fmt.Fprintf(p.out, "  error: %s\n", inline(e))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(p.out, "  note: %s\n", inline(n))
	}
	return nil
}

func inlineAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = inline(s)
	}
	return out
}
