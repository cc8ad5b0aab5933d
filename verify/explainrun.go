package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

// explainRun names what explains that a model computes something else than the
// original up to a place: a tensor whose values are wrong, a key that is, or a
// fault of the mapping. Keys and mappings are tried: the model is run with the
// fault undone, and whatever brings it back within the limit explains it.
func (v *verifier) explainRun(ctx context.Context, r *runs, m *tensor.Model, at trace.Place) (string, error) {
	if cause := v.wrongTensor(at); cause != "" {
		return cause, nil
	}
	for _, try := range v.repairs(m) {
		if v.expired() {
			return "", errExpired
		}
		n, err := r.result(try.model, v.Backends[0])
		if err != nil {
			continue // not repaired
		}
		want, got := r.computed[0].at[at], newComputed(func(p trace.Place) bool { return p == at })
		if err := n(ctx, &r.probes[0], got.keep); err != nil {
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
			continue // not repaired
		}
		if want != nil && want.errorOf(got.at[at]) <= v.layerLimit(at) {
			return try.cause, nil
		}
	}
	return "", nil
}

// wrongTensor returns the cause that the weights check found for a tensor that is
// used up to a place, the first one.
func (v *verifier) wrongTensor(at trace.Place) string {
	for _, f := range v.report.Findings {
		if f.OK || f.Tensor == "" || f.Cause == "" {
			continue
		}
		if n, ok := layerOf(f.Tensor); ok && at.Layer >= 0 && n > at.Layer {
			continue
		}
		if strings.HasPrefix(f.Cause, f.Tensor) {
			return f.Cause
		}
		return f.Tensor + ": " + f.Cause
	}
	return ""
}

// A repair is a model with one fault undone.
type repair struct {
	cause string
	model *tensor.Model
}

// repairs lists what is tried: each key that is not what the original states, and
// the known faults of mappings.
func (v *verifier) repairs(m *tensor.Model) []repair {
	var out []repair
	add := func(cause string, meta tensor.Meta, tensors []*tensor.Tensor) {
		if fixed, err := tensor.NewModel(m.Format, meta, tensors); err == nil {
			out = append(out, repair{cause, fixed})
		}
	}
	arch := v.architecture()
	for _, kv := range v.Canonical.Model.Meta.All() {
		got := effective(m.Meta, arch, kv.Key)
		if strings.HasPrefix(kv.Key, arch+".") && !sameValue(kv.Value, got) {
			add(fmt.Sprintf("%s is %s, the original states %s", kv.Key, valueText(got), valueText(kv.Value)), m.Meta.With(kv), m.Tensors())
		}
	}
	for _, h := range assumptions {
		key := arch + "." + h.Key
		if x, ok := m.Meta.Get(key); ok && !sameValue(x, h.Value) {
			add(fmt.Sprintf("%s is %s, and %s explains the original", key, valueText(x), valueText(h.Value)), m.Meta.With(tensor.KV{Key: key, Value: h.Value}), m.Tensors())
		}
	}
	for _, x := range exchanges {
		if tensors := exchanged(m, x[0], x[1]); tensors != nil {
			add(fmt.Sprintf("%s and %s are exchanged in every layer", x[0], x[1]), m.Meta, tensors)
		}
	}
	for _, o := range headOrders {
		if tensors := o.apply(m, arch); tensors != nil {
			add(o.cause, m.Meta, tensors)
		}
	}
	return out
}

// assumptions are values that mappings take for granted where the original says
// something else. (Llama 1 to 3, Code Llama; transformers' defaults)
var assumptions = []tensor.KV{
	{Key: "rope.freq_base", Value: float32(10000)},
	{Key: "rope.freq_base", Value: float32(500000)},
	{Key: "rope.freq_base", Value: float32(1000000)},
	{Key: "attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
	{Key: "attention.layer_norm_rms_epsilon", Value: float32(1e-6)},
}

// exchanges are tensors of a layer that mappings confuse.
var exchanges = [][2]string{{"attn_q", "attn_k"}, {"attn_k", "attn_v"}, {"attn_q", "attn_output"}, {"ffn_gate", "ffn_up"}, {"attn_norm", "ffn_norm"}}

// exchanged returns the tensors with two of each layer in each other's place,
// nil if no layer has both.
func exchanged(m *tensor.Model, a, b string) []*tensor.Tensor {
	var out []*tensor.Tensor
	found := false
	for _, t := range m.Tensors() {
		name := t.Name
		for _, x := range [][2]string{{a, b}, {b, a}} {
			if other := strings.Replace(t.Name, "."+x[0]+".", "."+x[1]+".", 1); other != t.Name && m.Tensor(other) != nil {
				name, found = other, true
			}
		}
		out = append(out, t.Renamed(name))
	}
	if !found {
		return nil
	}
	return out
}

// A headOrder is an order of the rows of query and key matrices.
type headOrder struct {
	cause string
	from  func(row, dim int) int
}

var headOrders = []headOrder{
	{"queries and keys have their rows in the order of the other RoPE convention: halves of a head, not pairs", func(r, dim int) int { return r/dim*dim + r%2*(dim/2) + r%dim/2 }},
	{"queries and keys have their rows in the order of the other RoPE convention: permuted twice", func(r, dim int) int { return r/dim*dim + r%dim%(dim/2)*2 + r%dim/(dim/2) }},
}

// apply returns the tensors in another order of rows, nil if that is not known.
func (o headOrder) apply(m *tensor.Model, arch string) []*tensor.Tensor {
	var out []*tensor.Tensor
	found := false
	for _, t := range m.Tensors() {
		for suffix, key := range map[string]string{".attn_q.weight": "head_count", ".attn_k.weight": "head_count_kv"} {
			heads, ok := tensor.AsInt(effective(m.Meta, arch, arch+".attention."+key))
			if !ok || heads < 1 || !strings.HasSuffix(t.Name, suffix) || len(t.Shape) == 0 || int64(t.Shape[0])%(2*heads) != 0 {
				continue
			}
			dim := t.Shape[0] / int(heads)
			if p, err := t.PermuteRows(func(i int) int { return o.from(i, dim) }); err == nil {
				t, found = p, true
			}
		}
		out = append(out, t)
	}
	if !found {
		return nil
	}
	return out
}
