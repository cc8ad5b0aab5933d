// Command gen writes what the mutations of package mutation measure into a
// document: what is said about faults between the lines <!-- faults --> and
// <!-- /faults -->, and about correct conversions between <!-- types --> and
// <!-- /types -->.
//
//	go run ./verify/mutation/gen docs/verification.md [faults|types]
//
// It needs the models that .ci/setup downloads.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/verify"
	"github.com/smelt-project/smelt/verify/mutation"
)

// A model is what conversions are made of. sliced says how many layers are left
// of it, 0 all.
type model struct {
	name   string
	path   string
	sliced int
}

// models are the bundled one, and those of the cache.
func models() []model {
	return []model{
		{"stories260K", filepath.Join("testdata", "stories260K", "stories260K.pt"), 0},
		{"SmolLM2", cached("smollm2-hf"), 3},
		{"Whisper tiny.en", cached("whisper-tiny.en.pt"), 0},
	}
}

func cached(name string) string {
	dir := os.Getenv("SMELT_CACHE")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return name
		}
		dir = filepath.Join(home, ".cache", "smelt")
	}
	return filepath.Join(dir, "models", name)
}

// spoilt are the conversions that faults are planted in: of models[model] to a
// target and type.
var spoilt = []struct {
	model    int
	to, typ  string
	headline string
}{
	{0, "gguf", "f32", "stories F32"},
	{0, "gguf", "f16", "stories F16"},
	{0, "gguf", "Q8_0", "stories Q8_0"},
	{1, "gguf", "Q4_0", "SmolLM2 Q4_0"},
	{2, "gguf", "f16", "Whisper F16"},
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: gen FILE [faults|types]")
	}
	if err := run(context.Background(), os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

// run writes the parts of the document at path that are named, all if none is.
func run(ctx context.Context, path string, parts []string) (err error) {
	began := time.Now()
	b, err := cpu.New(cpu.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	dir, err := os.MkdirTemp("", "smelt-mutation-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	g := &generator{opt: verify.Options{Backends: []infer.Backend{b}}, dir: dir}
	for _, part := range []struct {
		name    string
		measure func(context.Context, int, *convert.Source) error
		write   func(*bytes.Buffer)
	}{
		{"faults", g.spoilAll, g.writeFaults},
		{"types", g.acceptAll, g.writeTypes},
	} {
		if len(parts) > 0 && !slices.Contains(parts, part.name) {
			continue
		}
		for i, m := range models() {
			if err := m.with(func(src *convert.Source) error { return part.measure(ctx, i, src) }); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		var text bytes.Buffer
		part.write(&text)
		if err := replace(path, part.name, text.Bytes()); err != nil {
			return err
		}
	}
	log.Printf("%v", time.Since(began).Round(time.Second))
	return nil
}

// with calls fn with the opened model.
func (m model) with(fn func(*convert.Source) error) (err error) {
	src, err := convert.Open(m.path, convert.OpenOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if m.sliced > 0 {
		if err := mutation.Slice(src, m.sliced); err != nil {
			return err
		}
	}
	return fn(src)
}

// replace writes text between the two lines of a document that have a name.
func replace(path, name string, text []byte) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	first, last := []byte("<!-- "+name+" -->\n"), []byte("<!-- /"+name+" -->\n")
	head, rest, ok1 := bytes.Cut(doc, first)
	_, tail, ok2 := bytes.Cut(rest, last)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s: the lines %q and %q are not there", path, first, last)
	}
	return os.WriteFile(path, bytes.Join([][]byte{head, first, text, last, tail}, nil), 0o644)
}

// A generator measures.
type generator struct {
	opt      verify.Options
	dir      string
	columns  []column
	accepted []row
}

// A column is what was found in one conversion.
type column struct {
	headline string
	sum      mutation.Summary
	outcomes map[string]mutation.Outcome // by the name of the mutation
}

// A row is what verification says about correct conversions to one type.
type row struct {
	name     string
	verdicts []string // of each model
}

// spoilAll plants every fault in the conversions of a model.
func (g *generator) spoilAll(ctx context.Context, model int, src *convert.Source) error {
	for _, s := range spoilt {
		if s.model != model {
			continue
		}
		if err := g.spoil(ctx, src, s.headline, convert.Options{To: s.to, Type: s.typ}); err != nil {
			return fmt.Errorf("%s: %w", s.headline, err)
		}
	}
	return nil
}

// acceptAll verifies correct conversions of a model to every type.
func (g *generator) acceptAll(ctx context.Context, model int, src *convert.Source) error {
	plain, err := mutation.Convert(ctx, src, g.dir, convert.Options{To: "gguf", Type: "f16"})
	if err != nil {
		return err
	}
	importance, err := mutation.WriteImportance(plain, g.dir)
	if err = errors.Join(err, plain.Close()); err != nil {
		return err
	}
	for i, t := range mutation.Types(importance) {
		if model == 0 {
			g.accepted = append(g.accepted, row{name: t.Name})
		}
		verdict, err := g.accept(ctx, src, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		g.accepted[i].verdicts = append(g.accepted[i].verdicts, verdict)
	}
	return nil
}

// spoil plants every fault in one conversion.
func (g *generator) spoil(ctx context.Context, src *convert.Source, headline string, opt convert.Options) (err error) {
	began := time.Now()
	s, err := mutation.Convert(ctx, src, g.dir, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c := column{headline: headline, outcomes: map[string]mutation.Outcome{}}
	for _, m := range mutation.All() {
		o, ok, err := mutation.Run(ctx, s, m, g.opt)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if !ok {
			continue
		}
		c.sum.Add(o)
		c.outcomes[m.Name] = o
		if !o.Located {
			log.Printf("%s: %s: %s: %s%s%s: %s", headline, m.Kind, m.Name, o.First.Tensor, o.First.Key, o.First.Layer, o.First.Cause)
		}
	}
	g.columns = append(g.columns, c)
	log.Printf("%s: %+v in %v", headline, c.sum, time.Since(began).Round(time.Second))
	return nil
}

// accept verifies a correct conversion.
func (g *generator) accept(ctx context.Context, src *convert.Source, t mutation.Type) (verdict string, err error) {
	began := time.Now()
	s, err := mutation.Convert(ctx, src, g.dir, t.Options)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	report, err := verify.Run(ctx, s.Pair, g.opt)
	if err != nil {
		return "", err
	}
	for _, f := range report.Failures() {
		log.Printf("%s as %s: %+v", src.Path, t.Name, f)
	}
	log.Printf("%s as %s: %s in %v", src.Path, t.Name, report.Verdict, time.Since(began).Round(time.Millisecond))
	return report.Verdict, nil
}
