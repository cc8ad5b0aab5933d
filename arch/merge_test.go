package arch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// splitAxes is along which dimension Meta's Transformer divides a parameter
// (llama model.py, ColumnParallelLinear and RowParallelLinear): the last two
// parts of the name.
var splitAxes = map[string]int{
	"attention.wq.weight": 0, "attention.wk.weight": 0, "attention.wv.weight": 0, "attention.wo.weight": 1,
	"feed_forward.w1.weight": 0, "feed_forward.w2.weight": 1, "feed_forward.w3.weight": 0, "output.weight": 0,
}

// split divides tensors among n ranks. embeddingAxis is 1 for Llama 1 and 2
// (ParallelEmbedding), 0 for Llama 3 (VocabParallelEmbedding).
func split(t testing.TB, whole []*tensor.Tensor, n, embeddingAxis int) []*tensor.Model {
	t.Helper()
	var out []*tensor.Model
	for rank := range n {
		var parts []*tensor.Tensor
		for _, w := range whole {
			parts = append(parts, part(t, w, rank, n, embeddingAxis))
		}
		m, err := tensor.NewModel("rank", tensor.Meta{}, parts)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func part(t testing.TB, w *tensor.Tensor, rank, n, embeddingAxis int) *tensor.Tensor {
	t.Helper()
	words := strings.Split(w.Name, ".")
	axis, divided := splitAxes[strings.Join(words[max(0, len(words)-3):], ".")]
	if w.Name == "tok_embeddings.weight" {
		axis, divided = embeddingAxis, true
	}
	origin := tensor.Origin{File: fmt.Sprintf("consolidated.%02d.pth", rank), Offset: -1}
	if !divided {
		c, err := tensor.New(w.Info, w.Data, origin)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	shape := append(tensor.Shape(nil), w.Shape...)
	shape[axis] /= n
	strides := []int64{int64(w.Shape[1]), 1}
	offset := int64(rank*shape[axis]) * strides[axis]
	info := tensor.Info{Name: w.Name, DType: w.DType, Shape: shape}
	c, err := tensor.Strided(w.Data, w.Size(), info, strides, offset, origin)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMergeOfSplitIsTheOriginal(t *testing.T) {
	d := llamaDims{2, 24, 4, 4, 6, 40, 32}
	for _, c := range []struct {
		name             string
		ranks, embedding int
	}{
		{"two ranks, Llama 2", 2, 1},
		{"four ranks, Llama 2", 4, 1},
		{"two ranks, Llama 3", 2, 0},
		{"four ranks, Llama 3", 4, 0},
		{"one rank", 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHeader(t, "", tensor.F16)
			h.metaLlama(d)
			h.add("output.weight", d.vocab, d.embd)
			h.add("rope.freqs", 3)
			m, err := Merge(split(t, h.tensors, c.ranks, c.embedding))
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Tensors()) != len(h.tensors) {
				t.Fatalf("%d tensors; want %d", len(m.Tensors()), len(h.tensors))
			}
			for _, want := range h.tensors {
				got := m.Tensor(want.Name)
				if got == nil || !got.Shape.Equal(want.Shape) {
					t.Fatalf("%s is %v; want %v", want.Name, got, want.Shape)
				}
				a, errA := got.ReadAll()
				b, errB := want.ReadAll()
				if errA != nil || errB != nil || !bytes.Equal(a, b) {
					t.Errorf("%s differs from the original (%v, %v)", want.Name, errA, errB)
				}
			}
		})
	}
}

func TestMergeNamesWhatDiffers(t *testing.T) {
	d := llamaDims{1, 16, 4, 4, 4, 32, 32}
	whole := func() *header {
		h := newHeader(t, "", tensor.F16)
		h.metaLlama(d)
		return h
	}
	missing := split(t, whole().tensors, 2, 1)
	missing[1] = without(t, missing[1], "layers.0.attention.wo.weight")
	extra := split(t, whole().tensors, 2, 1)
	extra[0] = without(t, extra[0], "layers.0.ffn_norm.weight")
	norm := split(t, whole().tensors, 2, 1)
	other, err := tensor.New(norm[1].Tensor("norm.weight").Info, filler{7, 32}, tensor.Origin{File: "consolidated.01.pth", Offset: -1})
	if err != nil {
		t.Fatal(err)
	}
	norm[1] = replaced(t, norm[1], other)
	narrow := split(t, whole().tensors, 2, 1)
	slim := newHeader(t, "", tensor.F16)
	slim.metaLlama(llamaDims{1, 16, 4, 4, 4, 16, 32})
	narrow[1] = split(t, slim.tensors, 2, 1)[1]
	for _, c := range []struct {
		name  string
		ranks []*tensor.Model
		want  []string
	}{
		{"no files", nil, []string{"no files"}},
		{"missing in the second", missing, []string{"ranks 0 and 1", `"layers.0.attention.wo.weight"`, "missing in consolidated.01.pth"}},
		{"replicated tensor differs", norm, []string{"ranks 0 and 1", `"norm.weight"`, "differ"}},
		{"rank of another width", narrow, []string{"ranks 0 and 1", `"layers.0.feed_forward.w1.weight"`, "[16 16] and [8 16]", "consolidated.01.pth"}},
		{"one rank is not enough", []*tensor.Model{split(t, whole().tensors, 4, 1)[0], split(t, whole().tensors, 4, 1)[1]},
			[]string{`"tok_embeddings.weight"`, "2 ranks"}},
	} {
		_, err := Merge(c.ranks)
		if err == nil {
			t.Errorf("%s: merged", c.name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v; want %q in it", c.name, err, w)
			}
		}
	}
	if _, err := Merge(extra); err == nil {
		t.Error("a tensor missing in the first rank was accepted")
	}
	h := newHeader(t, "", tensor.F16)
	h.hfLlama(d, "model.")
	if _, err := Merge([]*tensor.Model{h.model(), h.model()}); !errors.Is(err, tensor.ErrUnsupported) {
		t.Errorf("ranks of a convention without ranks: %v; want ErrUnsupported", err)
	}
}

func without(t testing.TB, m *tensor.Model, name string) *tensor.Model {
	t.Helper()
	return edited(t, m, func(x *tensor.Tensor) *tensor.Tensor {
		if x.Name == name {
			return nil
		}
		return x
	})
}

func replaced(t testing.TB, m *tensor.Model, by *tensor.Tensor) *tensor.Model {
	t.Helper()
	return edited(t, m, func(x *tensor.Tensor) *tensor.Tensor {
		if x.Name == by.Name {
			return by
		}
		return x
	})
}

// edited returns m with each tensor replaced by what edit makes of it, left
// out if that is nil.
func edited(t testing.TB, m *tensor.Model, edit func(*tensor.Tensor) *tensor.Tensor) *tensor.Model {
	t.Helper()
	var out []*tensor.Tensor
	for _, x := range m.Tensors() {
		if y := edit(x); y != nil {
			out = append(out, y)
		}
	}
	n, err := tensor.NewModel(m.Format, m.Meta, out)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
