package verify

import (
	"context"
	"errors"
)

func severalBackends(v *verifier) bool { return len(v.Backends) > 1 }

// checkDevices runs the result on each backend and compares what is between its
// layers with what the first computes. Both hold the same weights and compute in
// float32, so that the limit is that of two orders of additions: floatError.
func checkDevices(ctx context.Context, v *verifier) error {
	return v.withRuns(ctx, func(r *runs) error {
		first, err := v.computedBy(ctx, r, 0)
		if err != nil {
			return err
		}
		for i := 1; i < len(v.Backends); i++ {
			if v.expired() {
				return errExpired
			}
			other, err := v.computedBy(ctx, r, i)
			if err != nil {
				return err
			}
			for _, at := range first.places {
				f := Finding{Layer: v.Backends[i].Name() + " " + at.String(), Metric: RelativeError, Got: Number(first.at[at].errorOf(other.at[at])), Limit: floatError,
					Expected: "what " + v.Backends[0].Name() + " computes"}.judged()
				if !f.OK {
					f.Cause = v.Backends[i].Name() + " computes something else"
				}
				v.find(f)
			}
		}
		return nil
	})
}

// computedBy returns what the result computes of the first probe on a backend.
func (v *verifier) computedBy(ctx context.Context, r *runs, backend int) (*computed, error) {
	c := newComputed(outline)
	n, err := r.result(v.Result.Model, v.Backends[backend])
	if err == nil {
		err = n(ctx, &r.probes[0], c.keep)
	}
	if ctx.Err() != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		v.find(mismatch(Finding{Layer: v.Backends[backend].Name(), Expected: "a model that runs", Found: err.Error(), Cause: "the backend cannot run it"}))
	}
	return c, nil
}
