package infer

import (
	"errors"
	"fmt"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// maxCount is above every dimension of a model; products of two of them do not
// overflow.
const maxCount = 1 << 24

// hypers reads hyperparameters of one architecture and keeps what is wrong.
type hypers struct {
	meta   tensor.Meta
	prefix string // "llama."
	errs   []error
}

// count returns the positive integer at key, or otherwise if it is missing and
// otherwise is not 0.
func (h *hypers) count(key string, otherwise int) int {
	v, ok := h.meta.Get(h.prefix + key)
	if !ok && otherwise > 0 {
		return otherwise
	}
	n, is := h.meta.Int(h.prefix + key)
	switch {
	case !ok:
		h.failf("%s%s is missing: %w", h.prefix, key, tensor.ErrNotFound)
	case !is:
		h.failf("%s%s is %T, want one integer: %w", h.prefix, key, v, tensor.ErrUnsupported)
	case n < 1 || n > maxCount:
		h.failf("%s%s = %d, want 1 to %d: %w", h.prefix, key, n, maxCount, tensor.ErrCorrupt)
	default:
		return int(n)
	}
	return 1
}

// real returns the finite number at key, or otherwise if it is missing; NaN as
// otherwise makes that a failure.
func (h *hypers) real(key string, otherwise float64) float64 {
	v, ok := h.meta.Get(h.prefix + key)
	if !ok {
		if math.IsNaN(otherwise) {
			h.failf("%s%s is missing: %w", h.prefix, key, tensor.ErrNotFound)
		}
		return otherwise
	}
	f, is := h.meta.Float(h.prefix + key)
	if !is || math.IsNaN(f) || math.IsInf(f, 0) {
		h.failf("%s%s = %v, want a finite number: %w", h.prefix, key, v, tensor.ErrCorrupt)
		return 1
	}
	return f
}

// refuse fails if an integer other than 0 is at key.
func (h *hypers) refuse(key, why string) {
	if n, _ := h.meta.Int(h.prefix + key); n != 0 {
		h.failf("%s%s = %d: %s: %w", h.prefix, key, n, why, tensor.ErrUnsupported)
	}
}

func (h *hypers) failf(format string, args ...any) {
	h.errs = append(h.errs, fmt.Errorf(format, args...))
}

// loader loads the weights of a model and keeps what is wrong.
type loader struct {
	model   *tensor.Model
	backend Backend
	errs    []error
}

// weight returns the tensor called name, which must have that shape. Dimensions of
// length one do not count: whisper.cpp's files add some.
func (l *loader) weight(name string, shape ...int) Weight {
	w := l.optional(name, shape...)
	if w == nil && l.model.Tensor(name) == nil {
		l.errs = append(l.errs, fmt.Errorf("tensor %q is missing: %w", name, tensor.ErrNotFound))
	}
	return w
}

// optional is weight of a tensor that need not be there; nil without it.
func (l *loader) optional(name string, shape ...int) Weight {
	t := l.model.Tensor(name)
	if t == nil {
		return nil
	}
	if !t.Shape.Squeeze().Equal(tensor.Shape(shape).Squeeze()) {
		l.errs = append(l.errs, &tensor.Error{Op: "infer: load", File: t.Origin.File, Tensor: name,
			Err: fmt.Errorf("shape %v, the hyperparameters say %v: %w", t.Shape, shape, tensor.ErrCorrupt)})
		return nil
	}
	w, err := l.backend.Load(t)
	if err != nil {
		l.errs = append(l.errs, err)
		return nil
	}
	return w
}

// wrong returns all that was wrong, as a failure to run the model.
func wrong(m *tensor.Model, errs ...[]error) error {
	var all []error
	for _, e := range errs {
		all = append(all, e...)
	}
	if len(all) == 0 {
		return nil
	}
	return &tensor.Error{Op: "run", File: fileOf(m), Err: errors.Join(all...)}
}

// fileOf is the file of a model, for messages.
func fileOf(m *tensor.Model) string {
	if t := m.Tensors(); len(t) > 0 {
		return t[0].Origin.File
	}
	return ""
}
