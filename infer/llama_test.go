package infer_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

var stories = filepath.Join("..", "testdata", "stories260K", "stories260K.pt")

// canonical opens the model at path under canonical names until the test ends.
func canonical(t testing.TB, path string) *tensor.Model {
	t.Helper()
	src, err := convert.Open(path, convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	m, err := convert.Canonical(context.Background(), src, convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// converted returns the path of a GGUF of that type.
func converted(t testing.TB, path, recipe string) string {
	t.Helper()
	src, err := convert.Open(path, convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst := filepath.Join(t.TempDir(), "model.gguf")
	plan, err := convert.NewPlan(context.Background(), src, dst, convert.Options{Type: recipe})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Run(context.Background(), dst, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	return dst
}

func llama(t testing.TB, m *tensor.Model) *infer.Llama {
	t.Helper()
	b, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := infer.NewLlama(m, b)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A seen is what a network showed, by place.
type seen map[string][]float32

func (s seen) see(at trace.Place, x []float32, _ int) error {
	s[at.String()] = append(s[at.String()], x...)
	return nil
}

// watch reads ids and returns what the network showed.
func watch(t testing.TB, n *infer.Llama, ids []int32) seen {
	t.Helper()
	c := n.NewContext(len(ids))
	defer c.Close()
	s := seen{}
	if err := c.Forward(t.Context(), ids, s.see); err != nil {
		t.Fatal(err)
	}
	return s
}

// greedy continues ids until there are n.
func greedy(t testing.TB, model *infer.Llama, ids []int32, n int) []int32 {
	t.Helper()
	c := model.NewContext(n)
	defer c.Close()
	ids = slices.Clone(ids)
	for next := ids; len(ids) < n; {
		if err := c.Forward(t.Context(), next, nil); err != nil {
			t.Fatal(err)
		}
		var s infer.Sampler
		next = []int32{s.Next(c.Logits())}
		ids = append(ids, next...)
	}
	return ids
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readFloats(t testing.TB, path string) []float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, len(b)/4)
	if _, err := binary.Decode(b, binary.LittleEndian, x); err != nil {
		t.Fatal(err)
	}
	return x
}

// maxDiff returns the largest difference, infinity if the lengths differ.
func maxDiff(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var most float64
	for i := range got {
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= most) {
			most = d
		}
	}
	return most
}

// relative returns ‖got-want‖₂/‖want‖₂.
func relative(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var diff, size float64
	for i := range got {
		d := float64(got[i]) - float64(want[i])
		diff += d * d
		size += float64(want[i]) * float64(want[i])
	}
	return math.Sqrt(diff / size)
}

type storiesGolden struct {
	Tokens       []int32 `json:"tokens"`
	GreedyTokens []int32 `json:"greedy_tokens"`
	GreedyText   string  `json:"greedy_text"`
}

// goldenStories are what llama2.c's model.py computed with PyTorch.
func goldenStories(t testing.TB) (g storiesGolden, hidden, logits []float32) {
	dir := filepath.Join("testdata", "stories260K")
	readJSON(t, filepath.Join(dir, "golden.json"), &g)
	return g, readFloats(t, filepath.Join(dir, "hidden.f32")), readFloats(t, filepath.Join(dir, "logits.f32"))
}

// The limit is ten times the error of float32 in a network of this size.
func TestStoriesEqualTheOriginal(t *testing.T) {
	g, hidden, logits := goldenStories(t)
	for _, c := range []struct{ name, path string }{{"checkpoint", stories}, {"gguf", converted(t, stories, "f32")}} {
		t.Run(c.name, func(t *testing.T) {
			n := llama(t, canonical(t, c.path))
			s := watch(t, n, g.Tokens)
			got := s["decoder.embedding"]
			for i := range n.Layers() {
				got = append(got, s[trace.Place{Part: trace.Decoder, Layer: i, Op: trace.Residual}.String()]...)
			}
			if d := maxDiff(got, hidden); d > 2e-5 {
				t.Errorf("the residual stream differs by %.3g; want 2e-5 at most", d)
			}
			if d := maxDiff(s["decoder.logits"], logits); d > 2e-5 {
				t.Errorf("the logits differ by %.3g; want 2e-5 at most", d)
			}
			if got := greedy(t, n, g.GreedyTokens[:5], len(g.GreedyTokens)); !slices.Equal(got, g.GreedyTokens) {
				t.Errorf("greedy tokens %v; want %v", got, g.GreedyTokens)
			}
		})
	}
}

// Keys and values from before are what makes the difference between reading a
// text at once and in pieces; the sums are in another order, so the limit is that
// of the original.
func TestATextInPiecesGivesTheSameLogits(t *testing.T) {
	g, _, _ := goldenStories(t)
	n := llama(t, canonical(t, stories))
	want := watch(t, n, g.GreedyTokens)["decoder.logits"]
	c := n.NewContext(len(g.GreedyTokens))
	defer c.Close()
	for at, pieces := 0, []int{1, 7, 2, 40, 1, 74}; len(pieces) > 0; pieces = pieces[1:] {
		if err := c.Forward(t.Context(), g.GreedyTokens[at:at+pieces[0]], nil); err != nil {
			t.Fatal(err)
		}
		at += pieces[0]
		if d := maxDiff(c.Logits(), want[(at-1)*n.Vocab():at*n.Vocab()]); d > 2e-5 {
			t.Errorf("the logits of token %d differ by %.3g", at-1, d)
		}
	}
	if c.Len() != len(g.GreedyTokens) {
		t.Errorf("Len = %d; want %d", c.Len(), len(g.GreedyTokens))
	}
}

// The vectors of this model are shorter than the blocks of many types, which then
// fall back to others; TestEveryTypeComputesWhatItsNumbersSay has all of them.
func TestQuantizedStoriesRun(t *testing.T) {
	g, _, logits := goldenStories(t)
	for recipe, limit := range map[string]float64{"Q8_0": 0.02, "Q4_0": 0.3, "Q4_K_M": 0.3} {
		n := llama(t, canonical(t, converted(t, stories, recipe)))
		if e := relative(watch(t, n, g.Tokens)["decoder.logits"], logits); !(e > 0 && e < limit) {
			t.Errorf("%s: relative error of the logits %.3g; want %.3g at most", recipe, e, limit)
		}
	}
}

func TestContextRefusesWhatDoesNotFit(t *testing.T) {
	n := llama(t, canonical(t, stories))
	c := n.NewContext(4)
	defer c.Close()
	for name, ids := range map[string][]int32{"no tokens": nil, "too many": {1, 2, 3, 4, 5}, "unknown": {1, 512}, "negative": {-1}} {
		if err := c.Forward(t.Context(), ids, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Forward(ctx, []int32{1}, nil); err == nil {
		t.Error("a cancelled context is no error")
	}
}
