package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/pickle"
	"github.com/smelt-project/smelt/quantize"
)

// Classes of failure that are the command line's own.
var (
	errUsage      = errors.New("usage")
	errDangerous  = errors.New("dangerous pickles were found")
	errUnreadable = errors.New("files were found that could not be examined to their end")
	errUnknown    = errors.New("pickles with names that are not known to be safe were found")
)

// An exit is one exit code; is decides whether it is the code of a failure.
type exit struct {
	code  int
	about string
	is    func(error) bool
}

// exits is the table of exit codes, tried in order.
var exits = []exit{
	{0, "done", func(err error) bool { return err == nil }},
	{2, "usage: unknown command, flag or value, missing argument", wraps(errUsage)},
	{3, "refused as dangerous, or verification failed", wraps(errDangerous, pickle.ErrDangerous, errNotVerified, errBrokenStore)},
	{4, "scan only: names that are not known to be safe", wraps(errUnknown)},
	{1, "failed", func(error) bool { return true }},
}

func wraps(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
}

// exitOf returns the exit code of err.
func exitOf(err error) int {
	for _, e := range exits {
		if e.is(err) {
			return e.code
		}
	}
	return 1
}

// exitHelp documents the exit codes, in their order.
func exitHelp() string {
	var b strings.Builder
	b.WriteString("Flags may stand before or after the arguments; -- ends them.\n\nExit codes:\n")
	for code := range len(exits) {
		for _, e := range exits {
			if e.code == code {
				fmt.Fprintf(&b, "\n- %d: %s", code, e.about)
			}
		}
	}
	return b.String()
}

// A usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string        { return e.err.Error() }
func (e *usageError) Unwrap() error        { return e.err }
func (e *usageError) Is(target error) bool { return target == errUsage }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// asUsage makes a failure to understand a flag's value a usage error.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

// onUsageError names the help of the command whose flags were not understood.
func onUsageError(c *cli.Context, err error, _ bool) error {
	name := "smelt"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != name {
		name += " " + c.Command.Name
	}
	return usagef("%w; see %s --help", err, name)
}

// wantArgs checks the number of arguments; names are what help calls them.
func wantArgs(c *cli.Context, n int, names string) error {
	switch {
	case c.NArg() < n:
		return usagef("smelt %s needs %s; see smelt %[1]s --help", c.Command.Name, names)
	case c.NArg() > n:
		return usagef("smelt %s has %d arguments too many, the first is %q", c.Command.Name, c.NArg()-n, c.Args().Get(n))
	}
	return nil
}

// hints are the flags for what errors of the library advise.
var hints = []struct {
	is   func(error) bool
	flag string
}{
	{wraps(pickle.ErrDangerous), "--force-inert"},
	{isA[*arch.AmbiguousError], "--root"},
	{isA[*quantize.RequantizeError], "--allow-requantize"},
	{wraps(ollama.ErrExists), "--force"},
}

// isA reports whether an error of type E is in the chain of err.
func isA[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// message says what err means to the user.
func message(err error) string {
	if interruption(err) {
		return "interrupted, nothing was written"
	}
	for _, h := range hints {
		if h.is(err) {
			return err.Error() + " (" + h.flag + ")"
		}
	}
	return err.Error()
}

// interruption reports whether err is the end of the context and nothing else:
// a file that could not be removed must be told.
func interruption(err error) bool {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return errors.Is(err, context.Canceled)
	}
	for _, e := range all.Unwrap() {
		if !interruption(e) {
			return false
		}
	}
	return true
}
