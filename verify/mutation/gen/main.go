// Command gen writes what the mutations of package mutation measure into a
// document, between the lines <!-- mutations --> and <!-- /mutations -->.
//
//	go run ./verify/mutation/gen docs/verification.md
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
	if len(os.Args) != 2 {
		log.Fatal("usage: gen FILE")
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path string) (err error) {
	began := time.Now()
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
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
	for _, m := range models() {
		if err := g.load(ctx, m); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	g.writeFaults(&text)
	g.writeTypes(&text)
	if doc, err = between(doc, text.Bytes()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	log.Printf("%v", time.Since(began).Round(time.Second))
	return os.WriteFile(path, doc, 0o644)
}

// Lines that a document has around what is generated.
var first, last = []byte("<!-- mutations -->\n"), []byte("<!-- /mutations -->\n")

// between replaces what is between the two lines.
func between(doc, text []byte) ([]byte, error) {
	head, rest, ok1 := bytes.Cut(doc, first)
	_, tail, ok2 := bytes.Cut(rest, last)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("the lines %q and %q are not there", first, last)
	}
	return bytes.Join([][]byte{head, first, text, last, tail}, nil), nil
}

// A generator measures.
type generator struct {
	opt      verify.Options
	dir      string
	loaded   int // models so far
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

// load opens m, spoils its conversions, and verifies correct ones of every type.
func (g *generator) load(ctx context.Context, m model) (err error) {
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
	for _, s := range spoilt {
		if s.model == g.loaded {
			if err := g.spoil(ctx, src, s.headline, convert.Options{To: s.to, Type: s.typ}); err != nil {
				return fmt.Errorf("%s: %w", s.headline, err)
			}
		}
	}
	plain, err := mutation.Convert(ctx, src, g.dir, convert.Options{To: "gguf", Type: "f16"})
	if err != nil {
		return err
	}
	importance, err := mutation.WriteImportance(plain, g.dir)
	if err = errors.Join(err, plain.Close()); err != nil {
		return err
	}
	for i, t := range mutation.Types(importance) {
		if g.loaded == 0 {
			g.accepted = append(g.accepted, row{name: t.Name})
		}
		verdict, err := g.accept(ctx, src, t)
		if err != nil {
			return fmt.Errorf("%s as %s: %w", m.name, t.Name, err)
		}
		g.accepted[i].verdicts = append(g.accepted[i].verdicts, verdict)
	}
	g.loaded++
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
