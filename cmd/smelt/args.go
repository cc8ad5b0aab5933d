package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// completionFlag is what shells append to ask for completions.
const completionFlag = "--generate-bash-completion"

// reorder moves the flags of the command in args before its arguments, because
// package flag stops at the first argument. What follows -- stays an argument.
func reorder(commands []*cli.Command, args []string) []string {
	i := commandAt(commands, args)
	if i < 0 || args[len(args)-1] == completionFlag {
		return args
	}
	command := commands[slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[i]) })]
	flags, rest := split(command, args[i+1:])
	out := append(slices.Clone(args[:i+1]), flags...)
	if len(rest) == 0 {
		return out
	}
	return append(append(out, "--"), rest...)
}

// commandAt returns the index of the command's name in args, -1 if there is none.
func commandAt(commands []*cli.Command, args []string) int {
	for i := 1; i < len(args); i++ {
		if strings.HasPrefix(args[i], "-") {
			continue
		}
		if slices.ContainsFunc(commands, func(c *cli.Command) bool { return c.HasName(args[i]) }) {
			return i
		}
		return -1
	}
	return -1
}

// split separates the flags of command, with their values, from its arguments.
// A last flag whose value is missing is all that counts: it ends the flags and
// there are no arguments.
func split(command *cli.Command, args []string) (flags, rest []string) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--":
			return flags, append(rest, args[i+1:]...)
		case len(a) < 2 || a[0] != '-':
			rest = append(rest, a)
		case takesValue(command, a):
			if i++; i == len(args) {
				return append(flags, a), nil
			}
			flags = append(flags, a, args[i])
		default:
			flags = append(flags, a)
		}
	}
	return flags, rest
}

// takesValue reports whether the argument after arg is its value.
func takesValue(command *cli.Command, arg string) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	for _, f := range command.Flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if ok && slices.Contains(f.Names(), name) {
			return doc.TakesValue()
		}
	}
	return false
}
