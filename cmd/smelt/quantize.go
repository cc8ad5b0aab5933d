package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/quantize"
)

// quantizationFlags say how a recipe is applied.
func (f *convertFlags) quantizationFlags() []cli.Flag {
	q := &f.plan.Quantize
	return append([]cli.Flag{
		&cli.StringFlag{Name: "imatrix", Usage: "weigh the columns of matrices by `FILE`, an importance matrix that llama-imatrix wrote (.gguf or .dat)", Destination: &q.Importance, TakesFile: true},
		&cli.StringFlag{Name: "recipe", Usage: "choose types as `FILE` says, a recipe in YAML; smelt recipes show NAME prints one to start from", Destination: &f.recipe, TakesFile: true},
		&cli.BoolFlag{Name: "pure", DisableDefaultText: true, Usage: "one type for all matrices, the main one of the recipe", Destination: &q.Pure},
		&cli.StringSliceFlag{Name: "tensor-type", Usage: "store tensors whose name matches as another type: `PATTERN=TYPE`, a regular expression; the first that matches decides; may be repeated", Destination: &f.tensorTypes},
		&cli.StringFlag{Name: "output-type", Usage: "store the output matrix as `TYPE`", Destination: &q.Output},
		&cli.StringFlag{Name: "token-embedding-type", Usage: "store the token embedding as `TYPE`", Destination: &q.TokenEmbedding},
		&cli.BoolFlag{Name: "leave-output", DisableDefaultText: true, Usage: "keep the type of output.weight", Destination: &q.LeaveOutput},
		&cli.BoolFlag{Name: "allow-requantize", DisableDefaultText: true, Usage: "quantize what is quantized already, which adds error to error", Destination: &q.Requantize},
		&cli.BoolFlag{Name: "no-fallback", DisableDefaultText: true, Usage: "refuse tensors whose rows are not whole blocks of their type", Destination: &q.NoFallback},
	}, f.goal.flags()...)
}

// quantizes reports whether a flag that says how to quantize is set.
func (f *convertFlags) quantizes() bool {
	q := f.plan.Quantize
	return f.goal.given() || q.Pure || q.LeaveOutput || q.Requantize || q.NoFallback || len(q.Tensors) > 0 || q.Output+q.TokenEmbedding+q.Importance+f.recipe != ""
}

// typePlace is where DST names the type if several are written.
const typePlace = "{type}"

func (p *program) quantizeCommand() *cli.Command {
	f := &convertFlags{}
	return &cli.Command{
		Name:  "quantize",
		Usage: "make a smaller file, with a type for each tensor as llama-quantize chooses it",
		UsageText: `smelt quantize SRC DST TYPE[,TYPE…] [FLAGS]

smelt quantize model.pt model.gguf Q4_K_M
smelt quantize model.gguf small.gguf IQ3_S --imatrix imatrix.gguf
smelt quantize model.gguf 'model-{type}.gguf' Q4_K_M,Q6_K,Q8_0
smelt quantize model.gguf mixed.gguf Q4_K_M --tensor-type 'ffn_down=q6_k' --output-type q8_0
smelt quantize model.gguf out.gguf Q4_K_M --dry-run
smelt quantize model.gguf mine.gguf --recipe mine.yaml
smelt quantize model.gguf small.gguf --target-size 4.0GiB
smelt quantize model.gguf laptop.gguf --for 8GiB --context 8192
smelt quantize whisper-base.pt whisper-base-q5_0.bin Q5_0`,
		Description: "SRC is what smelt convert takes, no 16-bit file between is needed. TYPE is one of " + oneOf(quantizingRecipes()) + "; f32, f16 and bf16 do what smelt convert does. " +
			"Several types are written to several files from one reading; DST then says {type} where the type goes. " +
			"With --target-size, --target-bpw or --for there is no TYPE: every tensor gets the type that makes the error of all together least under that size, measured on the data. " +
			"Afterwards the sizes, the types and the error are shown: the root of the mean squared difference to the source, relative to the source.",
		Flags:        f.quantizeFlags(),
		OnUsageError: onUsageError,
		BashComplete: complete(map[string]func() []string{"--to": convert.TargetNames, "--arch": archNames}),
		Action:       func(c *cli.Context) error { return p.quantize(c, f) },
	}
}

// quantizeFlags are those of convert that make sense with a type as argument.
func (f *convertFlags) quantizeFlags() []cli.Flag {
	var flags []cli.Flag
	for _, flag := range f.flags() {
		if name := flag.Names()[0]; name != "type" && name != "raw" {
			flags = append(flags, flag)
		}
	}
	return flags
}

// quantizingRecipes lists the recipes that make blocks.
func quantizingRecipes() []string {
	var names []string
	for _, r := range quantize.Recipes() {
		if r.Quantizes() {
			names = append(names, r.Name)
		}
	}
	return names
}

func (p *program) quantize(c *cli.Context, f *convertFlags) (err error) {
	p.json = f.json
	if err := f.wantTypes(c); err != nil {
		return err
	}
	if err := f.take(); err != nil {
		return err
	}
	files, err := f.files(c.Args().Get(1), c.Args().Get(2))
	if err != nil {
		return err
	}
	src, err := convert.Open(c.Args().Get(0), f.open.options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	jobs, err := p.plans(c.Context, src, files, f)
	if err != nil {
		return err
	}
	return p.doAll(c.Context, jobs, f)
}

// wantTypes checks the number of arguments: a recipe of one's own or a size
// stands for the type.
func (f *convertFlags) wantTypes(c *cli.Context) error {
	if f.recipe != "" || f.goal.given() {
		return wantArgs(c, 2, "a SRC and a DST")
	}
	return wantArgs(c, 3, "a SRC, a DST and a TYPE")
}

// A typedFile is one file that is asked for; recipe "" is one of the user's own, or a size.
type typedFile struct{ recipe, dst string }

// files returns one for each of types, which are separated by commas.
func (f *convertFlags) files(dst, types string) ([]typedFile, error) {
	if f.goal.given() {
		return []typedFile{{"", dst}}, f.check(dst)
	}
	if f.recipe != "" {
		to := strings.ReplaceAll(dst, typePlace, f.plan.Recipe.Name)
		return []typedFile{{"", to}}, f.check(to)
	}
	names := strings.Split(types, ",")
	if len(names) > 1 && !strings.Contains(dst, typePlace) {
		return nil, usagef("%d types go to %d files: say %s in DST, such as 'model-%[3]s.gguf'", len(names), len(names), typePlace)
	}
	var files []typedFile
	for _, name := range names {
		recipe, err := quantize.ParseRecipe(name)
		if err != nil {
			return nil, asUsage(err)
		}
		to := typedFile{recipe.Name, strings.ReplaceAll(dst, typePlace, recipe.Name)}
		if slices.Contains(files, to) {
			return nil, usagef("type %s is named twice", recipe.Name)
		}
		if err := f.check(to.dst); err != nil {
			return nil, err
		}
		files = append(files, to)
	}
	return files, nil
}

// plans decides about all files before the first is written.
func (p *program) plans(ctx context.Context, src *convert.Source, files []typedFile, f *convertFlags) ([]convert.Job, error) {
	f.plan.Type = files[0].recipe
	first, err := p.newPlan(ctx, src, files[0].dst, f)
	if err != nil {
		return nil, err
	}
	jobs := []convert.Job{{Plan: first, Dst: files[0].dst}}
	for _, file := range files[1:] {
		plan, err := first.Another(file.dst, file.recipe)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, convert.Job{Plan: plan, Dst: file.dst})
	}
	return jobs, nil
}

// newPlan decides about one file. Where that takes measuring, a bar shows how far
// it is.
func (p *program) newPlan(ctx context.Context, src *convert.Source, dst string, f *convertFlags) (*convert.Plan, error) {
	bar := p.newProgress(f)
	f.plan.Progress = bar.measuring()
	plan, err := convert.NewPlan(ctx, src, dst, f.plan)
	bar.stop()
	return plan, err
}

// doAll carries out the jobs, or prints their plans.
func (p *program) doAll(ctx context.Context, jobs []convert.Job, f *convertFlags) error {
	var reports []*report
	var err error
	switch {
	case !f.dryRun:
		reports, err = p.carryOut(ctx, jobs, f)
	case !f.json:
		for _, j := range jobs {
			err = errors.Join(err, p.printPlan(j.Plan, j.Dst, f))
		}
	default:
		for _, j := range jobs {
			reports = append(reports, planReport(j.Plan, j.Dst))
		}
	}
	switch {
	case err != nil:
		return err
	case p.json && len(reports) == 1:
		err = p.printJSON(reports[0])
	case p.json:
		err = p.printJSON(reports)
	}
	return errors.Join(err, f.verified.failed())
}
