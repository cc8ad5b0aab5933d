package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/tokenizer"
)

// runFlags are the flags of smelt run.
type runFlags struct {
	model   modelFlags
	prompt  string
	ids     cli.IntSlice
	n       int
	sampler infer.Sampler
	logits  string // path
	json    bool
}

func (p *program) runCommand() *cli.Command {
	f := &runFlags{}
	return &cli.Command{
		Name:  "run",
		Usage: "let a language model continue a text",
		UsageText: `smelt run MODEL [FLAGS]

smelt run model.gguf --prompt 'Once upon a time' -n 100
smelt run folder/ --prompt 'The capital of France is' --temp 0.8 --seed 42
smelt run model.pt --prompt 'Hello' -n 0 --logits logits.f32
smelt run ollama:llama3 --prompt 'Hello' --json`,
		Description: "MODEL is what smelt convert reads, before or after it was converted: it runs the same way. The prompt and what follows are printed as they come. " +
			"Without --temp the likeliest token is taken each time.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "prompt", Usage: "continue `TEXT`; control tokens such as <|im_start|> are recognised in it", Destination: &f.prompt},
			&cli.IntSliceFlag{Name: "ids", Usage: "continue these token ids instead: `N,N,…`", Destination: &f.ids},
			&cli.IntFlag{Name: "n", Value: 128, Usage: "write at most `N` tokens; it ends earlier where the model does, or its context", Destination: &f.n},
			&cli.Float64Flag{Name: "temp", Usage: "draw tokens at random, with the logits divided by `T`", Destination: &f.sampler.Temperature},
			&cli.IntFlag{Name: "top-k", Usage: "draw from the `K` likeliest tokens", Destination: &f.sampler.TopK},
			&cli.Float64Flag{Name: "top-p", Usage: "draw from the likeliest tokens that together have the probability `P`", Destination: &f.sampler.TopP},
			&cli.Uint64Flag{Name: "seed", Usage: "draw by the seed `N`; the same seed draws the same tokens", Destination: &f.sampler.Seed},
			&cli.StringFlag{Name: "logits", Usage: "write the logits of every token of the prompt to `FILE`: float32, little-endian, [tokens, vocabulary]", Destination: &f.logits, TakesFile: true},
			&cli.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print one JSON object when done", Destination: &f.json},
		}, f.model.flags()...),
		OnUsageError: onUsageError,
		BashComplete: complete(nil),
		Action:       func(c *cli.Context) error { return p.run(c, f) },
	}
}

func (p *program) run(c *cli.Context, f *runFlags) error {
	p.json = f.json
	if err := wantArgs(c, 1, "a MODEL"); err != nil {
		return err
	}
	if err := f.check(c); err != nil {
		return err
	}
	return f.model.with(c.Context, c.Args().First(), func(m *tensor.Model, b *cpu.Backend) error {
		n, err := infer.NewLlama(m, b)
		if err != nil {
			return err
		}
		t, err := textOf(m)
		if err != nil {
			return err
		}
		return p.generate(c.Context, n, t, f)
	})
}

func (f *runFlags) check(c *cli.Context) error {
	switch s := f.sampler; {
	case c.IsSet("prompt") && c.IsSet("ids"):
		return usagef("--prompt and --ids exclude each other")
	case f.n < 0:
		return usagef("-n %d: want 0 or more", f.n)
	case !(s.Temperature >= 0):
		return usagef("--temp %v: want 0 or more", s.Temperature)
	case s.TopK < 0 || !(s.TopP >= 0 && s.TopP <= 1):
		return usagef("--top-k %d --top-p %v: want 0 or more, and from 0 to 1", s.TopK, s.TopP)
	}
	return nil
}

// textOf returns the tokenizer of a model, nil if it has none.
func textOf(m *tensor.Model) (*tokenizer.Tokenizer, error) {
	if model := m.Meta.Text("tokenizer.ggml.model"); model == "" || model == "none" {
		return nil, nil
	}
	v, err := tokenizer.FromMeta(m.Meta.Get)
	if err != nil {
		return nil, err
	}
	return v.Tokenizer()
}

// tokens returns the ids of what is to be continued.
func (f *runFlags) tokens(t *tokenizer.Tokenizer) ([]int32, error) {
	var ids []int32
	for _, id := range f.ids.Value() {
		if int(int32(id)) != id { //nolint:gosec // that is the question
			return nil, usagef("--ids: %d is no token id", id)
		}
		ids = append(ids, int32(id)) //nolint:gosec // checked
	}
	if len(ids) > 0 {
		return ids, nil
	}
	if t == nil {
		return nil, usagef("the model has no tokenizer: name one with --tokenizer, or give token ids with --ids")
	}
	if ids = t.Encode(f.prompt, tokenizer.EncodeOptions{BOS: true, Special: true}); len(ids) == 0 {
		return nil, usagef("the model has no token to begin a text with; give it a --prompt")
	}
	return ids, nil
}

// A runResult is what --json prints. Text is that of Tokens, without the prompt.
type runResult struct {
	PromptTokens []int32    `json:"prompt_tokens"`
	Tokens       []int32    `json:"tokens"`
	Text         string     `json:"text"`
	Timings      runTimings `json:"timings"`
}

type runTimings struct {
	PromptSeconds         float64 `json:"prompt_seconds"`
	Seconds               float64 `json:"seconds"` // of the tokens that were written
	PromptTokensPerSecond float64 `json:"prompt_tokens_per_second"`
	TokensPerSecond       float64 `json:"tokens_per_second"`
}

// generate reads the prompt and writes tokens.
func (p *program) generate(ctx context.Context, n *infer.Llama, t *tokenizer.Tokenizer, f *runFlags) error {
	ids, err := f.tokens(t)
	if err != nil {
		return err
	}
	if len(ids) > n.ContextLength() {
		return fmt.Errorf("the prompt has %d tokens, the model was trained on %d at most (--meta llama.context_length sets another limit): %w",
			len(ids), n.ContextLength(), tensor.ErrTooLarge)
	}
	most := min(f.n, n.ContextLength()-len(ids))
	c := n.NewContext(len(ids) + most)
	defer c.Close()
	start := time.Now()
	if err := f.read(ctx, c, ids); err != nil {
		return err
	}
	w := &writer{program: p, text: t}
	if err := w.begin(f, ids); err != nil {
		return err
	}
	read := time.Now()
	for len(w.tokens) < most {
		next := f.sampler.Next(c.Logits())
		if t != nil && t.IsEnd(next) {
			break
		}
		if err := w.write(next); err != nil {
			return err
		}
		if len(w.tokens) < most {
			if err := c.Forward(ctx, []int32{next}, nil); err != nil {
				return err
			}
		}
	}
	return w.end(runResult{PromptTokens: ids, Timings: timings(len(ids), read.Sub(start), len(w.tokens), time.Since(read))})
}

func timings(prompt int, reading time.Duration, written int, writing time.Duration) runTimings {
	t := runTimings{PromptSeconds: reading.Seconds(), Seconds: writing.Seconds()}
	t.PromptTokensPerSecond = float64(prompt) / max(t.PromptSeconds, 1e-9)
	t.TokensPerSecond = float64(written) / max(t.Seconds, 1e-9)
	return t
}

// read gives ids to c and writes their logits where f says.
func (f *runFlags) read(ctx context.Context, c *infer.Context, ids []int32) error {
	if f.logits == "" {
		return c.Forward(ctx, ids, nil)
	}
	return convert.WriteReport(f.logits, func(w io.Writer) error {
		return c.Forward(ctx, ids, func(at trace.Place, x []float32, _ int) error {
			if at.Op != trace.Logits {
				return nil
			}
			return binary.Write(w, binary.LittleEndian, x)
		})
	})
}

// A writer prints tokens as they come: as text, or as ids without a tokenizer; or
// all at the end as JSON.
type writer struct {
	*program
	text   *tokenizer.Tokenizer
	stream *tokenizer.Stream
	tokens []int32
	all    strings.Builder
}

// begin prints the prompt. Its tokens go through the stream in any case: what a
// token adds depends on those before it.
func (w *writer) begin(f *runFlags, ids []int32) error {
	if w.text != nil {
		w.stream = w.text.Stream()
	}
	var text strings.Builder
	for _, id := range ids {
		text.WriteString(w.piece(id))
	}
	if len(f.ids.Value()) == 0 {
		return w.print(f.prompt)
	}
	return w.print(text.String())
}

// piece is what a token adds to the text.
func (w *writer) piece(id int32) string {
	if w.stream == nil {
		return fmt.Sprintf("%d ", id)
	}
	return w.stream.Next(id)
}

// print prints at once.
func (w *writer) print(s string) error {
	if w.json || s == "" {
		return nil
	}
	_, err := io.WriteString(w.language, s)
	return errors.Join(err, w.flush())
}

func (w *writer) write(id int32) error {
	w.tokens = append(w.tokens, id)
	s := w.piece(id)
	w.all.WriteString(s)
	return w.print(s)
}

// end prints what is left.
func (w *writer) end(r runResult) error {
	if w.stream != nil {
		rest := w.stream.Flush()
		w.all.WriteString(rest)
		if err := w.print(rest); err != nil {
			return err
		}
	}
	if !w.json {
		return w.print("\n")
	}
	r.Tokens, r.Text = append([]int32{}, w.tokens...), w.all.String()
	return w.printJSON(r)
}
