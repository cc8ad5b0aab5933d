package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/verify"
)

// shares are the greatest share of a limit that was used, of each kind.
type shares map[string]float64

// activations converts a model to each type and prints how much of the limits of
// layers and outputs correct conversions use.
func activations(ctx context.Context, w io.Writer, path string, types []string) (err error) {
	src, err := convert.Open(path, convert.OpenOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dir, err := os.MkdirTemp("", "calibrate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, name := range types {
		used, verdict, err := measureModel(ctx, src, filepath.Join(dir, "model.gguf"), name)
		if err != nil {
			return fmt.Errorf("%s as %s: %w", path, name, err)
		}
		if _, err := fmt.Fprintf(w, "| %s | %s | %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n", filepath.Base(path), name, verdict,
			used["encoder"], used["decoder"], used["logits"], used[string(verify.MeanKL)], used[string(verify.HighKL)], used[string(verify.MaxLogit)]); err != nil {
			return err
		}
	}
	return nil
}

func measureModel(ctx context.Context, src *convert.Source, dst, name string) (used shares, verdict string, err error) {
	plan, err := convert.NewPlan(ctx, src, dst, convert.Options{Type: name})
	if err != nil {
		return nil, "", err
	}
	if _, err := plan.Run(ctx, dst, convert.RunOptions{Replace: true}); err != nil {
		return nil, "", err
	}
	result, err := convert.Open(dst, convert.OpenOptions{})
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	canonical, err := convert.Mapped(ctx, src, convert.Options{})
	if err != nil {
		return nil, "", err
	}
	b, err := cpu.New(cpu.Options{})
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	report, err := verify.Run(ctx, verify.Pair{
		Original: verify.Side{Name: src.Path, Model: src.Model}, Canonical: canonical, Configs: src.Configs,
		Result: verify.Side{Name: dst, Model: result.Model},
	}, verify.Options{Level: verify.Outputs, Backends: []infer.Backend{b}})
	if err != nil {
		return nil, "", err
	}
	used = shares{}
	for _, f := range report.Findings {
		kind := kindOf(f)
		used[kind] = max(used[kind], float64(f.Got)/float64(f.Limit))
	}
	return used, report.Verdict, nil
}

// kindOf groups findings.
func kindOf(f verify.Finding) string {
	switch {
	case f.Check != "layers" && f.Check != "outputs":
		return ""
	case f.Metric != verify.RelativeError:
		return string(f.Metric)
	case strings.HasSuffix(f.Layer, "logits"):
		return "logits"
	}
	part, _, _ := strings.Cut(f.Layer, ".")
	return part
}
