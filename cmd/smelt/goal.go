package main

import (
	"math"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
)

// A goalFlags says what size the file may have.
type goalFlags struct {
	size, memory  string
	bitsPerWeight float64
	context       int
}

// flags are those that choose types by size.
func (g *goalFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "target-size", Usage: "choose a type for each tensor so that the file has at most `SIZE`, such as 4.0GiB, with the least error measured on the data", Destination: &g.size},
		&cli.Float64Flag{Name: "target-bpw", DefaultText: "none", Usage: "the same with at most `N` bits per weight, all tensors together", Destination: &g.bitsPerWeight},
		&cli.StringFlag{Name: "for", Usage: "the same for a computer with `MEMORY`, such as 8GiB, less what the system, the context and activations need", Destination: &g.memory},
		&cli.IntFlag{Name: "context", DefaultText: "4096", Usage: "with --for, leave room for a context of `N` tokens", Destination: &g.context},
	}
}

// given reports whether one of the flags is set.
func (g *goalFlags) given() bool {
	return g.size+g.memory != "" || g.bitsPerWeight != 0 || g.context != 0
}

// goal is what the flags ask for.
func (g *goalFlags) goal(workers int) (goal convert.Goal, err error) {
	if !g.given() {
		return goal, nil
	}
	goal = convert.Goal{BitsPerWeight: g.bitsPerWeight, Context: g.context, Workers: workers}
	for _, f := range []struct {
		flag, text string
		to         *int64
	}{{"--target-size", g.size, &goal.Size}, {"--for", g.memory, &goal.Memory}} {
		if f.text == "" {
			continue
		}
		if *f.to, err = parseSize(f.flag, f.text); err != nil {
			return goal, err
		}
	}
	if err := goal.Check(); err != nil {
		return goal, asUsage(err)
	}
	return goal, nil
}

// parseSize returns the bytes that the text of a flag stands for, more than 0.
func parseSize(flag, text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, usagef("%s: %q is no size; sizes are written 4.0GiB, 900MB or in bytes", flag, text)
	}
	return int64(n), nil
}
