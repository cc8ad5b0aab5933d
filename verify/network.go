package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/origin"
	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

// A probe is what both networks are given.
type probe struct {
	name string
	ids  []int32
	// Of speech, [mels, frames], and what chooses the transcript that the original
	// appends to ids.
	mel    []float32
	writer *writer
}

// A network computes a probe and shows what happens inside.
type network func(ctx context.Context, p *probe, show trace.Func) error

// A program is how networks of one architecture are run.
type program struct {
	original func(origin.Network) (n network, ok bool)
	result   func(m *tensor.Model, b infer.Backend) (network, error)
	probes   func(v *verifier) ([]probe, error)
}

// programs are the architectures that can be run.
var programs = map[string]program{
	"llama":   {originalLlama, resultLlama, textProbes},
	"whisper": {originalWhisper, resultWhisper, speechProbes},
}

// runs are the networks of one verification and what the original computes.
type runs struct {
	program
	original network
	own      bool // the original is run by its own program's code
	probes   []probe
	computed []*computed // by the original, for each probe
}

// errNotRun says why nothing is run; it does not leave the package.
type errNotRun struct{ why string }

func (e errNotRun) Error() string { return e.why }

// networks returns the networks and what the original computes. It fails with
// errNotRun if there is nothing to run.
func (v *verifier) networks(ctx context.Context) (*runs, error) {
	if v.runs != nil {
		return v.runs, nil
	}
	if len(v.Backends) == 0 {
		return nil, errNotRun{"there is no backend to run the result on"}
	}
	p, ok := programs[v.architecture()]
	if !ok {
		return nil, errNotRun{fmt.Sprintf("no program is known that runs the architecture %q", v.architecture())}
	}
	r := &runs{program: p}
	if err := v.openOriginal(r); err != nil {
		return nil, err
	}
	var err error
	if r.probes, err = p.probes(v); err != nil {
		return nil, err
	}
	for i := range r.probes {
		if v.expired() {
			return nil, errExpired
		}
		c := newComputed(outline)
		if err := r.original(ctx, &r.probes[i], c.keep); err != nil {
			return nil, err
		}
		r.computed = append(r.computed, c)
		v.progress(int64(i+1), int64(len(r.probes)))
	}
	v.runs = r
	return r, nil
}

// openOriginal finds the code that runs the original: that of its own program,
// or if its names are no program's, the same that runs the result.
func (v *verifier) openOriginal(r *runs) error {
	opt := origin.Options{Root: v.Root, Workers: v.Workers}
	for _, c := range v.Configs {
		opt.Configs = append(opt.Configs, c.Meta)
	}
	n, err := origin.Open(v.Original.Model, opt)
	if err == nil {
		if r.original, r.own = r.program.original(n); r.own {
			return nil
		}
		err = fmt.Errorf("it is %s's: %w", n.Program(), tensor.ErrUnsupported)
	}
	why := err.Error()
	if errors.Is(err, origin.ErrUnknown) {
		why = "its names are no original program's"
	}
	v.leaveOut("a second opinion: the original is run by the same code as the result (%s)", why)
	r.original, err = r.result(v.Canonical.Model, v.Backends[0])
	if err != nil {
		return errNotRun{"the original cannot be run: " + err.Error()}
	}
	return nil
}

// withRuns calls fn with the networks, or says what is left out.
func (v *verifier) withRuns(ctx context.Context, fn func(*runs) error) error {
	r, err := v.networks(ctx)
	var not errNotRun
	if errors.As(err, &not) {
		v.leaveOut("%s", not.why)
		return nil
	}
	if err != nil {
		return err
	}
	return fn(r)
}

// open returns the network of a model in place of the result. A model that does
// not run is a finding.
func (v *verifier) open(r *runs, m *tensor.Model) network {
	n, err := r.result(m, v.Backends[0])
	if err != nil {
		v.findBroken(err)
		return nil
	}
	return n
}

// findBroken records that the result does not run.
func (v *verifier) findBroken(err error) {
	v.find(mismatch(Finding{Expected: "a model that runs", Found: err.Error(), Cause: "the result cannot be run"}))
}

func originalLlama(n origin.Network) (network, bool) {
	l, ok := n.(*origin.Llama)
	return func(ctx context.Context, p *probe, show trace.Func) error {
		_, err := l.NewContext().Forward(ctx, p.ids, show)
		return err
	}, ok
}

func resultLlama(m *tensor.Model, b infer.Backend) (network, error) {
	n, err := infer.NewLlama(m, b)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, p *probe, show trace.Func) error {
		c := n.NewContext(len(p.ids))
		defer c.Close()
		return c.Forward(ctx, p.ids, show)
	}, nil
}
