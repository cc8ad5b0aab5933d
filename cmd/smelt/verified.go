package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/verify"
)

// verifiedFlags make smelt convert verify what it has written.
type verifiedFlags struct {
	wanted, keep bool
	reports      map[*convert.Plan]*verify.Report
}

func (f *verifiedFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "verify", DisableDefaultText: true, Usage: "verify the result as smelt verify does, and write it only if it passes", Destination: &f.wanted},
		&cli.BoolFlag{Name: "keep", DisableDefaultText: true, Usage: "with --verify, write the result even if it does not pass; the exit code is 3 all the same", Destination: &f.keep},
	}
}

// inspector returns what convert shows each result to, nil if nothing was asked.
func (p *program) inspector(ctx context.Context, f *convertFlags) func(*convert.Plan, *tensor.Model) error {
	v := &f.verified
	if !v.wanted {
		return nil
	}
	v.reports = map[*convert.Plan]*verify.Report{}
	return func(plan *convert.Plan, written *tensor.Model) error {
		report, err := p.verifyWritten(ctx, plan, written, f)
		if err != nil {
			return err
		}
		v.reports[plan] = report
		if report.Verdict == verify.Verified || v.keep {
			return nil
		}
		return fmt.Errorf("%w and was not written (--keep writes it):\n%s", errNotVerified, report.Text())
	}
}

// verifyWritten compares what a plan has written with its source.
func (p *program) verifyWritten(ctx context.Context, plan *convert.Plan, written *tensor.Model, f *convertFlags) (*verify.Report, error) {
	find := f.plan
	if plan.Arch == convert.GenericArch {
		find.Arch = convert.GenericArch
	}
	pair, err := pairOf(ctx, plan.Source, find, verify.Side{Name: "what was written", Model: written})
	if err != nil {
		return nil, err
	}
	b, err := cpu.New(cpu.Options{Workers: f.run.Workers})
	if err != nil {
		return nil, err
	}
	opt := verify.Options{Workers: f.run.Workers, Backends: []infer.Backend{b}}
	if path := f.plan.Quantize.Importance; path != "" {
		if opt.Importance, err = convert.OpenImportance(path); err != nil {
			return nil, err
		}
	}
	return p.judge(ctx, pair, opt, &verifyFlags{silent: f.silent, json: f.json})
}

// failed reports whether a result that was kept did not pass.
func (f *verifiedFlags) failed() error {
	for _, r := range f.reports {
		if r.Verdict != verify.Verified {
			return errNotVerified
		}
	}
	return nil
}
