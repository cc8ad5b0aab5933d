package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// A progress tells a person how far a conversion is: a bar while it runs on a
// terminal, a line for each step everywhere, nothing if that was asked.
type progress struct {
	lines    io.Writer
	terminal io.Writer // nil: no bar
	quiet    bool

	bars *mpb.Progress
	bar  *mpb.Bar
	mu   sync.Mutex
	done int64
}

// newProgress returns what reports on one conversion.
func (p *program) newProgress(f *convertFlags) *progress {
	g := &progress{lines: p.err, quiet: f.silent || f.json}
	if !g.quiet && isTerminal(p.terminal) {
		g.terminal = p.terminal
	}
	return g
}

// start shows the bar for total bytes, and returns what moves it.
func (g *progress) start(total int64) func(done int64) {
	return g.show(total,
		mpb.PrependDecorators(decor.CountersKibiByte("% .1f / % .1f ")),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1000(0), " % .0f"), decor.Name(", "), decor.AverageETA(decor.ET_STYLE_GO), decor.Name(" left")))
}

// startTime shows the bar for a recording of that length, and returns what moves it.
func (g *progress) startTime(total time.Duration) func(done, total time.Duration) {
	clock := func(s decor.Statistics) string {
		return fmt.Sprintf("%v / %v ", time.Duration(s.Current).Round(time.Second), time.Duration(s.Total).Round(time.Second))
	}
	move := g.show(int64(total), mpb.PrependDecorators(decor.Any(clock)),
		mpb.AppendDecorators(decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO), decor.Name(" left")))
	if move == nil {
		return nil
	}
	return func(done, _ time.Duration) { move(int64(done)) }
}

// show shows a bar of that length and returns what moves it, nil where there is none.
func (g *progress) show(total int64, opt ...mpb.BarOption) func(done int64) {
	if g.terminal == nil {
		return nil
	}
	g.bars = mpb.New(mpb.WithOutput(g.terminal), mpb.WithWidth(40))
	g.bar = g.bars.New(total, mpb.BarStyle().Lbound("|").Rbound("|"), append(opt, mpb.BarRemoveOnComplete())...)
	return g.move
}

// measuring shows a bar for what convert.Options.Progress tells.
func (g *progress) measuring() func(done, total int64) {
	if g.terminal == nil {
		return nil
	}
	return func(done, total int64) {
		if g.bar == nil { // the first call is alone
			g.start(total)
		}
		g.move(done)
	}
}

// move sets the bar to done. It is called concurrently, so that a call
// may come after one with more.
func (g *progress) move(done int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if done > g.done {
		g.done = done
		g.bar.SetCurrent(done)
	}
}

// stop takes the bar off the screen.
func (g *progress) stop() {
	if g.bar != nil {
		g.bar.Abort(true)
		g.bars.Wait()
	}
}

// say prints one line.
func (g *progress) say(format string, args ...any) {
	if !g.quiet {
		fmt.Fprintln(g.lines, inline(fmt.Sprintf(format, args...)))
	}
}

// isTerminal reports whether w is a character device, which a terminal is.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
