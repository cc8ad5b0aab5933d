// Command smelt turns model files into files that llama.cpp, whisper.cpp and
// Ollama run, proves that they are still the same model, runs them, says what
// model files are, and tells whether loading a pickle is safe. smelt --help and smelt COMMAND --help explain everything.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v2"
)

// version is set by the linker; see the Makefile.
var version = ""

func main() { os.Exit(start()) }

// start runs one command until it ends or is interrupted. A second interrupt
// ends the program at once.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args, os.Stdout, os.Stderr)
}

// run executes the command line args and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := bufio.NewWriter(stdout)
	p := &program{out: plain{out, lineBreaks}, language: plain{out, lineBreaks + joiners}, flush: out.Flush, err: plain{stderr, lineBreaks}, terminal: stderr, args: args}
	app := p.app()
	err := app.RunContext(ctx, reorder(app.Commands, args))
	return p.finish(err)
}

// A program is one run of smelt: where it prints, and what it was asked.
type program struct {
	out, err io.Writer    // what does not print comes out escaped
	language io.Writer    // out for what a model writes
	flush    func() error // hands on what out has kept
	terminal io.Writer    // standard error as it is, for the progress bar
	args     []string
	json     bool // standard output is one JSON value
	answered bool // it has been printed
}

// finish reports err and returns the exit code.
func (p *program) finish(err error) int {
	if err != nil && p.json && !p.answered {
		err = errors.Join(err, p.printJSON(failure{message(err), exitOf(err)}))
	}
	if flushed := p.flush(); flushed != nil && !errors.Is(flushed, syscall.EPIPE) {
		err = errors.Join(err, fmt.Errorf("write standard output: %w", flushed))
	}
	if err != nil {
		_, _ = fmt.Fprintf(p.err, "smelt: %s\n", message(err)) // there is no other place to tell of its failure
	}
	return exitOf(err)
}

// A failure is what --json prints if there is no result.
type failure struct {
	Error string `json:"error"`
	Exit  int    `json:"exit"`
}

// printJSON prints v as the one JSON value of standard output.
func (p *program) printJSON(v any) error {
	p.answered = true
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// app returns the definition of all commands, from which help, completions and
// the man page are made.
func (p *program) app() *cli.App {
	return &cli.App{
		Name:                      "smelt",
		Usage:                     "make model files run in llama.cpp, whisper.cpp and Ollama, and prove that they are the same",
		UsageText:                 "smelt COMMAND [FLAGS] ARGUMENTS\n\nsmelt inspect model.pt\nsmelt convert model.pt model.gguf --type f16\nsmelt quantize model.pt model.gguf Q4_K_M",
		Description:               exitHelp(),
		Version:                   buildVersion(),
		Writer:                    p.out,
		ErrWriter:                 p.err,
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true,
		OnUsageError:              onUsageError,
		ExitErrHandler:            func(*cli.Context, error) {}, // the exit code is run's to return
		Action:                    unknownCommand,
		Commands:                  []*cli.Command{p.inspectCommand(), p.scanCommand(), p.convertCommand(), p.quantizeCommand(), p.mergeCommand(), p.ollamaCommand(), p.verifyCommand(), p.runCommand(), p.transcribeCommand(), p.recipesCommand(), p.completionCommand(), p.manCommand(), p.versionCommand()},
	}
}

// unknownCommand is what runs if no command was named.
func unknownCommand(c *cli.Context) error {
	if c.NArg() == 0 {
		return cli.ShowAppHelp(c)
	}
	return usagef("unknown command %q; smelt --help lists them", c.Args().First())
}

func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version",
		UsageText: "smelt version",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, ""); err != nil {
				return err
			}
			_, err := fmt.Fprintf(p.out, "smelt %s\n", buildVersion())
			return err
		},
	}
}

// buildVersion is the version that the linker or the Go command recorded.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "dev"
}
