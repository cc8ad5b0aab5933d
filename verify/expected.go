package verify

import (
	"slices"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/tensor"
)

// expected lists the tensors that the result must have.
func (v *verifier) expected() []*tensor.Tensor { return v.Canonical.Model.Tensors() }

// tiedTo returns the original's tensor that stands in for the one called name if
// that is missing, nil if there is none.
func (v *verifier) tiedTo(name string) *tensor.Tensor {
	spec, ok := arch.ByName(v.architecture())
	if !ok {
		return nil
	}
	i := slices.IndexFunc(spec.Rules, func(r arch.Rule) bool { return r.Name == name && r.TiedTo != "" })
	if i < 0 {
		return nil
	}
	return v.Canonical.Model.Tensor(spec.Rules[i].TiedTo)
}
