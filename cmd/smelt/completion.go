package main

import (
	_ "embed"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

//go:embed completion.bash
var bashScript string

//go:embed completion.zsh
var zshScript string

// shells is the table of shells that completions are made for.
var shells = map[string]func(*cli.App) (string, error){
	"bash": func(*cli.App) (string, error) { return bashScript, nil },
	"zsh":  func(*cli.App) (string, error) { return zshScript, nil },
	"fish": (*cli.App).ToFishCompletion,
}

func shellNames() []string { return slices.Sorted(maps.Keys(shells)) }

func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name:  "completion",
		Usage: "print a script that completes commands and flags in a shell",
		UsageText: `smelt completion bash|zsh|fish

smelt completion bash > ~/.local/share/bash-completion/completions/smelt
smelt completion zsh > ~/.zsh/completions/_smelt
smelt completion fish > ~/.config/fish/completions/smelt.fish`,
		OnUsageError: onUsageError,
		BashComplete: func(*cli.Context) { fmt.Fprintln(p.out, strings.Join(shellNames(), "\n")) },
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, "a shell: "+oneOf(shellNames())); err != nil {
				return err
			}
			script, ok := shells[c.Args().First()]
			if !ok {
				return usagef("unknown shell %q; known: %s", c.Args().First(), oneOf(shellNames()))
			}
			text, err := script(p.app())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(p.out, text)
			return err
		},
	}
}

// complete returns what proposes values after a flag that has some, and flags
// elsewhere. Files are left to the shell.
func complete(values map[string]func() []string) cli.BashCompleteFunc {
	return func(c *cli.Context) {
		if n := len(os.Args); n > 2 {
			if list, ok := values[os.Args[n-2]]; ok {
				fmt.Fprintln(c.App.Writer, strings.Join(list(), "\n"))
				return
			}
		}
		cli.DefaultCompleteWithFlags(c.Command)(c)
	}
}

func (p *program) manCommand() *cli.Command {
	return &cli.Command{
		Name:      "man",
		Usage:     "print the manual page",
		UsageText: "smelt man > smelt.1",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, ""); err != nil {
				return err
			}
			page, err := manual(p.app())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(p.out, page)
			return err
		},
	}
}

// manual renders app as a page of section 1. The generator leaves descriptions
// of commands out, so they follow the usage line.
func manual(app *cli.App) (string, error) {
	for _, c := range app.Commands {
		if c.Description != "" {
			c.Usage += "\n\n" + c.Description
		}
	}
	return app.ToManWithSection(1)
}
