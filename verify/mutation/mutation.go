// Package mutation measures what package verify finds: it takes correct
// conversions, plants one fault at a time in them, and asks whether the fault is
// detected and whether the first thing that verification says names the right
// tensor or key and the right cause. The other half is that nothing is found in
// the conversions as they are.
package mutation

import (
	"context"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/verify"
)

// A Mutation is one way in which a conversion goes wrong.
type Mutation struct {
	Kind Kind
	Name string // "rows of queries as for the other RoPE convention"
	// plant spoils a result and says what should be said about it: nothing if the
	// fault cannot happen to it.
	plant func(e *edit) expectation
}

// A Kind groups mutations by what they touch.
type Kind string

// The kinds, in the order of the catalogue.
const (
	Values    Kind = "values"
	Order     Kind = "order"
	Names     Kind = "names and shapes"
	Metadata  Kind = "metadata"
	Tokenizer Kind = "tokenizer"
	File      Kind = "file"
)

// An expectation is what should be said about a fault: at one of these tensors or
// keys, with a cause that has one of these texts. None is the zero value.
type expectation struct{ at, causes []string }

// expect returns an expectation of one place.
func expect(at string, causes ...string) expectation { return expectation{[]string{at}, causes} }

// none is for a fault that cannot happen to a result.
var none = expectation{}

// All returns the catalogue.
func All() []Mutation {
	return slices.Concat(valueFaults, orderFaults, nameFaults, metadataFaults, tokenizerFaults, fileFaults)
}

// An Outcome is what verification said about one fault.
type Outcome struct {
	Mutation Mutation
	Detected bool
	Located  bool         // the first failure names the right place and cause
	Level    verify.Level // that was enough to detect it
	First    verify.Finding
}

// Run plants m in s and verifies the result: structure and weights first, and
// everything only if those find nothing. ok is false if the fault cannot happen
// to s.
func Run(ctx context.Context, s *Subject, m Mutation, opt verify.Options) (out Outcome, ok bool, err error) {
	e := &edit{subject: s, tensors: slices.Clone(s.Pair.Result.Model.Tensors()), meta: s.Pair.Result.Model.Meta, files: s.Pair.Result.Files}
	want := m.plant(e)
	if e.err != nil || len(want.at) == 0 {
		return out, false, e.err
	}
	p := s.Pair
	p.Result.Files = e.files
	if p.Result.Model, err = tensor.NewModel(p.Result.Model.Format, e.meta, e.tensors); err != nil {
		return out, false, err
	}
	out.Mutation = m
	for _, level := range []verify.Level{verify.Weights, verify.Devices} {
		opt.Level = level
		report, err := verify.Run(ctx, p, opt)
		if err != nil {
			return out, false, err
		}
		if failures := report.Failures(); len(failures) > 0 {
			out.Detected, out.Level, out.First = true, level, failures[0]
			out.Located = want.is(failures[0])
			break
		}
	}
	return out, true, nil
}

// is reports whether f says what is expected.
func (w expectation) is(f verify.Finding) bool {
	return (slices.Contains(w.at, f.Tensor) || slices.Contains(w.at, f.Key)) &&
		slices.ContainsFunc(w.causes, func(c string) bool { return strings.Contains(f.Cause, c) })
}

// A Summary counts outcomes.
type Summary struct{ Planted, Detected, Located int }

// Add counts o.
func (s *Summary) Add(o Outcome) {
	s.Planted++
	if o.Detected {
		s.Detected++
	}
	if o.Located {
		s.Located++
	}
}
