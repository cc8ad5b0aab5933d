package convert

import (
	"context"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/tensor"
)

// Canonical returns the model of src as smelt writes it to GGUF, without writing
// it: tensors under canonical names in the types that src has them in, their bytes
// still in src, and the metadata with the hyperparameters and the vocabulary. It
// is what package infer runs. Of opt only what finds things counts: the
// architecture, the root, the configuration, the tokenizer and metadata.
func Canonical(ctx context.Context, src *Source, opt Options) (*tensor.Model, error) {
	r, err := Mapped(ctx, src, opt)
	if err != nil {
		return nil, err
	}
	return r.Model, nil
}

// Mapped is Canonical with where everything comes from: what verification
// compares a file with.
func Mapped(ctx context.Context, src *Source, opt Options) (*arch.Result, error) {
	plan, err := NewPlan(ctx, src, src.Path, Options{
		To: "gguf", Arch: opt.Arch, Root: opt.Root, Config: opt.Config, Tokenizer: opt.Tokenizer, Meta: opt.Meta,
	})
	if err != nil {
		return nil, err
	}
	r := &arch.Result{Sources: map[string]string{}, Why: map[string]string{}, Dropped: plan.Dropped, Params: plan.Params}
	tensors := make([]*tensor.Tensor, len(plan.Steps))
	for i, s := range plan.Steps {
		tensors[i] = s.From.Renamed(s.To.Name)
		r.Sources[s.To.Name], r.Why[s.To.Name] = s.Source, s.Why
	}
	r.Model, err = tensor.NewModel(src.Model.Format, plan.Meta, tensors)
	if err != nil {
		return nil, err
	}
	r.Model.Notes = plan.Notes
	return r, nil
}
