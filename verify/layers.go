package verify

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

// RelativeError is the error of activations: the root of the mean over the
// tokens of ‖a−b‖²/‖a‖².
const RelativeError Metric = "relative_error"

// Limits of activations.
//
// Two correct programs that compute in float32 in different orders differ by
// rounding alone. Each of the about ten operations of a layer loses 2⁻²⁴ of each
// of its terms at random, which residual streams pass on; models of 5 to 30
// layers were measured to differ by 1e-7 to 6e-6. floatError allows ten times
// that.
//
// Stored types that round add errors rₜ to the tensors t that were used so far.
// An error of ‖ΔW‖ = r‖W‖ in a random direction makes one of ‖ΔW·x‖ ≈ r‖W·x‖,
// and independent errors add as squares, so that the stream is off by at most
// about √Σrₜ², the embedding by just its own r. Each layer adds only a part of the
// stream and the last norm and matrix average over it, so that logits are off by
// less. go run ./verify/calibrate measures by how much; the factors are at least
// 1.4 times what was seen with every type on stories260K and with those of
// docs/verification.md on SmolLM2 and Whisper.
const (
	floatError = 6e-5
	streamed   = 2.0  // of √Σrₜ², between layers
	answered   = 1.25 // of √Σrₜ², of logits
)

// checkMapping runs the original's values under the result's names and metadata.
// Nothing is rounded, so that what is left is the mapping: a name, a permutation
// or a hyperparameter that is wrong shows however coarse the stored types are.
func checkMapping(ctx context.Context, v *verifier) error {
	if !v.rounds() {
		v.find(matches(Finding{Expected: "nothing is rounded:", Found: "the layers check is as exact"}))
		return nil
	}
	return v.withRuns(ctx, func(r *runs) error {
		m, err := v.originalValues()
		if err != nil {
			return err
		}
		_, err = v.compareLayers(ctx, r, m, func(trace.Place) float64 { return floatError })
		return err
	})
}

// checkLayers runs the result.
func checkLayers(ctx context.Context, v *verifier) error {
	return v.withRuns(ctx, func(r *runs) error {
		got, err := v.compareLayers(ctx, r, v.Result.Model, v.layerLimit)
		for _, c := range got {
			if logits := c.at[logitsAt]; logits != nil {
				v.answers = append(v.answers, logits)
			}
		}
		return err
	})
}

// rounds reports whether the result's types lose anything.
func (v *verifier) rounds() bool {
	for _, c := range v.errors {
		if c.own() > 0 {
			return true
		}
	}
	return false
}

// originalValues is the result with the original's tensors in place of its own.
func (v *verifier) originalValues() (*tensor.Model, error) {
	var tensors []*tensor.Tensor
	for _, t := range v.Result.Model.Tensors() {
		if want := v.Canonical.Model.Tensor(t.Name); want != nil && want.Shape.Squeeze().Equal(t.Shape.Squeeze()) {
			t = want
		}
		tensors = append(tensors, t)
	}
	return tensor.NewModel(v.Result.Model.Format, v.Result.Model.Meta, tensors)
}

// layerLimit is how far the activations at a place may be off: see streamed.
func (v *verifier) layerLimit(at trace.Place) float64 {
	if at == logitsAt {
		return floatError + answered*v.lost(at)
	}
	return floatError + streamed*v.lost(at)
}

// lost is √Σrₜ² over the tensors that were used up to a place, rₜ being the error
// that the type of t makes on that very data.
func (v *verifier) lost(at trace.Place) float64 {
	var sum float64
	for name, c := range v.errors {
		part, layer := trace.Decoder, -1
		if strings.HasPrefix(name, "encoder.") {
			part = trace.Encoder
		}
		if n, ok := layerOf(name); ok {
			layer = n
		}
		before := part == trace.Encoder && at.Part == trace.Decoder
		last := at.Layer < 0 && at.Op != trace.Embedding && at.Op != trace.Conv1 && at.Op != trace.Conv2
		if before || part == at.Part && (last || layer <= at.Layer) {
			r := c.own() * c.slack()
			sum += r * r
		}
	}
	return math.Sqrt(sum)
}

// slack is by how much the tensor's error may exceed that of the type.
func (c *comparison) slack() float64 {
	l, _ := c.limits()
	return l.Tensor
}

// compareLayers runs m, compares what is between its layers with what the
// original computed, and returns it. The first place that is off is looked into.
func (v *verifier) compareLayers(ctx context.Context, r *runs, m *tensor.Model, limit func(trace.Place) float64) ([]*computed, error) {
	n := v.open(r, m)
	if n == nil {
		return nil, nil
	}
	var got []*computed
	for i := range r.probes {
		if v.expired() {
			return nil, errExpired
		}
		c := newComputed(outline)
		if err := n(ctx, &r.probes[i], c.keep); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			v.findBroken(err)
			return nil, nil
		}
		got = append(got, c)
		v.progress(int64(i+1), int64(len(r.probes)))
	}
	first := ""
	for _, e := range activationErrors(r.computed, got) {
		f := Finding{Layer: e.at.String(), Metric: RelativeError, Got: Number(e.value()), Limit: Number(limit(e.at)), Expected: "the original's activations"}.judged()
		switch {
		case f.OK:
		case first != "":
			f.Cause = "follows from " + first
		default:
			var err error
			if f, err = v.explainLayer(ctx, r, m, n, e.at, f); err != nil {
				return nil, err
			}
			first = f.Layer
		}
		v.find(f)
	}
	return got, nil
}

// An activationError is the error at a place, over all probes.
type activationError struct {
	at   trace.Place
	sum  float64 // of squares of relative errors, over rows
	rows int
}

func (e *activationError) value() float64 { return math.Sqrt(e.sum / float64(e.rows)) }

// activationErrors compares what two networks computed, in the order of places.
func activationErrors(want, got []*computed) []*activationError {
	var out []*activationError
	by := map[trace.Place]*activationError{}
	for i := range want {
		for _, at := range union(want[i], got[i]) {
			e := by[at]
			if e == nil {
				e = &activationError{at: at}
				by[at], out = e, append(out, e)
			}
			sum, rows := math.NaN(), 1 // only one of them has the place
			if w := want[i].at[at]; w != nil {
				sum, rows = w.squaredErrors(got[i].at[at])
			}
			e.sum, e.rows = e.sum+sum, e.rows+rows
		}
	}
	return out
}

// explainLayer looks inside the layer before a place for the first operation that
// is off, and for what explains it.
func (v *verifier) explainLayer(ctx context.Context, r *runs, m *tensor.Model, n network, at trace.Place, f Finding) (Finding, error) {
	if math.IsNaN(float64(f.Got)) {
		f.Cause = "only one of the models has it, or it has another shape there: they have other layers or widths"
	}
	if at.Layer >= 0 {
		if err := v.firstOperation(ctx, r, n, at, &f); err != nil {
			return f, err
		}
	}
	cause, err := v.explainRun(ctx, r, m, at)
	if cause != "" {
		f.Cause = cause
	}
	return f, err
}

// firstOperation sets the layer of a finding to the first operation of it that is
// off, and its cause to what the values there are instead.
func (v *verifier) firstOperation(ctx context.Context, r *runs, n network, at trace.Place, f *Finding) error {
	want, got := newComputed(inside(at.Part, at.Layer)), newComputed(inside(at.Part, at.Layer))
	if err := r.original(ctx, &r.probes[0], want.keep); err != nil {
		return err
	}
	if err := n(ctx, &r.probes[0], got.keep); err != nil {
		return err
	}
	for _, p := range want.places {
		g := got.at[p]
		e := want.at[p].errorOf(g)
		if g == nil || e <= float64(f.Limit) {
			continue
		}
		f.Layer, f.Got = p.String(), Number(e)
		f.Cause = fmt.Sprintf("%s is the first operation that is off", p.Op)
		if i := slices.IndexFunc(want.places, func(q trace.Place) bool { return q != p && want.at[q].errorOf(g) <= float64(f.Limit) }); i >= 0 {
			f.Cause = fmt.Sprintf("the result's %s is the original's %s", p.Op, want.places[i].Op)
		}
		return nil
	}
	return nil
}
