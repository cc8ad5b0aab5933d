package infer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/tensor"
)

// A randomWhisper is a small network with random weights.
type randomWhisper struct {
	meta    []tensor.KV
	tensors []*tensor.Tensor
	random  *rand.Rand
}

const randomVocab = 40

func newRandomWhisper(t testing.TB) *randomWhisper {
	w := &randomWhisper{random: rand.New(rand.NewPCG(5, 6))}
	w.meta = []tensor.KV{{Key: "general.architecture", Value: "whisper"}}
	for key, n := range map[string]uint32{
		"encoder.mels_count": 8, "encoder.context_length": 10, "encoder.embedding_length": 12, "encoder.attention.head_count": 3, "encoder.block_count": 2,
		"decoder.context_length": 16, "decoder.embedding_length": 20, "decoder.attention.head_count": 2, "decoder.block_count": 2, "vocab_size": randomVocab,
	} {
		w.meta = append(w.meta, tensor.KV{Key: "whisper." + key, Value: n})
	}
	w.add(t, "encoder.conv1.weight", 12, 8, 3)
	w.add(t, "encoder.conv1.bias", 12)
	w.add(t, "encoder.conv2.weight", 12, 12, 3)
	w.add(t, "encoder.conv2.bias", 12)
	w.add(t, "decoder.token_embedding.weight", randomVocab, 20)
	w.stack(t, "encoder.", "ln_post", 10, 12, 12, []string{"attn"})
	w.stack(t, "decoder.", "ln", 16, 20, 12, []string{"attn", "cross_attn"})
	return w
}

func (w *randomWhisper) stack(t testing.TB, prefix, norm string, context, width, sound int, attentions []string) {
	w.add(t, prefix+"positional_embedding", context, width)
	w.affine(t, prefix+norm, width)
	for i := range 2 {
		at := fmt.Sprintf("%sblocks.%d.", prefix, i)
		w.affine(t, at+"mlp_ln", width)
		w.affine(t, at+"mlp.0", 4*width, width)
		w.affine(t, at+"mlp.2", width, 4*width)
		for _, a := range attentions {
			source := width
			if a == "cross_attn" {
				source = sound
			}
			w.affine(t, at+a+"_ln", width)
			w.affine(t, at+a+".query", width, width)
			w.add(t, at+a+".key.weight", width, source)
			w.affine(t, at+a+".value", width, source)
			w.affine(t, at+a+".out", width, width)
		}
	}
}

func (w *randomWhisper) affine(t testing.TB, name string, shape ...int) {
	w.add(t, name+".weight", shape...)
	w.add(t, name+".bias", shape[0])
}

func (w *randomWhisper) add(t testing.TB, name string, shape ...int) {
	t.Helper()
	n, err := tensor.Shape(shape).Elems()
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = w.random.Float32() - 0.5
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, x); err != nil {
		t.Fatal(err)
	}
	info := tensor.Info{Name: name, DType: tensor.F32, Shape: shape}
	v, err := tensor.New(info, bytes.NewReader(b.Bytes()), tensor.Origin{File: "random"})
	if err != nil {
		t.Fatal(err)
	}
	w.tensors = append(w.tensors, v)
}

func (w *randomWhisper) model(t testing.TB) *tensor.Model {
	t.Helper()
	m, err := tensor.NewModel("test", tensor.NewMeta(w.meta...), w.tensors)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (w *randomWhisper) sound(t testing.TB, n *infer.Whisper) *infer.Sound {
	t.Helper()
	mel := make([]float32, n.Mels()*n.Frames())
	for i := range mel {
		mel[i] = w.random.Float32()
	}
	s, err := n.Encode(t.Context(), mel, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Texts that share beginnings, are copied and dropped have the logits that they have
// when they are read from their first token on. One row and many are multiplied by
// other kernels, which differ by the rounding of sums of 20 to 80 products.
func TestTextsBesideEachOtherAreThemselves(t *testing.T) {
	w := newRandomWhisper(t)
	n := whisper(t, w.model(t))
	sound := w.sound(t, n)
	texts := n.NewTexts(sound, 4)
	defer texts.Close()
	written := [][]int32{{3, 1, 4}}
	next := slices.Clone(written[0])
	for step, sources := range [][]int{{0, 0, 0}, {2, 0, 1}, {1, 1, 1, 0}, {3, 3, 2, 2}, {0}, {0, 0}} {
		logits, err := texts.Forward(t.Context(), next)
		if err != nil {
			t.Fatal(err)
		}
		for i, ids := range written {
			want, err := n.Decode(t.Context(), sound, ids, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := maxDiff(logits[i*randomVocab:][:randomVocab], want); !(d < 1e-4) {
				t.Errorf("step %d: the logits of text %d differ by %g", step, i, d)
			}
		}
		texts.Keep(sources)
		var kept [][]int32
		next = next[:0]
		for i, s := range sources {
			id := int32(step*5 + i)
			kept, next = append(kept, append(slices.Clone(written[s]), id)), append(next, id)
		}
		written = kept
	}
}

func TestWhisperIsTheSameForAnyNumberOfWorkers(t *testing.T) {
	w := newRandomWhisper(t)
	m := w.model(t)
	mel := make([]float32, 8*20)
	for i := range mel {
		mel[i] = w.random.Float32()
	}
	var want seen
	for _, workers := range []int{1, 16} {
		b, err := cpu.New(cpu.Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		n, err := infer.NewWhisper(m, b)
		if err != nil {
			t.Fatal(err)
		}
		got := seen{}
		sound, err := n.Encode(t.Context(), mel, got.see)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Decode(t.Context(), sound, []int32{1, 2, 3, 4, 5}, got.see); err != nil {
			t.Fatal(err)
		}
		sound.Close()
		if want == nil {
			want = got
		}
		for place, x := range want {
			if !slices.Equal(got[place], x) {
				t.Errorf("%d workers: %s differs", workers, place)
			}
		}
	}
}

// Every place that the trace has names for is shown, once a layer.
func TestWhisperShowsItsPlaces(t *testing.T) {
	w := newRandomWhisper(t)
	n := whisper(t, w.model(t))
	s := seen{}
	mel := make([]float32, n.Mels()*n.Frames())
	sound, err := n.Encode(t.Context(), mel, s.see)
	if err != nil {
		t.Fatal(err)
	}
	defer sound.Close()
	if _, err := n.Decode(t.Context(), sound, []int32{7, 8, 9}, s.see); err != nil {
		t.Fatal(err)
	}
	size := map[string]int{
		"encoder.conv1": 20 * 12, "encoder.conv2": 10 * 12, "encoder.embedding": 10 * 12, "encoder.final_norm": 10 * 12,
		"decoder.embedding": 3 * 20, "decoder.final_norm": 3 * 20, "decoder.logits": 3 * randomVocab,
	}
	ops := strings.Fields("attn_norm attn_q attn_k attn_v attn_context attn_out ffn_norm ffn_out residual")
	for i := range 2 {
		for _, op := range ops {
			size[fmt.Sprintf("encoder.%d.%s", i, op)], size[fmt.Sprintf("decoder.%d.%s", i, op)] = 10*12, 3*20
		}
		for _, op := range []string{"ffn_up", "ffn_activation"} {
			size[fmt.Sprintf("encoder.%d.%s", i, op)], size[fmt.Sprintf("decoder.%d.%s", i, op)] = 4*10*12, 4*3*20
		}
		for _, op := range strings.Fields("cross_norm cross_q cross_context cross_out") {
			size[fmt.Sprintf("decoder.%d.%s", i, op)] = 3 * 20
		}
	}
	for place, x := range s {
		if len(x) != size[place] {
			t.Errorf("%s has %d elements, want %d", place, len(x), size[place])
		}
	}
	for place := range size {
		if s[place] == nil {
			t.Errorf("%s is not shown", place)
		}
	}
}

func TestNewWhisperReportsAllThatIsWrong(t *testing.T) {
	b, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(w *randomWhisper)
		is     error
		says   []string
	}{
		{"another architecture", func(w *randomWhisper) { w.meta[0].Value = "llama" }, tensor.ErrUnsupported, []string{`"llama", want whisper`}},
		{"no metadata", func(w *randomWhisper) { w.meta = w.meta[:1] }, tensor.ErrNotFound, []string{"whisper.encoder.mels_count is missing", "whisper.decoder.block_count is missing"}},
		{"odd heads", func(w *randomWhisper) { w.set("decoder.attention.head_count", 3) }, tensor.ErrCorrupt, []string{"20 elements in 3 heads of the decoder"}},
		{"more layers than tensors", func(w *randomWhisper) { w.set("encoder.block_count", 1<<23) }, tensor.ErrNotFound, []string{`"encoder.blocks.2.attn_ln.weight" is missing`}},
		{"wrong width", func(w *randomWhisper) { w.set("encoder.embedding_length", 15) }, tensor.ErrCorrupt, []string{"encoder.conv1.weight", "encoder.conv2.bias", "shape [12 8 3], the hyperparameters say [15 8 3]"}},
		{"no embedding", func(w *randomWhisper) {
			w.tensors = slices.DeleteFunc(w.tensors, func(t *tensor.Tensor) bool { return t.Name == "decoder.token_embedding.weight" })
		}, tensor.ErrNotFound, []string{`"decoder.token_embedding.weight" is missing`}},
	} {
		w := newRandomWhisper(t)
		c.change(w)
		_, err := infer.NewWhisper(w.model(t), b)
		if !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %v", c.name, err, c.is)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v does not say %q", c.name, err, s)
			}
		}
	}
}

func (w *randomWhisper) set(key string, n uint32) {
	for i := range w.meta {
		if w.meta[i].Key == "whisper."+key {
			w.meta[i].Value = n
		}
	}
}

func TestWhisperRefusesWhatDoesNotFit(t *testing.T) {
	w := newRandomWhisper(t)
	n := whisper(t, w.model(t))
	sound := w.sound(t, n)
	if _, err := n.Encode(t.Context(), make([]float32, 8*20-1), nil); !errors.Is(err, tensor.ErrCorrupt) {
		t.Errorf("a short spectrogram: %v", err)
	}
	for _, c := range []struct {
		name string
		ids  []int32
		is   error
	}{
		{"nothing", nil, tensor.ErrNotFound},
		{"more than the context", make([]int32, 17), tensor.ErrTooLarge},
		{"an id beyond the vocabulary", []int32{1, randomVocab}, tensor.ErrNotFound},
		{"a negative id", []int32{-1}, tensor.ErrNotFound},
	} {
		if _, err := n.Decode(t.Context(), sound, c.ids, nil); !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %v", c.name, err, c.is)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Decode(ctx, sound, []int32{1}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := n.Encode(ctx, make([]float32, 8*20), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// reciter writes its line once for each window; see testdata/reciter.
func TestWindowsFollowEachOther(t *testing.T) {
	m := canonical(t, filepath.Join("..", "testdata", "reciter", "reciter.pt"))
	n := whisper(t, m)
	samples := make([]float32, 45*16000)
	out := transcribe(t, m, n, samples, infer.TranscribeOptions{Language: "de"})
	if len(out.Segments) == 0 || out.Text == "" {
		t.Fatalf("transcript %+v", out)
	}
	first := out.Segments[0]
	if first.Text != " Und so" || first.Start != 0 || first.End.Seconds() != 2 {
		t.Errorf("first segment %+v", first)
	}
	for i, s := range out.Segments[1:] {
		if s.Start < out.Segments[i].End {
			t.Errorf("segment %d begins at %v, before %v", i+1, s.Start, out.Segments[i].End)
		}
	}
	if _, err := infer.NewTranscriber(newRandomWhisper(t).model(t), n); err == nil {
		t.Error("a transcriber without a vocabulary")
	}
}
