package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
)

func (p *program) mergeCommand() *cli.Command {
	f := &convertFlags{}
	return &cli.Command{
		Name:  "merge",
		Usage: "join the shards of a GGUF",
		UsageText: `smelt merge SHARD DST [FLAGS]

smelt merge model-00001-of-00003.gguf model.gguf`,
		Description: "SHARD is any one of the shards; the others are found beside it by their names. DST is what smelt convert writes without --split-max-size: the same bytes. " +
			"It appears when it is complete, or not at all. Shards that are missing, renamed, mixed or doubled are named.",
		Flags:        pick(f.flags(), "force", "workers", "json", "quiet"),
		OnUsageError: onUsageError,
		Action:       func(c *cli.Context) error { return p.merge(c, f) },
	}
}

// pick returns the flags of the given names.
func pick(flags []cli.Flag, names ...string) (picked []cli.Flag) {
	for _, name := range names {
		for _, flag := range flags {
			if flag.Names()[0] == name {
				picked = append(picked, flag)
			}
		}
	}
	return picked
}

func (p *program) merge(c *cli.Context, f *convertFlags) (err error) {
	p.json = f.json
	if err := wantArgs(c, 2, "a SHARD and a DST"); err != nil {
		return err
	}
	f.plan.To = "gguf"
	dst := c.Args().Get(1)
	if err := f.check(dst); err != nil {
		return err
	}
	src, err := convert.Open(c.Args().Get(0), f.open.options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if !src.Sharded() {
		return usagef("%s is no shard of a GGUF: those are called NAME-00001-of-00003.gguf; smelt convert takes everything else", src.Path)
	}
	return p.convertOne(c.Context, src, dst, f)
}
