package verify

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/smelt-project/smelt/infer/trace"
)

// Metrics of outputs, over all tokens of all probes.
const (
	MeanKL     Metric = "kl_mean"          // mean of KL(original‖result) over tokens, nats
	HighKL     Metric = "kl_p99"           // its 99th percentile
	TopOne     Metric = "top1_agreement"   // share of tokens with the same likeliest next token
	TopFive    Metric = "top5_agreement"   // share of the five likeliest that both have
	Perplexity Metric = "perplexity_ratio" // of the result to the original on the probes, or its inverse if that is more
	MaxLogit   Metric = "max_logit"        // greatest difference of a centred logit
)

// checkOutputs compares the logits.
//
// Let z be a token's logits minus their mean, V of them, and σ = ε·‖z‖/√V the
// error of one if the vector is off by a relative ε; ε is the limit of the layers
// check for logits. Then, for errors d that are independent of z,
//
//	KL(p‖q) ≈ ½·Var_p(d) ≈ ½σ²
//
// to second order, which is the limit of the mean; that over a few likely tokens
// varies like χ² of few degrees of freedom, so that the 99th percentile is allowed
// 6 times as much. The greatest of V errors is about σ·√(2·ln V), and m, 1.5 times
// that, is allowed. Two tokens whose logits are more than 2m apart cannot change
// places, so the share of such decisions is the least agreement. The mean of
// log-probabilities of T tokens moves by less than σ; 3σ are allowed.
func checkOutputs(ctx context.Context, v *verifier) error {
	return v.withAnswers(ctx, func(r *runs) error {
		for i, b := range v.answers {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			a := r.computed[i].at[logitsAt]
			if a.width != b.width || len(a.x) != len(b.x) {
				v.find(mismatch(Finding{Layer: logitsAt.String(), Expected: fmt.Sprintf("logits of %d tokens", a.width), Found: strconv.Itoa(b.width), Cause: "the vocabularies have other sizes"}))
				return nil
			}
			v.agreement.add(a, b, r.probes[i].ids, v.layerLimit(logitsAt))
			v.addSample(r.probes[i].name, a, b)
			v.progress(int64(i+1), int64(len(r.probes)))
		}
		for _, f := range v.agreement.findings() {
			v.findCaused(f)
		}
		return nil
	})
}

// withAnswers calls fn if the result has answered: the layers check has kept its
// logits.
func (v *verifier) withAnswers(ctx context.Context, fn func(*runs) error) error {
	return v.withRuns(ctx, func(r *runs) error {
		if len(v.answers) < len(r.probes) {
			v.leaveOut("the result did not answer, see the layers check")
			return nil
		}
		return fn(r)
	})
}

var logitsAt = trace.Place{Part: trace.Decoder, Layer: -1, Op: trace.Logits}

// findCaused judges and records a finding about what is answered: its cause is
// what went wrong before.
func (v *verifier) findCaused(f Finding) {
	if f = f.judged(); !f.OK {
		f.Cause = v.outputCause()
	}
	v.find(f)
}

// outputCause is the cause of the first failure before the outputs.
func (v *verifier) outputCause() string {
	for _, f := range v.report.Findings {
		if !f.OK && f.Cause != "" {
			switch {
			case f.Layer != "":
				return "follows from " + f.Layer
			case f.Tensor != "":
				return "follows from " + f.Tensor
			case f.Key != "":
				return "follows from " + f.Key
			}
		}
	}
	return ""
}

// An agreement adds up how far two sequences of logits agree.
type agreement struct {
	kl                   []float64 // of each token
	sigma                float64   // Σσ²
	top1, top5           float64   // agreements
	decisive1, decisive5 float64   // those that no allowed error changes
	nllA, nllB           float64   // of the tokens that follow
	scored               int
	maxDiff, maxLimit    float64
}

// add compares the logits after each of ids; epsilon is their allowed relative error.
func (g *agreement) add(a, b *rows, ids []int32, epsilon float64) {
	for t := range a.count() {
		x, y := centred(a.row(t)), centred(b.row(t))
		var norm float64
		for _, z := range x {
			norm += z * z
		}
		n := float64(len(x))
		sigma := epsilon * math.Sqrt(norm/n)
		margin := 1.5 * sigma * math.Sqrt(2*math.Log(n))
		g.sigma += sigma * sigma
		g.maxLimit = math.Max(g.maxLimit, margin)
		for i := range x {
			if d := math.Abs(x[i] - y[i]); !(d <= g.maxDiff) { // NaN too
				g.maxDiff = d
			}
		}
		p, q := logSoftmax(x), logSoftmax(y)
		var kl float64
		for i := range p {
			if w := math.Exp(p[i]); w > 0 {
				kl += w * (p[i] - q[i])
			}
		}
		g.kl = append(g.kl, math.Max(kl, 0)+nan(kl))
		g.addTop(x, y, margin)
		if t+1 < len(ids) {
			g.nllA, g.nllB = g.nllA-p[ids[t+1]], g.nllB-q[ids[t+1]]
			g.scored++
		}
	}
}

// nan is x if it is no number, which max would lose on one side.
func nan(x float64) float64 {
	if math.IsNaN(x) {
		return x
	}
	return 0
}

// topCount is how many of the likeliest tokens are compared.
const topCount = 5

func (g *agreement) addTop(x, y []float64, margin float64) {
	a, b := top(x, topCount+1), top(y, topCount+1)
	if len(a) <= topCount || len(b) <= topCount {
		return
	}
	if a[0] == b[0] {
		g.top1++
	}
	if x[a[0]]-x[a[1]] > 2*margin {
		g.decisive1++
	}
	for _, i := range a[:topCount] {
		if slices.Contains(b[:topCount], i) {
			g.top5 += 1.0 / topCount
		}
		if x[i]-x[a[topCount]] > 2*margin {
			g.decisive5 += 1.0 / topCount
		}
	}
}

// top returns the indices of the n greatest, the greatest first.
func top(x []float64, n int) []int {
	var out []int
	for i, v := range x {
		at := len(out)
		for at > 0 && v > x[out[at-1]] {
			at--
		}
		if at < n {
			out = slices.Insert(out, at, i)
			out = out[:min(len(out), n)]
		}
	}
	return out
}

// findings judges the sums.
func (g *agreement) findings() []Finding {
	n := float64(len(g.kl))
	if n == 0 {
		return nil
	}
	slices.Sort(g.kl)
	var sum float64
	for _, k := range g.kl {
		sum += k
	}
	if math.IsNaN(g.kl[0]) { // sorted first
		sum = math.NaN()
	}
	p99 := g.kl[min(len(g.kl)-1, int(math.Ceil(0.99*n))-1)] + nan(g.kl[0])
	half := g.sigma / n / 2
	with := func(m Metric, got, limit float64) Finding {
		return Finding{Layer: logitsAt.String(), Metric: m, Got: Number(got), Limit: Number(limit), Expected: fmt.Sprintf("the original's logits after %d tokens", len(g.kl))}.judged()
	}
	const slack = 1e-9 // of sums in float64 of float32 logits
	out := []Finding{
		with(MeanKL, sum/n, half+slack),
		with(HighKL, p99, 6*half+slack),
		with(TopOne, g.top1/n, g.decisive1/n-slack),
		with(TopFive, g.top5/n, g.decisive5/n-slack),
		with(MaxLogit, g.maxDiff, g.maxLimit),
	}
	if g.scored > 0 {
		out = append(out, with(Perplexity, math.Exp(math.Abs(g.nllB-g.nllA)/float64(g.scored)), math.Exp(3*g.rms()+slack)))
	}
	return out
}

// rms is the allowed error of a logit, over all tokens.
func (g *agreement) rms() float64 { return math.Sqrt(g.sigma / float64(max(len(g.kl), 1))) }

// centred returns x minus its mean.
func centred(x []float32) []float64 {
	var mean float64
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v) - mean
	}
	return out
}

// logSoftmax returns the log-probabilities.
func logSoftmax(x []float64) []float64 {
	high := slices.Max(x)
	var sum float64
	for _, v := range x {
		sum += math.Exp(v - high)
	}
	lse := high + math.Log(sum)
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v - lse
	}
	return out
}

// sampleTokens is how many of the likeliest tokens a plot shows.
const sampleTokens = 20

// addSample keeps the last logits of a probe for the report.
func (v *verifier) addSample(name string, a, b *rows) {
	last := a.count() - 1
	x, y := centred(a.row(last)), centred(b.row(last))
	s := Sample{Name: name}
	t, _ := tokenizerOf(v.Canonical.Model.Meta) // without one the ids stand for the tokens
	for _, i := range top(x, sampleTokens) {
		s.Original, s.Result = append(s.Original, Number(x[i])), append(s.Result, Number(y[i]))
		text := strconv.Itoa(i)
		if t != nil {
			text = string(t.Piece(int32(i))) //nolint:gosec // an index of a vocabulary
		}
		s.Tokens = append(s.Tokens, text)
	}
	v.report.Samples = append(v.report.Samples, s)
}
