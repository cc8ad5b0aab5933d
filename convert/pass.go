package convert

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A Job is one file of a pass.
type Job struct {
	Plan *Plan
	Dst  string
}

// Run writes the plan's file to dst, and what belongs beside it. On failure
// nothing of it remains.
func (p *Plan) Run(ctx context.Context, dst string, opt RunOptions) (*Result, error) {
	results, err := RunAll(ctx, []Job{{p, dst}}, opt)
	if len(results) == 0 {
		return nil, err
	}
	return results[0], err
}

// RunAll writes the files of several plans of one source in one pass over it.
// Tensors that plans share, as Plan.Another makes them, are read once where the
// plans cut them alike. If anything fails before the first file appears, none
// does; the results are of those that did.
func RunAll(ctx context.Context, jobs []Job, opt RunOptions) (results []*Result, err error) {
	p := &pass{}
	for _, j := range jobs {
		r := p.prepare(j, opt)
		if err := r.out.check(j.Plan); err != nil {
			return nil, errors.Join(err, abort(p.runs))
		}
	}
	if err := p.write(ctx, jobs, opt); err != nil {
		return nil, errors.Join(err, abort(p.runs))
	}
	for i, r := range p.runs {
		result, err := r.out.commit(ctx, r)
		if result != nil {
			r.complete(result)
			results = append(results, result)
		}
		if err != nil {
			return results, errors.Join(err, abort(p.runs[i+1:]))
		}
	}
	return results, nil
}

// A pass is one execution of several plans of one source.
type pass struct {
	runs    []*run
	batches []batch
	next    atomic.Int64
	done    atomic.Int64
}

// A batch is work on the same elements of the source, for one run after another.
type batch []task

// A task is one item of a run.
type task struct {
	run  *run
	item int
}

// write writes and checks all files, without making them visible.
func (p *pass) write(ctx context.Context, jobs []Job, opt RunOptions) error {
	for _, j := range jobs {
		if j.Plan.Source != jobs[0].Plan.Source {
			return fmt.Errorf("a pass over %s and %s: %w", jobs[0].Plan.Source.Path, j.Plan.Source.Path, tensor.ErrUnsupported)
		}
	}
	for _, r := range p.runs {
		if err := r.open(); err != nil {
			return err
		}
	}
	p.batches = batches(p.runs)
	if err := p.all(ctx, opt.workers()); err != nil {
		return err
	}
	for _, r := range p.runs {
		if err := r.refused(r.found(), r.nonFinite(), opt); err != nil {
			return err
		}
		if err := r.check(); err != nil {
			return err
		}
	}
	for _, r := range p.runs {
		if err := r.inspect(opt.Inspect); err != nil {
			return err
		}
	}
	return nil
}

// prepare adds the run of a job.
func (p *pass) prepare(j Job, opt RunOptions) *run {
	r := &run{plan: j.Plan, out: outputFor(j.Dst, opt), items: j.Plan.items(), overflows: map[int]Overflow{}, progress: counting(&p.done, opt.Progress)}
	if j.Plan.Recipe.Quantizes() {
		r.measures = make([]quantize.Measure, len(r.items))
	}
	p.runs = append(p.runs, r)
	return r
}

// open opens the files of a run and writes all that is not tensors.
func (r *run) open() (err error) {
	if r.sinks, err = r.out.create(r.plan); err != nil {
		return err
	}
	for i, s := range r.sinks {
		for _, piece := range r.plan.Parts[i].Place.Pieces {
			if err := s.write(piece.Bytes, piece.Off); err != nil {
				return err
			}
			r.progress(int64(len(piece.Bytes)))
		}
	}
	return nil
}

// counting returns what adds to done and tells progress, which may be nil.
func counting(done *atomic.Int64, progress func(int64)) func(n int64) {
	return func(n int64) {
		if all := done.Add(n); progress != nil {
			progress(all)
		}
	}
}

// batches puts the items of runs that work on the same elements together, in
// the order of the first run that has them.
func batches(runs []*run) []batch {
	type elems struct {
		from   *tensor.Tensor
		lo, hi int64
	}
	var out []batch
	at := map[elems]int{}
	for _, r := range runs {
		for i, it := range r.items {
			key := elems{r.plan.Steps[it.step].From, it.lo, it.hi}
			k, ok := at[key]
			if !ok {
				k = len(out)
				at[key], out = k, append(out, nil)
			}
			out[k] = append(out[k], task{r, i})
		}
	}
	return out
}

// all writes every tensor, and verifies the source's digest beside it where
// there is one.
func (p *pass) all(ctx context.Context, workers int) error {
	g, ctx := errgroup.WithContext(ctx)
	for range min(workers, max(len(p.batches), 1)) {
		g.Go(func() error { return p.work(ctx, workers) })
	}
	src := p.runs[0].plan.Source
	g.Go(func() error { return src.VerifyBlobs(ctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	return src.unchangedBlobs()
}

// work takes one batch after another until none is left.
func (p *pass) work(ctx context.Context, workers int) error {
	w := worker{}
	n := int64(len(p.batches))
	for i := p.next.Add(1) - 1; i < n; i = p.next.Add(1) - 1 {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if ahead := i + int64(workers); ahead < n {
			t := p.batches[ahead][0]
			t.run.readAhead(t.run.items[t.item])
		}
		for _, t := range p.batches[i] {
			w.run = t.run
			if err := w.do(t.item); err != nil {
				return err
			}
		}
	}
	return nil
}

// held is a range of bytes of a tensor.
type held struct {
	from   *tensor.Tensor
	off, n int64
}

// read fills src from byte off of a tensor, unless it holds just that already.
func (w *worker) read(from *tensor.Tensor, off int64) error {
	want := held{from, off, int64(len(w.src))}
	if w.held == want {
		return nil
	}
	w.held = held{}
	if err := from.ReadFull(w.src, off); err != nil {
		return err
	}
	w.held = want
	return nil
}
