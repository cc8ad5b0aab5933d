package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/tensor"
)

// modelFlags are those of the commands that run a model.
type modelFlags struct {
	find    convert.Options
	meta    cli.StringSlice
	open    openFlags
	workers int
}

func (f *modelFlags) flags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "root", Usage: "take the model under `NAME` of a checkpoint that holds several, such as ema; . is the top", Destination: &f.find.Root},
		&cli.StringFlag{Name: "config", Usage: "read hyperparameters from `FILE`, a config.json or params.json (default: those beside MODEL)", Destination: &f.find.Config, TakesFile: true},
		&cli.StringFlag{Name: "tokenizer", Usage: "read the vocabulary from `PATH`, a tokenizer.json, a tokenizer.model or a folder (default: beside MODEL)", Destination: &f.find.Tokenizer, TakesFile: true},
		&cli.StringSliceFlag{Name: "meta", Usage: "set metadata: `KEY=VALUE`, as smelt convert does; may be repeated", Destination: &f.meta},
		&cli.IntFlag{Name: "workers", DefaultText: "one per processor", Usage: "compute on `N` processors at once; the result does not depend on it", Destination: &f.workers},
	}, f.open.flags()...)
}

// with opens the model at path and gives it, under canonical names, and a backend
// to fn.
func (f *modelFlags) with(ctx context.Context, path string, fn func(*tensor.Model, *cpu.Backend) error) (err error) {
	b, err := cpu.New(cpu.Options{Workers: f.workers})
	if err != nil {
		return err
	}
	src, err := convert.Open(path, f.open.options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	f.find.Meta = f.meta.Value()
	m, err := convert.Canonical(ctx, src, f.find)
	if err != nil {
		return err
	}
	return errors.Join(fn(m, b), b.Close())
}
