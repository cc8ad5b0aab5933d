package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/quantize"
)

// convertFlags are the flags of smelt convert.
type convertFlags struct {
	plan         convert.Options
	run          convert.RunOptions
	open         openFlags
	meta         cli.StringSlice
	tensorTypes  cli.StringSlice
	recipe       string // path of a recipe of one's own
	goal         goalFlags
	verified     verifiedFlags
	split        splitFlags
	store        storeFlags
	dryRun, raw  bool
	json, silent bool
}

func (f *convertFlags) flags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "type", Usage: "store matrices as `TYPE`: " + oneOf(quantize.RecipeNames()), Destination: &f.plan.Type},
		&cli.StringFlag{Name: "to", Usage: "write `FORMAT`: " + oneOf(convert.TargetNames()) + " (default: by the extension of DST)", Destination: &f.plan.To},
		&cli.StringFlag{Name: "arch", Usage: "take SRC for a model of `ARCHITECTURE`: " + oneOf(archNames()) + " (default: recognised by its tensors)", Destination: &f.plan.Arch},
		&cli.StringFlag{Name: "root", Usage: "take the model under `NAME` of a checkpoint that holds several, such as ema; . is the top", Destination: &f.plan.Root},
		&cli.StringFlag{Name: "config", Usage: "read hyperparameters from `FILE`, a config.json or params.json (default: those beside SRC)", Destination: &f.plan.Config, TakesFile: true},
		&cli.StringFlag{Name: "tokenizer", Usage: "read the vocabulary from `PATH`, a tokenizer.json, a tokenizer.model or a folder (default: beside SRC)", Destination: &f.plan.Tokenizer, TakesFile: true},
		&cli.StringSliceFlag{Name: "meta", Usage: "set metadata: `KEY=VALUE`, or KEY=TYPE:VALUE for a type such as u32, f32, bool or str; may be repeated", Destination: &f.meta},
		&cli.BoolFlag{Name: "dry-run", DisableDefaultText: true, Usage: "print the plan and write nothing", Destination: &f.dryRun},
		&cli.IntFlag{Name: "workers", DefaultText: "one per processor", Usage: "work on `N` ranges at once; the result does not depend on it", Destination: &f.run.Workers},
		&cli.BoolFlag{Name: "force", DisableDefaultText: true, Usage: "replace DST if it exists", Destination: &f.run.Replace},
		&cli.BoolFlag{Name: "allow-overflow", DisableDefaultText: true, Usage: "store values that the type cannot hold as infinity, and list them", Destination: &f.run.AllowOverflow},
		&cli.BoolFlag{Name: "allow-nonfinite", DisableDefaultText: true, Usage: "when quantizing, keep infinities and NaNs in tensors whose type can hold them", Destination: &f.run.AllowNonFinite},
		&cli.BoolFlag{Name: "raw", DisableDefaultText: true, Usage: "copy the model file of an ollama: name without changing a byte, and write a Modelfile beside it", Destination: &f.raw},
		&cli.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print one JSON object when done, or the plan with --dry-run", Destination: &f.json},
		&cli.BoolFlag{Name: "quiet", DisableDefaultText: true, Usage: "print nothing but errors", Destination: &f.silent},
	}, slices.Concat(f.verified.flags(), f.split.flags(), f.store.flags(), f.quantizationFlags(), f.open.flags())...)
}

// archNames lists what --arch takes.
func archNames() []string {
	var names []string
	for _, s := range arch.Specs() {
		names = append(names, s.Name)
	}
	return append(names, convert.GenericArch)
}

// oneOf joins choices: "gguf or ggml".
func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func (p *program) convertCommand() *cli.Command {
	f := &convertFlags{}
	return &cli.Command{
		Name:  "convert",
		Usage: "make a file that llama.cpp or whisper.cpp runs",
		UsageText: `smelt convert SRC DST [FLAGS]

smelt convert model.pt model.gguf --type f16
smelt convert model.pt model.gguf --type bf16 --meta general.name='My model' --force
smelt convert folder/ model.gguf --dry-run
smelt convert folder/ model.gguf --split-max-size 2G
smelt convert whisper-base.pt whisper-base.bin
smelt convert unknown.pt unknown.gguf --arch generic
smelt convert ollama:llama3 llama3.gguf
smelt convert ollama:llama3 llama3.gguf --raw
smelt convert model.gguf ollama:mine
smelt convert model.pt ollama:mine:small --type Q4_K_M`,
		Description: "SRC is what smelt inspect takes. DST appears when it is complete, or not at all; an existing one is replaced only with --force. " +
			"ollama:NAME[:TAG] puts the model into an Ollama store, which may be in use: a GGUF as it is, sharing its bytes where that is possible, anything else converted. " +
			"Without --type, matrices keep their type in a GGUF and become f16 in a .bin. With a quantized type it does what smelt quantize does.",
		Flags:        f.flags(),
		OnUsageError: onUsageError,
		BashComplete: complete(map[string]func() []string{"--type": quantize.RecipeNames, "--to": convert.TargetNames, "--arch": archNames}),
		Action:       func(c *cli.Context) error { return p.convert(c, f) },
	}
}

func (p *program) convert(c *cli.Context, f *convertFlags) (err error) {
	p.json = f.json
	if err := wantArgs(c, 2, "a SRC and a DST"); err != nil {
		return err
	}
	from, dst := c.Args().Get(0), c.Args().Get(1)
	if err := f.take(); err != nil {
		return err
	}
	if err := f.check(dst); err != nil {
		return err
	}
	src, err := convert.Open(from, f.open.options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if f.raw {
		return p.copyRaw(c.Context, src, dst, f)
	}
	if _, ok := convert.StoreName(dst); ok && !f.verified.wanted && src.Unchanged(f.plan) {
		return p.importModel(c.Context, src, dst, f)
	}
	return p.convertOne(c.Context, src, dst, f)
}

// convertOne makes one model, or prints the plan.
func (p *program) convertOne(ctx context.Context, src *convert.Source, dst string, f *convertFlags) error {
	plan, err := p.newPlan(ctx, src, dst, f)
	if err != nil {
		return err
	}
	if f.dryRun {
		return p.printPlan(plan, dst, f)
	}
	reports, err := p.carryOut(ctx, []convert.Job{{Plan: plan, Dst: dst}}, f)
	if err != nil {
		return err
	}
	if p.json {
		err = p.printJSON(reports[0])
	}
	return errors.Join(err, f.verified.failed())
}

// take moves what the flags collected to where it is used.
func (f *convertFlags) take() (err error) {
	f.plan.Meta, f.plan.Quantize.Tensors = f.meta.Value(), f.tensorTypes.Value()
	f.run.Store = f.store.options(f.open.ollamaDir)
	if f.plan.Split, err = f.split.limit(); err != nil {
		return err
	}
	if f.plan.Goal, err = f.goal.goal(f.run.Workers); err != nil || f.recipe == "" {
		return err
	}
	f.plan.Recipe, err = convert.ReadRecipe(f.recipe)
	return err
}

// check refuses flags that cannot be meant, and a destination that would be
// refused at the end, before any work is done.
func (f *convertFlags) check(dst string) error {
	if f.raw && (f.dryRun || f.quantizes() || f.plan.Split != (convert.Split{}) || f.plan.Type+f.plan.To+f.plan.Arch+f.plan.Root+f.plan.Config+f.plan.Tokenizer != "" || len(f.plan.Meta) > 0) {
		return usagef("--raw copies the file as it is: no plan, type, format, architecture, root, configuration, tokenizer or metadata goes with it")
	}
	if f.plan.Type != "" && f.recipe != "" {
		return usagef("--type and --recipe both say the type; give one of them")
	}
	if f.goal.given() && (f.plan.Type+f.recipe != "" || f.plan.Quantize.Pure) {
		return usagef("--target-size, --target-bpw and --for choose the types; --type, --recipe and --pure do not go with them")
	}
	if f.plan.Type != "" {
		if _, err := quantize.ParseRecipe(f.plan.Type); err != nil {
			return usagef("--type: %w", err)
		}
	}
	if _, err := f.plan.Quantize.Mix(); err != nil {
		return asUsage(err)
	}
	if _, err := convert.TargetFor(dst, f.plan.To); err != nil && !f.raw {
		return asUsage(err)
	}
	if _, ok := arch.ByName(f.plan.Arch); !ok && f.plan.Arch != "" && f.plan.Arch != convert.GenericArch {
		return usagef("--arch: unknown architecture %q; known: %s", f.plan.Arch, oneOf(archNames()))
	}
	if f.run.Workers < 0 {
		return usagef("--workers: %d is less than 0", f.run.Workers)
	}
	if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) && !f.run.Replace && !f.dryRun {
		return fmt.Errorf("%s %w; --force replaces it", dst, convert.ErrExists)
	}
	return nil
}

// carryOut runs the plans of one source in one pass and tells a person what was
// done.
func (p *program) carryOut(ctx context.Context, jobs []convert.Job, f *convertFlags) ([]*report, error) {
	bar := p.newProgress(f)
	var total int64
	for _, j := range jobs {
		bar.say("%s → %s: %s of %s in %s", j.Plan.Source.Path, j.Dst, plural(len(j.Plan.Steps), "tensor"), firstOf(j.Plan.Arch, "unknown architecture"), size(j.Plan.Size()))
		total += j.Plan.Size()
	}
	f.run.Progress, f.run.Inspect = bar.start(total), p.inspector(ctx, f)
	began := time.Now()
	results, err := convert.RunAll(ctx, jobs, f.run)
	bar.stop()
	took := time.Since(began)
	var reports []*report
	for i, result := range results {
		r := planReport(jobs[i].Plan, jobs[i].Dst)
		r.complete(result, took)
		r.Verification = f.verified.reports[jobs[i].Plan]
		r.say(bar)
		reports = append(reports, r)
	}
	return reports, err
}

// copyRaw copies the weights of a store and reports the result.
func (p *program) copyRaw(ctx context.Context, src *convert.Source, dst string, f *convertFlags) error {
	bar := p.newProgress(f)
	bar.say("%s → %s: copied as it is, %s", src.Path, dst, size(src.Bytes()))
	f.run.Progress = bar.start(src.Bytes())
	began := time.Now()
	result, err := src.CopyRaw(ctx, dst, f.run)
	bar.stop()
	if err != nil {
		return err
	}
	r := newReport(src, dst)
	r.Architecture = src.Model.Meta.Text("general.architecture")
	r.complete(result, time.Since(began))
	r.say(bar)
	if !p.json {
		return nil
	}
	return p.printJSON(r)
}
