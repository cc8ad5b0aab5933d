package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/pickle"
	"github.com/smelt-project/smelt/tensor"
)

// inspectFlags are the flags of smelt inspect.
type inspectFlags struct {
	json, digest bool
	tensors      string
	open         openFlags
}

// openFlags are those of every command that opens a model.
type openFlags struct {
	ollamaDir          string
	strict, forceInert bool
}

func (f *openFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "ollama-dir", Usage: "models `DIR` for ollama: names (default: OLLAMA_MODELS, then where Ollama keeps them)", Destination: &f.ollamaDir, TakesFile: true},
		&cli.BoolFlag{Name: "strict", DisableDefaultText: true, Usage: "refuse pickles that name any class that smelt has no builder for", Destination: &f.strict},
		&cli.BoolFlag{Name: "force-inert", DisableDefaultText: true, Usage: "read the tensors of a pickle that is dangerous to load with Python; nothing in it is executed", Destination: &f.forceInert},
	}
}

func (f *openFlags) options() convert.OpenOptions {
	return convert.OpenOptions{OllamaDir: f.ollamaDir, Pickle: pickle.Options{Strict: f.strict, ForceInert: f.forceInert}}
}

func (p *program) inspectCommand() *cli.Command {
	f := &inspectFlags{}
	return &cli.Command{
		Name:  "inspect",
		Usage: "say what a model is, what it needs to run, and what is in it",
		UsageText: `smelt inspect PATH [FLAGS]

smelt inspect model.pt
smelt inspect folder/ --tensors 'model.layers.0.*'
smelt inspect model.gguf --json --digest
smelt inspect ollama:llama3`,
		Description: "PATH is a file, a folder that holds one model, or ollama:NAME[:TAG]. Files are recognised by content: PyTorch checkpoints in every container, GGUF, whisper.cpp's .bin.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print one JSON object", Destination: &f.json},
			&cli.BoolFlag{Name: "digest", DisableDefaultText: true, Usage: "print the SHA-256 of each tensor's elements: row-major, little-endian, without padding", Destination: &f.digest},
			&cli.StringFlag{Name: "tensors", Usage: "list only tensors whose name fits `GLOB`", Destination: &f.tensors},
		}, f.open.flags()...),
		OnUsageError: onUsageError,
		BashComplete: complete(nil),
		Action:       func(c *cli.Context) error { return p.inspect(c, f) },
	}
}

func (p *program) inspect(c *cli.Context, f *inspectFlags) (err error) {
	p.json = f.json
	if err := wantArgs(c, 1, "a PATH"); err != nil {
		return err
	}
	if _, err := path.Match(f.tensors, ""); err != nil {
		return usagef("--tensors %q: %w", f.tensors, err)
	}
	src, err := convert.Open(c.Args().First(), f.open.options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	d := describe(src)
	shown := matching(src.Model.Tensors(), f.tensors)
	if d.Tensors, err = rows(c.Context, src, shown, f); err != nil {
		return err
	}
	if p.json {
		return p.printJSON(d)
	}
	return p.printDescription(d, len(src.Model.Tensors()))
}

// matching returns the tensors whose names fit glob, all if it is empty.
func matching(tensors []*tensor.Tensor, glob string) []*tensor.Tensor {
	if glob == "" {
		return tensors
	}
	var out []*tensor.Tensor
	for _, t := range tensors {
		if ok, err := path.Match(glob, t.Name); ok && err == nil {
			out = append(out, t)
		}
	}
	return out
}

// rows describes tensors, with their digests if f asks for them.
func rows(ctx context.Context, src *convert.Source, tensors []*tensor.Tensor, f *inspectFlags) ([]tensorRow, error) {
	out := make([]tensorRow, len(tensors))
	for i, t := range tensors {
		out[i] = tensorRow{Name: t.Name, DType: t.DType.String(), Shape: append([]int{}, t.Shape...), Bytes: t.Size(), Note: t.Origin.Note}
	}
	if !f.digest {
		return out, nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	g.Go(func() error { return src.VerifyBlobs(ctx) })
	for i, t := range tensors {
		g.Go(func() error {
			sum, err := t.Digest(ctx)
			out[i].SHA256 = hex.EncodeToString(sum[:])
			return err
		})
	}
	return out, g.Wait()
}

// printDescription prints d for a person: sentences, then tables. all is the
// number of tensors before some were chosen.
func (p *program) printDescription(d *description, all int) error {
	fmt.Fprintf(p.out, "%s: %s\n\n", inline(d.Path), headline(d))
	if err := p.printFacts(d); err != nil {
		return err
	}
	p.printNotes(d.Notes)
	if d.Ollama != nil {
		if err := p.printStore(d.Ollama); err != nil {
			return err
		}
	}
	if err := p.printMetadata(tensor.Meta(d.Metadata)); err != nil {
		return err
	}
	return p.printTensors(d.Tensors, all)
}

// headline says in a sentence what d is.
func headline(d *description) string {
	what := "a model of unknown architecture"
	if d.Architecture != "" {
		what = "a " + d.Architecture + " model"
	}
	in := "one file (" + d.Format + ")"
	if len(d.Files) > 1 {
		in = fmt.Sprintf("%d files (%s)", len(d.Files), d.Format)
	}
	if d.Ollama != nil {
		in = fmt.Sprintf("an Ollama store, where %s together are one model", plural(len(d.Ollama.Blobs), "blob"))
	}
	return inline(fmt.Sprintf("%s with %s parameters, in %s.", what, humanCount(d.Parameters), in))
}

func (p *program) printFacts(d *description) error {
	t := p.table()
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, inline(fmt.Sprintf(format, args...)))
	}
	row("format", "%s", d.Format)
	row("architecture", "%s", firstOf(d.Naming, d.Architecture, "unknown"))
	row("parameters", "%s", humanize.Comma(d.Parameters))
	for i, u := range d.DTypes {
		row([]string{"types", ""}[min(i, 1)], "%s: %s, %s", u.DType, plural(u.Tensors, "tensor"), size(u.Bytes))
	}
	row("on disk", "%s in %s", size(d.DiskBytes), plural(len(d.Files), "file"))
	if len(d.Files) > 1 {
		for _, f := range d.Files {
			row("", "%s: %s", f.Path, size(f.Size))
		}
	}
	row("in memory", "%s", size(d.MemoryBytes))
	if d.beside > 0 {
		row("beside it", "%s that are not part of the model", plural(d.beside, "tensor"))
	}
	row("tokenizer", "%s", firstOf(d.Tokenizer, "none found"))
	row("what runs it", "%s", d.Runs)
	if d.Convert != "" {
		row("", "%s", d.Convert)
	}
	return t.Flush()
}

// size formats a number of bytes.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func firstOf(options ...string) string {
	for _, s := range options {
		if s != "" {
			return s
		}
	}
	return ""
}

func (p *program) printNotes(notes []string) {
	if len(notes) == 0 {
		return
	}
	fmt.Fprintln(p.out, "\nNotes:")
	for _, n := range notes {
		fmt.Fprintf(p.out, "  - %s\n", inline(n))
	}
}

func (p *program) printStore(e *storeEntry) error {
	fmt.Fprintf(p.out, "\nOllama keeps %s as %s:\n", inline(e.Name), plural(len(e.Blobs), "blob"))
	t := p.table()
	fmt.Fprintln(t, "  ROLE\tSIZE\tDIGEST\tWHAT IT IS")
	for _, b := range e.Blobs {
		about := b.About
		if !b.Used {
			about += " (ignored by Ollama)"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", inline(string(b.Role)), size(b.Bytes), inline(b.Digest), inline(about))
	}
	return t.Flush()
}

func (p *program) printTensors(rows []tensorRow, all int) error {
	fmt.Fprintf(p.out, "\nTensors: %s", plural(all, "tensor"))
	if len(rows) != all {
		fmt.Fprintf(p.out, ", %d listed", len(rows))
	}
	fmt.Fprintln(p.out)
	if len(rows) == 0 {
		return nil
	}
	t := p.table()
	columns := []string{"  NAME", "TYPE", "SHAPE", "BYTES"}
	if rows[0].SHA256 != "" {
		columns = append(columns, "SHA256")
	}
	noted := slices.ContainsFunc(rows, func(r tensorRow) bool { return r.Note != "" })
	if noted {
		columns = append(columns, "NOTE")
	}
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	for _, r := range rows {
		line := []string{"  " + inline(r.Name), r.DType, tensor.Shape(r.Shape).String(), humanize.Comma(r.Bytes)}
		if r.SHA256 != "" {
			line = append(line, r.SHA256)
		}
		if noted {
			line = append(line, inline(r.Note))
		}
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	return t.Flush()
}
