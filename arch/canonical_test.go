package arch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// fails maps src, which must not be complete, and returns the error.
func fails(t *testing.T, src *tensor.Model, want string, configs ...Config) error {
	t.Helper()
	m, err := Detect(src, want)
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Canonical(src, configs)
	if err == nil {
		t.Fatalf("mapped to %d tensors; want an error", len(r.Model.Tensors()))
	}
	return err
}

func wantText(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nwant %q in it", err, w)
		}
	}
}

// with returns the configuration text with entries put before the rest, so
// that they add to it, or replace what comes later with drop.
func with(text string, entries string, drop ...string) string {
	for _, d := range drop {
		i := strings.Index(text, `"`+d+`":`)
		end := strings.IndexAny(text[i:], ",}")
		text = text[:i] + `"unused_` + d + `": 0` + text[i+end:]
	}
	return "{" + entries + ", " + strings.TrimPrefix(text, "{")
}

func TestTablesAreConsistent(t *testing.T) {
	for _, s := range Specs() {
		symbols := map[string]Type{"": Flag}
		keys := map[string]bool{}
		columns := 0
		for _, c := range s.Conventions {
			columns = max(columns, c.Column+1)
		}
		for _, h := range s.Hypers {
			if _, ok := symbols[h.Symbol]; ok {
				t.Errorf("%s: symbol %s twice", s.Name, h.Symbol)
			}
			symbols[h.Symbol] = h.Type
			if h.Key != "" && keys[h.Key] {
				t.Errorf("%s: key %s twice", s.Name, h.Key)
			}
			keys[h.Key] = true
			if len(h.Aliases) != columns {
				t.Errorf("%s: %s has aliases in %d columns; want %d", s.Name, h.Symbol, len(h.Aliases), columns)
			}
		}
		known := func(what, symbol string) {
			if _, ok := symbols[symbol]; !ok {
				t.Errorf("%s: %s has the unknown symbol %q", s.Name, what, symbol)
			}
		}
		names := map[string]string{}
		unique := func(column int, from, owner string) {
			key := fmt.Sprint(column, from)
			if from != "" && names[key] != "" {
				t.Errorf("%s: %s is the source of %s and %s", s.Name, from, names[key], owner)
			}
			names[key] = owner
		}
		for _, r := range s.Rules {
			if len(r.From) != columns {
				t.Fatalf("%s: %s has %d sources; want %d", s.Name, r.Name, len(r.From), columns)
			}
			for c, f := range r.From {
				unique(c, f.Name, r.Name)
				if f.Name != "" && strings.Contains(f.Name, "{n}") != (r.Layers != "") {
					t.Errorf("%s: %s counts layers, %s does not", s.Name, r.Name, f.Name)
				}
			}
			unique(-1, r.Name, r.Name)
			for _, expr := range r.Shape {
				for f := range strings.SplitSeq(expr, "*") {
					if strings.Trim(f, "0123456789") != "" {
						known(r.Name, f)
					}
				}
			}
			known(r.Name, r.Layers)
			known(r.Name, r.If)
			known(r.Name, r.TiedIf)
			for _, axis := range r.Split {
				if axis < 0 || axis >= len(r.Shape) {
					t.Errorf("%s: %s is split along dimension %d of %d", s.Name, r.Name, axis, len(r.Shape))
				}
			}
		}
		for _, d := range s.Drops {
			for c, f := range d.From {
				unique(c, f, d.Why)
			}
		}
		for _, h := range s.Hypers {
			known(h.Symbol, h.Divides)
			known(h.Symbol, h.When.Symbol)
		}
	}
}

// TestRotaryOrderIsThatOfMeta writes out transformers' permute of
// convert_llama_weights_to_hf.py, w.view(n_heads, dim1 // n_heads // 2, 2,
// dim2).transpose(1, 2).reshape(dim1, dim2), element by element: it leads from
// Meta's order to transformers', and the conversion has to lead back.
func TestRotaryOrderIsThatOfMeta(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		heads, half, cols := 1+rng.IntN(5), 1+rng.IntN(5), 1+rng.IntN(4)
		rows := heads * half * 2
		for _, shape := range []tensor.Shape{{rows, cols}, {rows}} {
			width := shape[len(shape)-1]
			if len(shape) == 1 {
				width = 1
			}
			meta := make([]uint32, rows*width)
			for i := range meta {
				meta[i] = rng.Uint32()
			}
			hf := make([]uint32, len(meta))
			for h := range heads {
				for a := range half {
					for b := range 2 {
						for c := range width {
							hf[((h*2+b)*half+a)*width+c] = meta[((h*half+a)*2+b)*width+c]
						}
					}
				}
			}
			got := applied(t, shape, hf, heads)
			if !slices.Equal(got, meta) {
				t.Fatalf("%d heads of %d, shape %v: the rows are not in Meta's order", heads, 2*half, shape)
			}
		}
	}
}

// applied runs the view of attn_q on words.
func applied(t *testing.T, shape tensor.Shape, words []uint32, heads int) []uint32 {
	t.Helper()
	b := make([]byte, 4*len(words))
	for i, w := range words {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	in, err := tensor.New(tensor.Info{Name: "q", DType: tensor.F32, Shape: shape}, bytes.NewReader(b), tensor.Origin{Offset: -1})
	if err != nil {
		t.Fatal(err)
	}
	s := llama()
	v := &Values{m: &Match{Spec: s, conv: s.Conventions[0]}, memo: map[string]stated{"n_head": {value: int64(heads)}}}
	out, err := interleaved("n_head").Apply(in, v)
	if err != nil {
		t.Fatal(err)
	}
	b, err = out.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]uint32, len(words))
	for i := range got {
		got[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return got
}

// TestOneModelInThreeLayoutsIsOneResult makes the same weights in Meta's
// layout, divided among ranks, and in transformers', and compares bytes.
func TestOneModelInThreeLayoutsIsOneResult(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.metaLlama(small)
	h.alias("output.weight", "tok_embeddings.weight")
	params := config(t, "params.json", with(smallArgs, `"norm_eps": 1e-6`))
	_, meta := convert(t, h.model(), params)

	merged, err := Merge(split(t, h.tensors, 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	_, parallel := convert(t, merged, params)

	hf := &header{t: t, seen: map[string]*tensor.Tensor{}}
	for _, r := range llama().Rules {
		for layer := range small.layers {
			from, to := numbered(r.From[metaNames].Name, layer), numbered(r.From[hfNames].Name, layer)
			x := h.seen[from]
			if x == nil || hf.seen[to] != nil {
				continue
			}
			if heads := map[string]int{"q_proj": small.heads, "k_proj": small.kv}[strings.Split(to+"....", ".")[4]]; heads > 0 {
				half := small.headDim / 2
				if x, err = x.PermuteRows(func(i int) int { return i/(2*half)*2*half + i%half*2 + i%(2*half)/half }); err != nil {
					t.Fatal(err)
				}
			}
			hf.seen[to] = x.Renamed(to)
			hf.tensors = append(hf.tensors, hf.seen[to])
		}
	}
	_, transformers := convert(t, hf.model(), config(t, "config.json", smallConfig))

	for _, c := range []struct {
		name string
		r    *Result
	}{{"ranks", parallel}, {"transformers", transformers}} {
		if len(c.r.Model.Tensors()) != len(meta.Model.Tensors()) {
			t.Fatalf("%s: %d tensors; want %d", c.name, len(c.r.Model.Tensors()), len(meta.Model.Tensors()))
		}
		for _, want := range meta.Model.Tensors() {
			equal, err := tensor.Equal(t.Context(), c.r.Model.Tensor(want.Name), want)
			if err != nil || !equal {
				t.Errorf("%s: %s differs (%v)", c.name, want.Name, err)
			}
		}
	}
	for _, r := range []*Result{meta, parallel} {
		want := []Dropped{{"output.weight", "tied: equal to tok_embeddings.weight"}}
		if !slices.Equal(r.Dropped, want) {
			t.Errorf("dropped %v; want %v", r.Dropped, want)
		}
	}
}

func TestTiedOutput(t *testing.T) {
	tied := func(t *testing.T) *tensor.Model {
		h := newHeader(t, "", tensor.F16)
		h.hfLlama(small, "model.")
		h.alias("lm_head.weight", "model.embed_tokens.weight")
		return h.model()
	}
	missing := func(t *testing.T) *tensor.Model { return without(t, tied(t), "lm_head.weight") }
	untied := func(t *testing.T) *tensor.Model { return smallHF(t) }
	for _, c := range []struct {
		name, config string
		src          func(*testing.T) *tensor.Model
		output       bool
		err          []string
	}{
		{"equal, not stated", "", tied, false, nil},
		{"equal, stated", `"tie_word_embeddings": true`, tied, false, nil},
		{"equal, denied", `"tie_word_embeddings": false`, tied, false, nil},
		{"missing, not stated", "", missing, false, nil},
		{"missing, stated", `"tie_word_embeddings": true`, missing, false, nil},
		{"missing, denied", `"tie_word_embeddings": false`, missing, false, []string{"lm_head.weight (for output.weight)"}},
		{"different, not stated", "", untied, true, nil},
		{"different, denied", `"tie_word_embeddings": false`, untied, true, nil},
		{"different, stated", `"tie_word_embeddings": true`, untied, false, []string{"config.json tie_word_embeddings is true", "lm_head.weight differs from token_embd.weight"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := smallConfig
			if c.config != "" {
				text = with(text, c.config)
			}
			cfg := config(t, "config.json", text)
			if c.err != nil {
				wantText(t, fails(t, c.src(t), "", cfg), c.err...)
				return
			}
			_, r := convert(t, c.src(t), cfg)
			if got := r.Model.Tensor("output.weight") != nil; got != c.output {
				t.Errorf("output.weight is there: %v; want %v", got, c.output)
			}
			accountsForAll(t, c.src(t), r)
		})
	}
}

// TestForeignModelsAreRefusedByName: their tensors have llama's names, and
// would make a file that runs and is wrong.
func TestForeignModelsAreRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name, config, want string
		words              []string
	}{
		{"Qwen2", with(smallConfig, `"model_type": "qwen2"`, "model_type"), "", []string{`config.json model_type = qwen2`, "only llama, mistral", "--arch generic"}},
		{"Qwen2, asked for as llama", with(smallConfig, `"model_type": "qwen2"`, "model_type"), "llama", []string{"model_type = qwen2"}},
		{"not stated", with(smallConfig, `"x": 1`, "model_type"), "", []string{"model_type is not stated", "--config", "--arch llama"}},
		{"sliding window", with(smallConfig, `"sliding_window": 4096`), "", []string{"sliding_window = 4096"}},
		{"activation", with(smallConfig, `"hidden_act": "gelu"`), "", []string{"hidden_act = gelu", "silu"}},
		{"rotary scaling", with(smallConfig, `"rope_scaling": {"type": "dynamic", "factor": 2.0}`), "", []string{"rope_scaling.type = dynamic"}},
		{"part of a head rotates", with(smallConfig, `"partial_rotary_factor": 0.5`), "", []string{"partial_rotary_factor = 0.5"}},
		{"quantized", with(smallConfig, `"quantization_config": {"quant_method": "gptq", "bits": 4}`), "", []string{"quantization_config.quant_method = gptq"}},
		{"layers differ", with(smallConfig, `"rope_parameters": {"full_attention": {"rope_theta": 1.0}}`), "", []string{"rope_parameters.full_attention.rope_theta"}},
		{"language part of another", with(smallConfig, `"model_type": "llava", "text_config": `+smallConfig, "model_type"), "", []string{"model_type = llava"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := fails(t, smallHF(t), c.want, config(t, "config.json", c.config))
			wantText(t, err, c.words...)
			if !errors.Is(err, tensor.ErrUnsupported) {
				t.Errorf("%v; want ErrUnsupported", err)
			}
		})
	}
	for _, accepted := range []struct{ name, config, want string }{
		{"mistral without a window", with(smallConfig, `"model_type": "mistral", "sliding_window": null`, "model_type"), ""},
		{"model_type not stated, asked for", with(smallConfig, `"x": 1`, "model_type"), "llama"},
		{"whole heads rotate", with(smallConfig, `"partial_rotary_factor": 1.0`), ""},
	} {
		m, err := Detect(smallHF(t), accepted.want)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Canonical(smallHF(t), []Config{config(t, "config.json", accepted.config)}); err != nil {
			t.Errorf("%s: %v", accepted.name, err)
		}
	}
}

func TestBiasesBelongOnlyWhereTheConfigurationSaysSo(t *testing.T) {
	biased := func(t *testing.T) *tensor.Model {
		h := newHeader(t, "", tensor.F16)
		h.hfLlama(small, "model.")
		for i := range small.layers {
			l := fmt.Sprintf("model.layers.%d.", i)
			h.add(l+"self_attn.q_proj.bias", small.heads*small.headDim)
			h.add(l+"self_attn.k_proj.bias", small.kv*small.headDim)
			h.add(l+"self_attn.v_proj.bias", small.kv*small.headDim)
			h.add(l+"self_attn.o_proj.bias", small.embd)
			h.add(l+"mlp.gate_proj.bias", small.ff)
			h.add(l+"mlp.up_proj.bias", small.ff)
			h.add(l+"mlp.down_proj.bias", small.embd)
		}
		return h.model()
	}
	both := config(t, "config.json", with(smallConfig, `"attention_bias": true, "mlp_bias": true`))
	_, r := convert(t, biased(t), both)
	accountsForAll(t, biased(t), r)
	for _, name := range []string{"blk.1.attn_q.bias", "blk.1.attn_k.bias"} {
		if !strings.Contains(r.Why[name], "permuted") {
			t.Errorf("%s: %q; want it permuted as its weight", name, r.Why[name])
		}
	}
	for _, name := range []string{"blk.0.attn_v.bias", "blk.0.attn_output.bias", "blk.0.ffn_gate.bias", "blk.0.ffn_up.bias", "blk.0.ffn_down.bias"} {
		if r.Model.Tensor(name) == nil || r.Why[name] != "renamed" {
			t.Errorf("%s: %q; want it renamed", name, r.Why[name])
		}
	}
	err := fails(t, biased(t), "", config(t, "config.json", smallConfig))
	wantText(t, err, "model.layers.0.self_attn.q_proj.bias [32] (attention_bias is not true)", "mlp_bias is not true")
	wantText(t, fails(t, smallHF(t), "", both), "missing tensors (14): model.layers.0.self_attn.q_proj.bias (for blk.0.attn_q.bias)")
}

func TestEverythingThatDoesNotFitIsReportedTogether(t *testing.T) {
	src := edited(t, smallHF(t), func(x *tensor.Tensor) *tensor.Tensor {
		switch x.Name {
		case "model.layers.1.mlp.up_proj.weight":
			return nil
		case "model.layers.1.self_attn.o_proj.weight":
			y, err := tensor.New(tensor.Info{Name: x.Name, DType: x.DType, Shape: tensor.Shape{32, 31}}, x.Data, x.Origin)
			if err != nil {
				t.Fatal(err)
			}
			return y
		case "lm_head.weight":
			return x.Renamed("score.weight")
		case "model.norm.weight":
			y, err := x.Reshape(tensor.Shape{1, 32})
			if err != nil {
				t.Fatal(err)
			}
			return y
		}
		return x
	})
	err := fails(t, src, "", config(t, "config.json", with(smallConfig,
		`"num_hidden_layers": 3, "num_key_value_heads": 3, "hidden_size": 33, "vocab_size": 64.5`, "num_hidden_layers", "num_key_value_heads", "hidden_size", "vocab_size", "rms_norm_eps")))
	var e *UnmappedError
	if !errors.As(err, &e) {
		t.Fatalf("%v; want an UnmappedError", err)
	}
	wantText(t, err, "fixture.pt",
		"model.layers.1.mlp.up_proj.weight (for blk.1.ffn_up.weight)",
		"model.layers.1.self_attn.o_proj.weight is [32 31], want [n_embd=32 n_head*head_dim=32]",
		"model.norm.weight is [1 32], want [n_embd=32]",
		"score.weight [64 32]",
		"llama.block_count (num_hidden_layers): config.json num_hidden_layers says 3, the layers in the tensors' names says 2",
		"llama.embedding_length (hidden_size): config.json hidden_size says 33, shape of model.embed_tokens.weight says 32",
		"config.json vocab_size = 64.5: not a positive integer",
		"llama.attention.head_count_kv (num_key_value_heads) 3 (config.json num_key_value_heads) does not divide llama.attention.head_count (num_attention_heads) 4",
		"llama.attention.layer_norm_rms_epsilon (rms_norm_eps) is not in checkpoint, config.json; give a file that states it with --config")
}

func TestMissingHyperparametersAreNamed(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.openaiWhisper(whisperDims{80, 20, 16, 2, 1, 12, 64})
	err := fails(t, h.model(), "")
	wantText(t, err, "whisper.encoder.attention.head_count (n_audio_head)", "whisper.decoder.attention.head_count (n_text_head)", "--config")
	if strings.Contains(err.Error(), "n_mels") {
		t.Errorf("%v; n_mels follows from shapes", err)
	}
	wantText(t, fails(t, smallMeta(t), ""), "llama.attention.head_count (n_heads) is not in checkpoint")
	_, r := convert(t, smallMeta(t), config(t, "given.json", `{"n_heads": 4, "n_kv_heads": 2}`))
	for _, p := range r.Params {
		if p.Key == "llama.attention.head_count" && p.From != "given.json n_heads" {
			t.Errorf("%s is from %q; want given.json n_heads", p.Key, p.From)
		}
	}
}

func TestHeadsThatDoNotDivideAreNamed(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.openaiWhisper(whisperDims{80, 20, 16, 3, 1, 12, 64})
	wantText(t, fails(t, h.model(whisperDims{80, 20, 16, 3, 1, 12, 64}.dims()...), ""),
		"whisper.encoder.attention.head_count (n_audio_head) 3 (checkpoint dims.n_audio_head) does not divide whisper.encoder.embedding_length (n_audio_state) 16")
	wantText(t, fails(t, smallMeta(t), "", config(t, "params.json", `{"n_heads": 5}`)),
		"embedding_length 32 (shape of tok_embeddings.weight) is not a multiple of attention.head_count 5 (params.json n_heads)")
	wantText(t, fails(t, smallMeta(t), "", config(t, "params.json", `{"n_heads": 8, "n_kv_heads": 2}`)),
		"layers.0.attention.wk.weight is [16 32], want [n_head_kv*head_dim=8 n_embd=32]")
}

// TestCheckpointComesBeforeConfigurations: what differs in the files is told.
func TestCheckpointComesBeforeConfigurations(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.metaLlama(small)
	src := h.model(under("model_args.", config(t, "", with(smallArgs, `"norm_eps": 1e-6`)))...)
	_, r := convert(t, src, config(t, "a.json", `{"norm_eps": 1e-5, "rope_theta": 1e6}`), config(t, "b.json", `{"rope_theta": 5e5}`))
	for _, c := range []struct {
		key   string
		value any
		from  string
	}{
		{"llama.attention.layer_norm_rms_epsilon", float32(1e-6), "checkpoint model_args.norm_eps; a.json norm_eps says 1e-05"},
		{"llama.rope.freq_base", float32(1e6), "a.json rope_theta; b.json rope_theta says 500000"},
		{"llama.context_length", uint32(128), "checkpoint model_args.max_seq_len"},
	} {
		i := slices.IndexFunc(r.Params, func(p Param) bool { return p.Key == c.key })
		if p := r.Params[i]; p.Value != c.value || p.From != c.from {
			t.Errorf("%s = %v from %q; want %v from %q", c.key, p.Value, p.From, c.value, c.from)
		}
	}
}

func TestGroupsOfTheCheckpointAreCompared(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.metaLlama(small)
	args := under("model_args.", config(t, "", smallArgs))
	stale := h.model(append(under("config.", config(t, "", with(smallArgs, `"dim": 288, "n_heads": 6`, "dim", "n_heads"))), args...)...)
	_, r := convert(t, stale)
	if v, _ := r.Model.Meta.Get("llama.attention.head_count"); v != uint32(4) {
		t.Errorf("head_count = %v; want the 4 of the group that fits the shapes", v)
	}
	if !slices.Contains(r.Model.Notes, `The checkpoint's "config.*" contradicts the tensors' shapes and is ignored.`) {
		t.Errorf("notes %q; want one on config.*", r.Model.Notes)
	}
	split := h.model(append(under("config.", config(t, "", with(smallArgs, `"n_heads": 8`, "n_heads"))), args...)...)
	wantText(t, fails(t, split, ""), "checkpoint config.n_heads says 8, checkpoint model_args.n_heads says 4")
	_, r = convert(t, split, config(t, "given.json", `{"n_heads": 4}`))
	i := slices.IndexFunc(r.Params, func(p Param) bool { return p.Key == "llama.attention.head_count" })
	if p := r.Params[i]; p.Value != uint32(4) || p.From != "given.json n_heads; checkpoint config.n_heads says 8" {
		t.Errorf("head_count = %v from %q; want 4 from given.json, which decides", p.Value, p.From)
	}
}

func TestBuffersAndTrainingStateAreDropped(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.metaLlama(small)
	h.add("freqs_cos", 128, 4)
	h.add("freqs_sin", 128, 4)
	h.add("layers.1.attention.mask", 1, 1, 8, 8)
	h.add("optimizer.state.0.exp_avg", 8)
	h.add("optim.state.layers.0.attention.wq.weight.exp_avg_sq", 8)
	_, r := convert(t, h.model(under("model_args.", config(t, "", smallArgs))...))
	accountsForAll(t, h.model(), r)
	want := []Dropped{{"freqs_cos", rotaryBuffer}, {"freqs_sin", rotaryBuffer},
		{"layers.1.attention.mask", "the causal mask, which runtimes compute"},
		{"optimizer.state.0.exp_avg", "optimizer state"}, {"optim.state.layers.0.attention.wq.weight.exp_avg_sq", "optimizer state"}}
	if !slices.Equal(r.Dropped, want) {
		t.Errorf("dropped %v; want %v", r.Dropped, want)
	}
}

func TestAHeadOutsideABareNetworkIsNotLost(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.hfLlama(small, "transformer.")
	h.add("lm_head.weight", small.vocab, small.embd)
	wantText(t, fails(t, h.model(), "", config(t, "config.json", smallConfig)), "lm_head.weight [64 32] (outside the network")
}

func TestWhisperOutputProjectionMustBeTied(t *testing.T) {
	d := whisperDims{80, 20, 16, 2, 1, 12, 64}
	cfg := config(t, "config.json", `{"model_type": "whisper", "d_model": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2}`)
	h := newHeader(t, "", tensor.F16)
	h.hfWhisper(d)
	h.add("proj_out.weight", d.vocab, d.state)
	wantText(t, fails(t, h.model(), "", cfg), "proj_out.weight differs from decoder.token_embedding.weight")
	_, err := Detect(without(t, h.model(), "model.encoder.embed_positions.weight"), "")
	if err == nil {
		t.Fatal("a model without encoder positions was detected")
	}
	wantText(t, err, "lacks model.encoder.embed_positions.weight")
}

func TestRotaryScalings(t *testing.T) {
	scaled := func(s string) Config { return config(t, "config.json", with(smallConfig, s)) }
	for _, c := range []struct {
		name string
		cfg  Config
		want []tensor.KV
	}{
		{"none", scaled(`"rope_scaling": null`), nil},
		{"default, transformers 5", scaled(`"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}`), nil},
		{"linear, old key", scaled(`"rope_scaling": {"type": "linear", "factor": 4}`), []tensor.KV{
			{Key: "llama.rope.scaling.type", Value: "linear"}, {Key: "llama.rope.scaling.factor", Value: float32(4)}}},
		{"yarn", scaled(`"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 16.0, "original_max_position_embeddings": 64, "beta_fast": 32, "attention_factor": 1.5}`),
			[]tensor.KV{{Key: "llama.rope.scaling.type", Value: "yarn"}, {Key: "llama.rope.scaling.factor", Value: float32(16)},
				{Key: "llama.rope.scaling.original_context_length", Value: uint32(64)},
				{Key: "llama.rope.scaling.yarn_attn_factor", Value: float32(1.5)}, {Key: "llama.rope.scaling.yarn_beta_fast", Value: float32(32)}}},
	} {
		_, r := convert(t, smallHF(t), c.cfg)
		var got []tensor.KV
		for _, kv := range r.Model.Meta.All() {
			if strings.Contains(kv.Key, "rope.scaling") {
				got = append(got, kv)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
		if r.Model.Tensor("rope_freqs.weight") != nil {
			t.Errorf("%s: has rope_freqs.weight", c.name)
		}
	}
	wantText(t, fails(t, smallHF(t), "", scaled(`"rope_scaling": {"rope_type": "yarn", "factor": 4.0}`)), "llama.rope.scaling.original_context_length")
	wantText(t, fails(t, smallHF(t), "", scaled(`"rope_scaling": {"rope_type": "llama3", "factor": 4.0}`)), "llama3 rotary scaling needs rope_parameters.low_freq_factor or rope_scaling.low_freq_factor")
	h := newHeader(t, "", tensor.F16)
	h.metaLlama(small)
	wantText(t, fails(t, h.model(), "", config(t, "params.json", with(smallArgs, `"use_scaled_rope": true`))), "state rope_scaling_factor with --config")
}

// TestRotaryFactorsAreThoseOfLlamaCpp compares with what the arithmetic of
// llama.cpp conversion/llama.py, generate_extra_tensors, gives in PyTorch 1.13
// (testdata/rope_factors.py): the bits of the factors that are neither 1 nor
// the scaling factor.
func TestRotaryFactorsAreThoseOfLlamaCpp(t *testing.T) {
	for _, c := range []struct {
		name        string
		dim         int
		factor      float64
		ones        int
		smooth      []uint32
		factorsBits uint32
	}{
		{"Llama 3.1 8B", 128, 8, 29, []uint32{0x3f9a8ed5, 0x3fc6d64a, 0x4001af1d, 0x402c732e, 0x406bcace, 0x40a83c06}, 0x41000000},
		{"Llama 3.2 1B", 64, 32, 15, []uint32{0x3fd35ec2, 0x4052b46f, 0x411aaaee}, 0x42000000},
	} {
		s := llama()
		v := &Values{m: &Match{Spec: s, conv: s.Conventions[2]}, memo: map[string]stated{
			"rope_type": {value: "llama3"}, "rope_theta": {value: 500000.0}, "rope_factor": {value: c.factor},
			"rope_low": {value: 1.0}, "rope_high": {value: 4.0}, "rope_ctx": {value: int64(8192)}, "head_dim": {value: int64(c.dim)}}}
		f, err := ropeFactors(v)
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.dim / 2 {
			want := uint32(0x3f800000)
			if i >= c.ones+len(c.smooth) {
				want = c.factorsBits
			} else if i >= c.ones {
				want = c.smooth[i-c.ones]
			}
			if got := binary.LittleEndian.Uint32(b[4*i:]); got != want {
				t.Errorf("%s: factor %d is %#x; want %#x", c.name, i, got, want)
			}
		}
	}
}

// TestHostileLayerNumbersAreBounded: a layer number costs no more than the
// tensors that the file really has.
func TestHostileLayerNumbersAreBounded(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.metaLlama(small)
	h.add("layers.4294967295.ffn_norm.weight", small.embd)
	h.add("layers.007.ffn_norm.weight", small.embd)
	for i := range 2000 {
		h.add(fmt.Sprintf("optimizer.state.%d.step", i))
	}
	h.add("layers.1999.ffn_norm.weight", small.embd)
	err := fails(t, h.model(), "", config(t, "params.json", smallArgs))
	var e *UnmappedError
	if !errors.As(err, &e) {
		t.Fatalf("%v; want an UnmappedError", err)
	}
	if len(e.Missing) != maxProblems || len(err.Error()) > 4000 {
		t.Errorf("%d missing tensors in %d bytes; want %d in a short text", len(e.Missing), len(err.Error()), maxProblems)
	}
	wantText(t, err, "layers.4294967295.ffn_norm.weight", "layers.007.ffn_norm.weight", "further problems",
		"params.json n_layers says 2, the layers in the tensors' names says 2000")
}

func TestContextLengthOfMetaFilesIsAssumedFromTheModel(t *testing.T) {
	for _, c := range []struct {
		name, params string
		vocab        int
		want         uint32
	}{
		{"Llama 1", `"norm_eps": 1e-6`, 64, 2048},
		{"Llama 2", `"norm_eps": 1e-5`, 64, 4096},
		{"Llama 2, float32", `"norm_eps": 9.999999747378752e-06`, 64, 4096},
		{"CodeLlama", `"norm_eps": 1e-5, "rope_theta": 1000000.0`, 64, 16384},
		{"Llama 3", `"norm_eps": 1e-5, "rope_theta": 500000.0`, 128256, 8192},
		{"Llama 3.1", `"norm_eps": 1e-5, "rope_theta": 500000.0, "use_scaled_rope": true`, 128256, 131072},
		{"stated", `"norm_eps": 1e-5, "max_seq_len": 77`, 64, 77},
	} {
		d := small
		d.vocab = c.vocab
		h := newHeader(t, "", tensor.F16)
		h.metaLlama(d)
		h.add("output.weight", d.vocab, d.embd)
		_, r := convert(t, h.model(), config(t, "params.json", `{"n_heads": 4, "n_kv_heads": 2, `+c.params+`}`))
		if got, _ := r.Model.Meta.Get("llama.context_length"); got != c.want {
			t.Errorf("%s: context_length = %v; want %d", c.name, got, c.want)
		}
	}
}
