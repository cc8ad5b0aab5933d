package cpu

import (
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// scratch is the memory of one worker. Its parts keep their size between tasks.
type scratch struct {
	raw    []byte    // rows of a weight as they are stored
	rows   []float32 // some of their elements
	panel  []float32 // rows side by side, for kernels.tile
	tile   []float32 // results that do not fit where they belong
	scores []float32 // of an attention
	values []float32 //
	out    []float32 //
}

// sized returns n elements of *s, which grows if it has to.
func sized[E any](s *[]E, n int) []E {
	if cap(*s) < n {
		*s = make([]E, n)
	}
	return (*s)[:n]
}

// each runs f for every task below n on the workers. Which worker runs which
// task is not known; f must not depend on it.
func (b *Backend) each(op string, n int, f func(s *scratch, task int) error) {
	if b.err != nil {
		return
	}
	if workers := min(len(b.scratch), n); workers > 1 {
		var next atomic.Int64
		var g errgroup.Group
		for _, s := range b.scratch[:workers] {
			g.Go(func() error { return drain(&next, n, s, f) })
		}
		b.fail(op, g.Wait())
		return
	}
	var next atomic.Int64
	b.fail(op, drain(&next, n, b.scratch[0], f))
}

// drain takes tasks until there are none, or one fails.
func drain(next *atomic.Int64, n int, s *scratch, f func(*scratch, int) error) error {
	for {
		task := int(next.Add(1)) - 1
		if task >= n {
			return nil
		}
		if err := f(s, task); err != nil {
			return err
		}
	}
}

// pieceElems is how many elements a task of an element-wise operation gets: some
// tens of microseconds, so that starting it does not show.
const pieceElems = 1 << 15

// pieces runs f for ranges of rows of width elements.
func (b *Backend) pieces(op string, n, width int, f func(lo, hi int)) {
	rows := max(1, pieceElems/max(1, width))
	b.each(op, (n+rows-1)/rows, func(_ *scratch, i int) error {
		f(i*rows, min(n, (i+1)*rows))
		return nil
	})
}
