package verify

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/smelt-project/smelt/tensor"
)

// checkWeights compares every tensor's elements. The limits are those of the
// same conversion made here on the same elements:
//
//   - Without a choice of blocks (f32, f16, bf16, integers) the bytes must be the
//     same: rounding to nearest even has one result.
//   - Blocks must be the same too: the codecs are deterministic. The original may
//     have been rounded to f16, bf16 or f32 before; the rounding that explains
//     most is taken.
//   - Blocks that were chosen with an importance matrix that is not given cannot
//     be made again. Their errors must keep those of the choice without one,
//     times what a matrix was measured to cost: see weighedLimits.
//   - If most tensors of a file are different blocks of the same quality, another
//     quantizer made it, or another build of ours; see otherQuantizer.
//
// From a limit r of the relative RMS error follow those of the signal-to-noise
// ratio, -20·log₁₀ r dB, and of the cosine, √(1-r²): x and x+e with ‖e‖ ≤ r‖x‖
// are at most asin r apart.
func checkWeights(ctx context.Context, v *verifier) error {
	var all []*comparison
	err := v.both(func(want, got *tensor.Tensor) error {
		if !want.Shape.Squeeze().Equal(got.Shape.Squeeze()) || unfit(want.DType, got.DType) != "" {
			return nil // told by the structure checks
		}
		c, err := v.newComparison(want, got)
		all = append(all, c)
		return err
	})
	if err != nil {
		return err
	}
	finished, err := v.compareAll(ctx, all)
	if err != nil {
		return err
	}
	if n := len(all) - len(finished); n > 0 {
		defer v.leaveOut("%s of %d: the time that --time allows was used up", count(n, "tensor"), len(all))
	}
	if otherQuantizer(finished) {
		v.leaveOut("exact reproduction: most blocks are others than smelt chooses, and as good; another quantizer made them")
	} else if slices.ContainsFunc(finished, func(c *comparison) bool { return c.weighed }) {
		v.leaveOut("exact reproduction: an importance matrix chose the blocks; give it with --imatrix")
	}
	diagnosed := 0
	for _, c := range finished {
		v.errors[c.got.Name] = c
		findings := c.findings()
		if i := slices.IndexFunc(findings, func(f Finding) bool { return !f.OK }); i >= 0 && diagnosed < maxDiagnosed {
			diagnosed++
			if findings[i].Cause, err = v.diagnose(ctx, c); err != nil {
				return err
			}
			for k := range findings {
				if !findings[k].OK {
					findings[k].Cause = findings[i].Cause
				}
			}
		}
		for _, f := range findings {
			v.find(f)
		}
	}
	return nil
}

// maxDiagnosed is for how many tensors of a result causes are looked for: where
// more than these are wrong, one fault did it.
const maxDiagnosed = 64

// How an inexact tensor of blocks is judged.
const (
	otherError = 1.05 // another search finds blocks of about the same error
	otherShare = 0.5  // of the tensors of blocks are made by it, or it is damage
)

// otherQuantizer reports whether different blocks are another quantizer's work
// rather than damage, and marks the comparisons: most tensors of blocks differ,
// and none has a greater error than ours by more than otherError.
func otherQuantizer(all []*comparison) bool {
	blocks, other := 0, 0
	for _, c := range all {
		if l, _ := c.got.DType.Layout(); l.Kind != tensor.Block || c.want.DType == c.got.DType || c.weighed {
			continue
		}
		blocks++
		if c.exact() {
			continue
		}
		if c.relative() > otherError*c.own() {
			return false
		}
		other++
	}
	if blocks == 0 || float64(other) < otherShare*float64(blocks) || other < 2 {
		return false
	}
	for _, c := range all {
		c.other = true
	}
	return true
}

// findings judges a comparison.
func (c *comparison) findings() []Finding {
	f := Finding{Tensor: c.got.Name, Expected: c.expected(), Found: c.got.DType.String()}
	with := func(m Metric, got, limit float64) Finding {
		f := f
		f.Metric, f.Got, f.Limit = m, Number(got), Number(limit)
		return f.judged()
	}
	var out []Finding
	l, _ := c.got.DType.Layout()
	limits, reproducible := c.limits()
	switch {
	case l.Kind != tensor.Block || c.want.DType == c.got.DType:
		out = append(out, with(DifferingBytes, float64(c.difBytes), 0))
	case reproducible:
		out = append(out, with(DifferingShare, float64(c.difBlocks)/float64(max(c.blocks, 1)), 0))
	default:
		out = append(out, with(BlockError, c.worst, limits.Block))
	}
	if !c.numbers {
		return out
	}
	r := c.own() * limits.Tensor
	return append(out,
		with(RelativeRMS, c.relative(), r),
		with(MaxError, c.maxE, c.maxZ*limits.Block),
		with(Cosine, c.cosine(), cosineOf(r)),
		with(SNR, decibels(c.relative()), decibels(r)))
}

// limits returns by how much the errors may exceed those of our own conversion,
// and whether the bytes must be the same.
func (c *comparison) limits() (l weighedLimit, reproducible bool) {
	switch {
	case c.weighed:
		return weighedLimits[c.got.DType], false
	case c.other && !c.exact():
		l := weighedLimits[c.got.DType]
		l.Tensor = otherError
		return l, false
	}
	return weighedLimit{Tensor: 1, Block: 1}, true
}

// expected says what the tensor should be.
func (c *comparison) expected() string {
	switch {
	case c.want.DType == c.got.DType:
		return fmt.Sprintf("the original's %v", c.want.DType)
	case c.via != c.want.DType:
		return fmt.Sprintf("the original's %v as %v as %v", c.want.DType, c.via, c.got.DType)
	}
	return fmt.Sprintf("the original's %v as %v", c.want.DType, c.got.DType)
}

// cosineSlack is more than float64 sums of 2³² elements lose.
const cosineSlack = 1e-9

// cosineOf is the least cosine of vectors with a relative error of r.
func cosineOf(r float64) float64 {
	if !(r < 1) {
		return -1
	}
	return math.Sqrt(1-r*r) - cosineSlack
}

// decibels is the signal-to-noise ratio of a relative error.
func decibels(r float64) float64 { return -20 * math.Log10(r) }
