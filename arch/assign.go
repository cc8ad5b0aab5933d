package arch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// assign finds the place of every source tensor.
func (w *mapping) assign() {
	f := newForest(w.src)
	p := newPattern(w.Spec, w.conv, w.bare)
	start := strings.Count(w.Prefix, ".")
	for k, t := range f.tensors {
		if !strings.HasPrefix(t.Name, w.Prefix) {
			if w.bare && w.isHead(t.Name) {
				w.bad.add(&w.bad.Unknown, "%s %v (outside the network under %q, but named like its head)", t.Name, t.Shape, w.Prefix)
				continue
			}
			w.dropped[t.Name] = "outside the model, in " + branch(t.Name, w.Prefix)
			continue
		}
		s, ok := f.find(p, k, start, wrapped)
		switch {
		case ok && s.drop >= 0 && w.Spec.Drops[s.drop].Equal == "":
			w.dropped[t.Name] = w.Spec.Drops[s.drop].Why
		case ok && w.from[s] != nil:
			w.bad.add(&w.bad.Unknown, "%s (the same as %s)", t.Name, w.from[s].Name)
		case ok:
			w.from[s] = t
			w.count(s)
		case isOptimizerState(f.parts[k]):
			w.dropped[t.Name] = "optimizer state"
		default:
			w.bad.add(&w.bad.Unknown, "%s %v", t.Name, t.Shape)
		}
	}
}

// isHead reports whether a name ends like a tensor that stands beside the root
// of a whole model.
func (w *mapping) isHead(name string) bool {
	return slices.ContainsFunc(w.Spec.Rules, func(r Rule) bool {
		head := r.From[w.conv.Column].Name
		return head != "" && !strings.HasPrefix(head, w.conv.Root+".") && (name == head || strings.HasSuffix(name, "."+head))
	})
}

func (w *mapping) count(s slot) {
	if s.rule >= 0 {
		layers := w.Spec.Rules[s.rule].Layers
		w.layers[layers] = max(w.layers[layers], s.layer+1)
	}
}

// branch returns the outermost node above name that does not lead to prefix.
func branch(name, prefix string) string {
	at := 0
	for {
		part, _, inner := strings.Cut(name[at:], ".")
		end := at + len(part)
		if !inner || !strings.HasPrefix(prefix, name[:end]+".") {
			return name[:end]
		}
		at = end + 1
	}
}

// optimizerLeaves are the tensors that PyTorch's optimizers keep for each
// parameter (torch/optim/*.py).
var optimizerLeaves = []string{"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg",
	"grad_avg", "acc_delta", "sum", "prev", "step_size", "eta", "mu", "ax"}

// isOptimizerState reports whether a name is one of a torch.optim state_dict:
// state, the parameter, the kind of tensor.
func isOptimizerState(parts []string) bool {
	n := len(parts)
	return n >= 3 && slices.Contains(optimizerLeaves, parts[n-1]) && slices.Contains(parts[:n-2], "state")
}

// dropEqual leaves out tensors that repeat another one.
func (w *mapping) dropEqual() error {
	for i, r := range w.Spec.Rules {
		equal, _, err := w.compare(slot{rule: i, drop: -1}, r.TiedTo, "tied")
		if err != nil {
			return err
		}
		w.tied[i] = equal
	}
	for i, d := range w.Spec.Drops {
		equal, t, err := w.compare(slot{rule: -1, drop: i}, d.Equal, d.Why)
		if err != nil {
			return err
		}
		if t != nil && !equal {
			w.bad.add(&w.bad.Conflicts, "%s differs from %s: runtimes use one tensor for both", t.Name, d.Equal)
		}
	}
	return nil
}

// compare drops the tensor at s if it equals the canonical tensor called twin.
// It returns the tensor, nil if either is not there.
func (w *mapping) compare(s slot, twin, why string) (equal bool, t *tensor.Tensor, err error) {
	i := slices.IndexFunc(w.Spec.Rules, func(r Rule) bool { return twin != "" && r.Name == twin })
	t, other := w.from[s], w.from[slot{rule: i, drop: -1}]
	if t == nil || other == nil {
		return false, nil, nil
	}
	if equal, err = sameBytes(t, other); equal {
		w.dropped[t.Name] = fmt.Sprintf("%s: equal to %s", why, other.Name)
		delete(w.from, s)
	}
	return equal, t, err
}

// sameBytes reports whether a and b have the same type, shape and bytes,
// without reading what is stored once.
func sameBytes(a, b *tensor.Tensor) (bool, error) {
	x, y := a.Origin, b.Origin
	if x.Storage != "" && x.Offset >= 0 && x.File == y.File && x.Member == y.Member && x.Storage == y.Storage && x.Offset == y.Offset {
		return a.DType == b.DType && a.Shape.Equal(b.Shape), nil
	}
	return tensor.Equal(context.Background(), a, b)
}
