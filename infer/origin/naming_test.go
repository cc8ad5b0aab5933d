package origin_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/infer/origin"
	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/internal/relayout"
	"github.com/smelt-project/smelt/tensor"
)

// stories is stories260K with its names as llama2.c has them, without the prefix
// of the file.
func stories(t *testing.T) []*tensor.Tensor {
	t.Helper()
	src := openSource(t, filepath.Join("..", "..", "testdata", "stories260K", "stories260K.pt"))
	return relayout.Renamed(src.Model.Tensors(), func(n string) string { return strings.TrimPrefix(n, "model.") })
}

// asTransformers returns stories260K as transformers would store it.
func asTransformers(t *testing.T) []*tensor.Tensor {
	t.Helper()
	out, err := relayout.Transformers(stories(t), 8)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	metaSettings = tensor.NewMeta(tensor.KV{Key: "dim", Value: int64(64)}, tensor.KV{Key: "n_layers", Value: int64(5)},
		tensor.KV{Key: "n_heads", Value: int64(8)}, tensor.KV{Key: "n_kv_heads", Value: int64(4)})
	hfSettings = tensor.NewMeta(tensor.KV{Key: "model_type", Value: "llama"}, tensor.KV{Key: "hidden_size", Value: int64(64)},
		tensor.KV{Key: "num_hidden_layers", Value: int64(5)}, tensor.KV{Key: "num_attention_heads", Value: int64(8)},
		tensor.KV{Key: "num_key_value_heads", Value: int64(4)}, tensor.KV{Key: "rms_norm_eps", Value: 1e-5})
)

// nested returns meta with prefix before every key.
func nested(prefix string, meta tensor.Meta) tensor.Meta {
	var kvs []tensor.KV
	for _, kv := range meta.All() {
		kvs = append(kvs, tensor.KV{Key: prefix + kv.Key, Value: kv.Value})
	}
	return tensor.NewMeta(kvs...)
}

func newModel(t *testing.T, meta tensor.Meta, tensors []*tensor.Tensor) *tensor.Model {
	t.Helper()
	m, err := tensor.NewModel("test", meta, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestNamingsAreOneNetwork checks every way to name and wrap one llama against
// llama2.c's, place by place. Rotated pairs are summed in another order, so that
// a result may be rounded to the float32 beside it, and 1e-6 is some sixteen of
// those.
func TestNamingsAreOneNetwork(t *testing.T) {
	ids := []int32{1, 403, 407, 261, 378, 432, 383, 286}
	run := func(t *testing.T, m *tensor.Model, opt origin.Options) streams {
		t.Helper()
		n, err := origin.Open(m, opt)
		if err != nil {
			t.Fatal(err)
		}
		seen := streams{}
		if _, err := n.(*origin.Llama).NewContext().Forward(t.Context(), ids, seen.show); err != nil {
			t.Fatal(err)
		}
		return seen
	}
	want := run(t, newModel(t, tensor.Meta{}, stories(t)), origin.Options{Configs: []tensor.Meta{metaSettings}})
	compiled := func(n string) string { return "module._orig_mod." + n }
	sharded := func(n string) string {
		parts := strings.SplitN(n, ".", 4)
		if len(parts) < 4 || parts[1] != "layers" {
			return n
		}
		return strings.Join(parts[:3], ".") + "._fsdp_wrapped_module." + parts[3]
	}
	for _, c := range []struct {
		name    string
		tensors []*tensor.Tensor
		meta    tensor.Meta
		opt     origin.Options
	}{
		{"llama2.c's checkpoint", relayout.Renamed(stories(t), func(n string) string { return "model." + n }), nested("model_args.", metaSettings), origin.Options{}},
		{"transformers", asTransformers(t), tensor.Meta{}, origin.Options{Configs: []tensor.Meta{hfSettings}}},
		{"without the head", relayout.Renamed(asTransformers(t), func(n string) string {
			if n == "lm_head.weight" {
				return ""
			}
			return strings.TrimPrefix(n, "model.")
		}), tensor.Meta{}, origin.Options{Configs: []tensor.Meta{hfSettings}}},
		{"compiled and distributed", relayout.Renamed(asTransformers(t), compiled), nested("config.", hfSettings), origin.Options{}},
		{"sharded", relayout.Renamed(asTransformers(t), sharded), tensor.Meta{}, origin.Options{Configs: []tensor.Meta{hfSettings}}},
		{"one of two", append(relayout.Renamed(stories(t), func(n string) string { return "ema." + n }), relayout.Renamed(stories(t), func(n string) string { return "model." + n })...),
			nested("model_args.", metaSettings), origin.Options{Root: "ema"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, newModel(t, c.meta, c.tensors), c.opt)
			if len(got) != len(want) {
				t.Errorf("%d places are shown, want %d", len(got), len(want))
			}
			for at, x := range want {
				sameWithin(t, at.String(), got[at], x, 1e-6)
			}
		})
	}
}

func TestSeveralNetworksAreNotGuessedFrom(t *testing.T) {
	both := append(relayout.Renamed(stories(t), func(n string) string { return "ema." + n }), relayout.Renamed(stories(t), func(n string) string { return "model." + n })...)
	_, err := origin.Open(newModel(t, nested("model_args.", metaSettings), both), origin.Options{})
	if err == nil || !strings.Contains(err.Error(), `"ema"`) || !strings.Contains(err.Error(), `"model"`) {
		t.Errorf("got %v, want an error that names both", err)
	}
}

func TestConvertedNamesAreUnknown(t *testing.T) {
	m := newModel(t, tensor.Meta{}, relayout.Renamed(stories(t), func(n string) string { return strings.ReplaceAll(n, "layers", "blk") }))
	if _, err := origin.Open(m, origin.Options{}); !errors.Is(err, origin.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

func TestEverythingThatIsMissingIsSaid(t *testing.T) {
	for _, c := range []struct {
		name string
		keep func(string) string
		meta tensor.Meta
		want []string
	}{
		{"parameters", func(n string) string {
			if n == "layers.3.attention.wo.weight" || n == "layers.4.ffn_norm.weight" {
				return ""
			}
			return n
		}, metaSettings, []string{"layers.3.attention.wo.weight", "layers.4.ffn_norm.weight"}},
		{"a layer", func(n string) string { return n }, metaSettings.With(tensor.KV{Key: "n_layers", Value: int64(6)}), []string{"5 layers", "n_layers is 6"}},
		{"settings", func(n string) string { return n }, tensor.NewMeta(tensor.KV{Key: "n_heads", Value: int64(8)}), []string{"dim is not stated"}},
		{"other heads", func(n string) string { return n }, metaSettings.With(tensor.KV{Key: "n_kv_heads", Value: int64(2)}), []string{"layers.0.attention.wk.weight", "[32 64]", "[16 64]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := origin.Open(newModel(t, tensor.Meta{}, relayout.Renamed(stories(t), c.keep)), origin.Options{Configs: []tensor.Meta{c.meta}})
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("got %v, want an error with %q", err, w)
				}
			}
		})
	}
}

func TestOtherComputationsAreRefused(t *testing.T) {
	for _, kv := range []tensor.KV{
		{Key: "model_type", Value: "gemma2"}, {Key: "hidden_act", Value: "gelu"}, {Key: "sliding_window", Value: int64(4096)},
		{Key: "rope_parameters.rope_type", Value: "longrope"}, {Key: "partial_rotary_factor", Value: 0.5},
	} {
		t.Run(kv.Key, func(t *testing.T) {
			_, err := origin.Open(newModel(t, tensor.Meta{}, asTransformers(t)), origin.Options{Configs: []tensor.Meta{hfSettings.With(kv)}})
			if !errors.Is(err, tensor.ErrUnsupported) {
				t.Errorf("got %v, want ErrUnsupported", err)
			}
		})
	}
}

func TestBitsDoNotDependOnWorkers(t *testing.T) {
	var all [][]float32
	for _, workers := range []int{1, 3, 16} {
		n, err := origin.Open(newModel(t, tensor.Meta{}, stories(t)), origin.Options{Configs: []tensor.Meta{metaSettings}, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		logits, err := n.(*origin.Llama).NewContext().Forward(t.Context(), []int32{1, 403, 407, 261}, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, logits)
	}
	if !slices.Equal(all[0], all[1]) || !slices.Equal(all[0], all[2]) {
		t.Error("logits differ between 1, 3 and 16 workers")
	}
}

func TestTokensOutsideTheVocabularyAreRefused(t *testing.T) {
	n, err := origin.Open(newModel(t, tensor.Meta{}, stories(t)), origin.Options{Configs: []tensor.Meta{metaSettings}})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []int32{-1, 512} {
		if _, err := n.(*origin.Llama).NewContext().Forward(t.Context(), []int32{id}, nil); !errors.Is(err, tensor.ErrCorrupt) {
			t.Errorf("token %d: got %v, want ErrCorrupt", id, err)
		}
	}
}

func TestErrorOfTheTraceEndsTheComputation(t *testing.T) {
	n, err := origin.Open(newModel(t, tensor.Meta{}, stories(t)), origin.Options{Configs: []tensor.Meta{metaSettings}})
	if err != nil {
		t.Fatal(err)
	}
	enough, calls := errors.New("enough"), 0
	_, err = n.(*origin.Llama).NewContext().Forward(t.Context(), []int32{1}, func(trace.Place, []float32, int) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("got %v after %d calls, want the trace's error after 1", err, calls)
	}
}

// A tinyWhisper is random parameters of a Whisper of two layers.
type tinyWhisper struct {
	rng     *rand.Rand
	tensors []*tensor.Tensor
}

func (w *tinyWhisper) add(name string, shape ...int) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	var b bytes.Buffer
	for range n {
		x := float32(w.rng.NormFloat64() / 4)
		if err := binary.Write(&b, binary.LittleEndian, x); err != nil {
			panic(err)
		}
	}
	t, err := tensor.New(tensor.Info{Name: name, DType: tensor.F32, Shape: shape}, bytes.NewReader(b.Bytes()), tensor.Origin{Offset: -1})
	if err != nil {
		panic(err)
	}
	w.tensors = append(w.tensors, t)
}

func (w *tinyWhisper) linear(name string, shape ...int) {
	w.add(name+".weight", shape...)
	w.add(name+".bias", shape[0])
}

func newTinyWhisper() []*tensor.Tensor {
	const state, mels, audio, text, vocab = 16, 4, 6, 12, 40
	w := &tinyWhisper{rng: rand.New(rand.NewPCG(1, 2))}
	w.linear("encoder.conv1", state, mels, 3)
	w.linear("encoder.conv2", state, state, 3)
	w.add("encoder.positional_embedding", audio, state)
	w.add("decoder.positional_embedding", text, state)
	w.add("decoder.token_embedding.weight", vocab, state)
	w.linear("encoder.ln_post", state)
	w.linear("decoder.ln", state)
	for _, half := range []string{"encoder", "decoder"} {
		for layer := range 2 {
			at := fmt.Sprintf("%s.blocks.%d.", half, layer)
			attentions := []string{"attn"}
			if half == "decoder" {
				attentions = append(attentions, "cross_attn")
			}
			for _, a := range attentions {
				w.linear(at+a+".query", state, state)
				w.add(at+a+".key.weight", state, state)
				w.linear(at+a+".value", state, state)
				w.linear(at+a+".out", state, state)
				w.linear(at+a+"_ln", state)
			}
			w.linear(at+"mlp.0", 4*state, state)
			w.linear(at+"mlp.2", state, 4*state)
			w.linear(at+"mlp_ln", state)
		}
	}
	return w.tensors
}

var whisperTransformers = strings.NewReplacer("encoder.positional_embedding", "encoder.embed_positions.weight",
	"decoder.positional_embedding", "decoder.embed_positions.weight", "token_embedding", "embed_tokens",
	"ln_post", "layer_norm", "decoder.ln", "decoder.layer_norm", "blocks", "layers", "cross_attn_ln", "encoder_attn_layer_norm", "cross_attn", "encoder_attn",
	"attn_ln", "self_attn_layer_norm", "attn", "self_attn", "query", "q_proj", "key", "k_proj", "value", "v_proj", "out", "out_proj",
	"mlp_ln", "final_layer_norm", "mlp.0", "fc1", "mlp.2", "fc2")

func TestWhisperNamingsAreOneNetwork(t *testing.T) {
	openai := tensor.NewMeta(tensor.KV{Key: "dims.n_audio_head", Value: int64(2)}, tensor.KV{Key: "dims.n_text_head", Value: int64(4)},
		tensor.KV{Key: "dims.n_audio_state", Value: int64(16)}, tensor.KV{Key: "dims.n_mels", Value: int64(4)},
		tensor.KV{Key: "dims.n_audio_layer", Value: int64(2)}, tensor.KV{Key: "dims.n_text_layer", Value: int64(2)})
	hf := tensor.NewMeta(tensor.KV{Key: "model_type", Value: "whisper"}, tensor.KV{Key: "d_model", Value: int64(16)},
		tensor.KV{Key: "encoder_attention_heads", Value: int64(2)}, tensor.KV{Key: "decoder_attention_heads", Value: int64(4)},
		tensor.KV{Key: "encoder_layers", Value: int64(2)}, tensor.KV{Key: "decoder_layers", Value: int64(2)}, tensor.KV{Key: "num_mel_bins", Value: int64(4)})
	mel := make([]float32, 4*12)
	for i := range mel {
		mel[i] = float32(i%7)/7 - 0.5
	}
	run := func(t *testing.T, m *tensor.Model, opt origin.Options) streams {
		t.Helper()
		n, err := origin.Open(m, opt)
		if err != nil {
			t.Fatal(err)
		}
		w := n.(*origin.Whisper)
		seen := streams{}
		audio, err := w.Encode(t.Context(), mel, seen.show)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.NewContext(audio).Forward(t.Context(), []int32{3, 1, 4, 1, 5}, seen.show); err != nil {
			t.Fatal(err)
		}
		return seen
	}
	tensors := newTinyWhisper()
	want := run(t, newModel(t, openai, relayout.Renamed(tensors, func(n string) string { return "model_state_dict." + n })), origin.Options{})
	for prefix, name := range map[string]string{"model.": "with the head", "": "without the head"} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, tensor.Meta{}, relayout.Renamed(tensors, func(n string) string { return prefix + whisperTransformers.Replace(n) }))
			got := run(t, m, origin.Options{Configs: []tensor.Meta{hf}})
			for at, x := range want {
				if !slices.Equal(got[at], x) {
					t.Errorf("%v differs", at)
				}
			}
		})
	}
	t.Run("token by token", func(t *testing.T) {
		n, err := origin.Open(newModel(t, openai, relayout.Renamed(tensors, func(n string) string { return "model_state_dict." + n })), origin.Options{})
		if err != nil {
			t.Fatal(err)
		}
		w := n.(*origin.Whisper)
		audio, err := w.Encode(t.Context(), mel, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := w.NewContext(audio)
		var got []float32
		for _, id := range []int32{3, 1, 4, 1, 5} {
			logits, err := c.Forward(t.Context(), []int32{id}, nil)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, logits...)
		}
		if !slices.Equal(got, want[trace.Place{Part: trace.Decoder, Layer: -1, Op: trace.Logits}]) {
			t.Error("logits of tokens one after the other are not those of all at once")
		}
	})
}
