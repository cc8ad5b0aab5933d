package convert

import (
	"context"
	"errors"

	"github.com/smelt-project/smelt/internal/atomicfile"
)

// An output is where the files of one plan go. Its methods are called in the
// order in which they stand here, abort in place of commit.
type output interface {
	// check fails early if it is known that the files cannot go there.
	check(p *Plan) error
	// create opens the files, in the order of the plan's parts. If it fails, what
	// it returns is to be aborted too.
	create(p *Plan) ([]*sink, error)
	// commit makes the files of a run durable and visible, and what belongs to them.
	commit(ctx context.Context, r *run) (*Result, error)
	// abort removes what the sinks do not.
	abort() error
}

// outputFor returns the output that dst means: a path, or a name in a store.
func outputFor(dst string, opt RunOptions) output {
	if name, ok := StoreName(dst); ok {
		return &storeOutput{dst: dst, name: name, opt: opt}
	}
	return &fileOutput{dst, opt.replacement()}
}

// A fileOutput is a file, or the shards named after it, with its companions.
type fileOutput struct {
	dst     string
	replace atomicfile.Replacement
}

func (o *fileOutput) check(p *Plan) error {
	return p.Source.checkAll(o.dst, p.Paths(o.dst), o.replace)
}

func (o *fileOutput) create(p *Plan) (sinks []*sink, err error) {
	for i, path := range p.Paths(o.dst) {
		s, err := newSink(path, p.Parts[i].Place.Size)
		if err != nil {
			return sinks, err
		}
		sinks = append(sinks, s)
	}
	return sinks, nil
}

func (o *fileOutput) commit(_ context.Context, r *run) (*Result, error) {
	if err := commitAll(r.sinks, o.replace); err != nil {
		return nil, err
	}
	also, err := r.plan.Source.writeCompanions(o.dst, r.sinks[0].dst, o.replace)
	return &Result{Path: r.sinks[0].dst, Also: also}, err
}

func (o *fileOutput) abort() error { return nil }

// abort removes what runs have written.
func abort(runs []*run) error {
	var errs []error
	for _, r := range runs {
		errs = append(errs, abortAll(r.sinks), r.out.abort())
	}
	return errors.Join(errs...)
}
