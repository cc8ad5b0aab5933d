package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/audio"
	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/internal/sums"
	"github.com/smelt-project/smelt/verify"
)

// errNotVerified is a result that is not its original.
var errNotVerified = errors.New("the result is not verified")

// verifyFlags are the flags of smelt verify, and of smelt convert --verify.
type verifyFlags struct {
	level, backends  string
	text, audio      string // paths
	importance, html string // paths
	find             convert.Options
	open             openFlags
	workers          int
	time             time.Duration
	json, silent     bool
}

func (f *verifyFlags) flags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "level", Value: "all", Usage: "compare no further than `LEVEL`: " + oneOf(verify.LevelNames()), Destination: &f.level},
		&cli.StringFlag{Name: "text", Usage: "let language models read `FILE` instead of the built-in prompts", Destination: &f.text, TakesFile: true},
		&cli.StringFlag{Name: "audio", Usage: "let speech models hear `FILE` instead of the built-in speech", Destination: &f.audio, TakesFile: true},
		&cli.StringFlag{Name: "backend", Value: "cpu", Usage: "run the result on `BACKENDS`: " + oneOf(backendNames()) + ", several with commas; the first decides, the others are compared with it", Destination: &f.backends},
		&cli.StringFlag{Name: "imatrix", Usage: "the importance matrix `FILE` that RESULT was quantized with: its bytes can be made again then", Destination: &f.importance, TakesFile: true},
		&cli.DurationFlag{Name: "time", Usage: "begin nothing new after `DURATION`, such as 90s; the report says what was left out", Destination: &f.time},
		&cli.StringFlag{Name: "html", Usage: "write the report with plots as one page to `FILE`", Destination: &f.html, TakesFile: true},
		&cli.StringFlag{Name: "root", Usage: "take the model under `NAME` of an ORIGINAL that holds several, such as ema; . is the top", Destination: &f.find.Root},
		&cli.StringFlag{Name: "config", Usage: "read ORIGINAL's hyperparameters from `FILE`, a config.json or params.json (default: those beside it)", Destination: &f.find.Config, TakesFile: true},
		&cli.StringFlag{Name: "tokenizer", Usage: "read ORIGINAL's vocabulary from `PATH`, a tokenizer.json, a tokenizer.model or a folder (default: beside it)", Destination: &f.find.Tokenizer, TakesFile: true},
		&cli.IntFlag{Name: "workers", DefaultText: "one per processor", Usage: "work on `N` processors at once; the findings do not depend on it", Destination: &f.workers},
		&cli.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print one JSON object", Destination: &f.json},
		&cli.BoolFlag{Name: "quiet", DisableDefaultText: true, Usage: "show no progress", Destination: &f.silent},
	}, f.open.flags()...)
}

func (p *program) verifyCommand() *cli.Command {
	f := &verifyFlags{}
	return &cli.Command{
		Name:  "verify",
		Usage: "prove that a converted model is the model it was made from, or find the fault",
		UsageText: `smelt verify ORIGINAL RESULT [FLAGS]

smelt verify model.pt model.gguf
smelt verify folder/ model-q4.gguf --level weights
smelt verify whisper-base.pt whisper-base.bin --audio speech.flac --html report.html
smelt verify original.gguf ollama:llama3 --json`,
		Description: "ORIGINAL and RESULT are what smelt convert reads. Structure and weights are compared, then both models are run and compared layer by layer and in what they answer; " +
			"the original is run by a second implementation that reads its own names. Exit code 0 is verified, 3 is not.",
		Flags:        f.flags(),
		OnUsageError: onUsageError,
		BashComplete: complete(map[string]func() []string{"--level": verify.LevelNames, "--backend": backendNames}),
		Action:       func(c *cli.Context) error { return p.verify(c, f) },
	}
}

func (p *program) verify(c *cli.Context, f *verifyFlags) (err error) {
	p.json = f.json
	if err := wantArgs(c, 2, "an ORIGINAL and a RESULT"); err != nil {
		return err
	}
	opt, err := f.options()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll(opt.Backends)) }()
	original, err := convert.Open(c.Args().Get(0), f.open.options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, original.Close()) }()
	result, err := convert.Open(c.Args().Get(1), f.open.options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	pair, err := f.pair(c.Context, original, result)
	if err != nil {
		return err
	}
	if f.json || f.html != "" { // a report that outlives the command says which files it is about
		if err := errors.Join(addDigests(c.Context, &pair.Original), addDigests(c.Context, &pair.Result)); err != nil {
			return err
		}
	}
	report, err := p.judge(c.Context, pair, opt, f)
	if err != nil {
		return err
	}
	if f.json {
		err = p.printJSON(report)
	} else {
		_, err = fmt.Fprint(p.out, report.Text())
	}
	if err == nil && report.Verdict != verify.Verified {
		err = errNotVerified
	}
	return err
}

// judge verifies, with progress, and writes the page that was asked for.
func (p *program) judge(ctx context.Context, pair verify.Pair, opt verify.Options, f *verifyFlags) (*verify.Report, error) {
	quiet := &convertFlags{silent: f.silent, json: f.json}
	bar := &checkProgress{open: func() *progress { return p.newProgress(quiet) }}
	opt.Progress = bar.move
	report, err := verify.Run(ctx, pair, opt)
	bar.stop()
	if err != nil || f.html == "" {
		return report, err
	}
	return report, writePage(report, f.html)
}

// options turns the flags into what verification takes.
func (f *verifyFlags) options() (opt verify.Options, err error) {
	opt = verify.Options{Workers: f.workers, Time: f.time}
	if opt.Level, err = verify.ParseLevel(f.level); err != nil {
		return opt, usagef("--level: %w", err)
	}
	if f.workers < 0 {
		return opt, usagef("--workers: %d is less than 0", f.workers)
	}
	if f.text != "" {
		text, err := os.ReadFile(f.text)
		if err != nil {
			return opt, err
		}
		opt.Text = string(text)
	}
	if f.audio != "" {
		if opt.Audio, err = readAudio(f.audio); err != nil {
			return opt, err
		}
	}
	if f.importance != "" {
		if opt.Importance, err = convert.OpenImportance(f.importance); err != nil {
			return opt, err
		}
	}
	if opt.Level >= verify.Layers {
		opt.Backends, err = openBackends(f.backends, f.workers)
	}
	return opt, err
}

func readAudio(path string) (samples []float32, err error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if samples, err = audio.Decode(r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return samples, nil
}

// backends is the table of what runs models.
var backends = []struct {
	name string
	open func(workers int) (infer.Backend, error)
}{
	{"cpu", func(workers int) (infer.Backend, error) { return cpu.New(cpu.Options{Workers: workers}) }},
}

func backendNames() []string {
	var names []string
	for _, b := range backends {
		names = append(names, b.name)
	}
	return names
}

// openBackends opens those that list names, joined by commas.
func openBackends(list string, workers int) (open []infer.Backend, err error) {
	for name := range strings.SplitSeq(list, ",") {
		known := false
		for _, b := range backends {
			if b.name != name {
				continue
			}
			known = true
			backend, err := b.open(workers)
			if err != nil {
				return nil, errors.Join(err, closeAll(open))
			}
			open = append(open, backend)
		}
		if !known {
			return nil, errors.Join(usagef("--backend: unknown backend %q; known: %s", name, oneOf(backendNames())), closeAll(open))
		}
	}
	return open, nil
}

func closeAll(open []infer.Backend) error {
	var errs []error
	for _, b := range open {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// pair describes both models for verification.
func (f *verifyFlags) pair(ctx context.Context, original, result *convert.Source) (pair verify.Pair, err error) {
	model := result.Model
	if !result.Canonical {
		if model, err = convert.Canonical(ctx, result, convert.Options{}); err != nil {
			return pair, err
		}
	}
	find := f.find
	if model.Meta.Text("general.architecture") == convert.GenericArch {
		find.Arch = convert.GenericArch
	}
	side := sideOf(result)
	side.Model = model
	return pairOf(ctx, original, find, side)
}

// pairOf describes an original, found as find says, and a result.
func pairOf(ctx context.Context, original *convert.Source, find convert.Options, result verify.Side) (pair verify.Pair, err error) {
	pair = verify.Pair{Original: sideOf(original), Result: result, Configs: original.Configs, Root: find.Root}
	if find.Config != "" {
		c, err := convert.ReadConfig(find.Config)
		if err != nil {
			return pair, err
		}
		pair.Configs = append([]arch.Config{c}, pair.Configs...)
	}
	pair.Canonical, err = convert.Mapped(ctx, original, find)
	return pair, err
}

func sideOf(s *convert.Source) verify.Side {
	side := verify.Side{Name: s.Path, Model: s.Model}
	for _, f := range s.Files {
		side.Files = append(side.Files, verify.File{Path: f.Path, Size: f.Size})
	}
	return side
}

// addDigests states the SHA-256 of the files of a side, so that a report says
// which files it is about.
func addDigests(ctx context.Context, s *verify.Side) error {
	var g errgroup.Group
	for i := range s.Files {
		g.Go(func() (err error) {
			f, err := os.Open(s.Files[i].Path)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			s.Files[i].SHA256, err = sums.Read(ctx, f, nil)
			return err
		})
	}
	return g.Wait()
}

// writePage writes the report as HTML.
func writePage(r *verify.Report, path string) (err error) {
	w, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return r.WriteHTML(w)
}

// A checkProgress shows one bar after another, one a check.
type checkProgress struct {
	open  func() *progress
	mu    sync.Mutex
	check string
	bar   *progress
	step  func(done int64)
}

// barAbove is how many units of work are worth a bar.
const barAbove = 1 << 20

// move is called concurrently.
func (g *checkProgress) move(check string, done, total int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if check != g.check {
		g.stop()
		g.check, g.bar, g.step = check, g.open(), nil
		g.bar.say("%s…", check)
		if total > barAbove {
			g.step = g.bar.start(total)
		}
	}
	if g.step != nil {
		g.step(done)
	}
}

// stop takes the last bar off the screen.
func (g *checkProgress) stop() {
	if g.bar != nil {
		g.bar.stop()
	}
}
