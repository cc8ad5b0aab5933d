package arch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

var small = llamaDims{2, 32, 4, 2, 8, 48, 64}

// smallConfig is small as transformers writes it.
const smallConfig = `{"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
	"intermediate_size": 48, "vocab_size": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 128}`

// smallArgs is small as llama2.c writes it.
const smallArgs = `{"dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 64, "max_seq_len": 128}`

func renamedAll(t testing.TB, m *tensor.Model, rename func(string) string) *tensor.Model {
	t.Helper()
	return edited(t, m, func(x *tensor.Tensor) *tensor.Tensor { return x.Renamed(rename(x.Name)) })
}

func smallHF(t testing.TB) *tensor.Model {
	h := newHeader(t, "", tensor.F16)
	h.hfLlama(small, "model.")
	h.add("lm_head.weight", small.vocab, small.embd)
	return h.model()
}

func smallMeta(t testing.TB) *tensor.Model {
	h := newHeader(t, "", tensor.F16)
	h.metaLlama(small)
	h.add("output.weight", small.vocab, small.embd)
	return h.model()
}

// TestDetectFindsTheModelUnderAnyWrapping checks that what frameworks put
// around names changes nothing of the result.
func TestDetectFindsTheModelUnderAnyWrapping(t *testing.T) {
	plain := func(s string) string { return s }
	under := func(p string) func(string) string { return func(s string) string { return p + s } }
	inLayers := func(wrapper string) func(string) string {
		return func(s string) string {
			words := strings.Split(s, ".")
			if i := slices.Index(words, "layers"); i >= 0 {
				words = slices.Insert(words, i+2, wrapper)
			}
			return strings.Join(words, ".")
		}
	}
	for _, c := range []struct {
		name   string
		src    func(testing.TB) *tensor.Model
		rename func(string) string
		prefix string
	}{
		{"Hugging Face, plain", smallHF, plain, ""},
		{"Hugging Face, Lightning", smallHF, under("state_dict.model."), "state_dict.model."},
		{"Hugging Face, compiled and distributed", smallHF, under("module._orig_mod."), "module._orig_mod."},
		{"Hugging Face, layers wrapped", smallHF, inLayers("_fsdp_wrapped_module"), ""},
		{"Hugging Face, network wrapped but not its head", smallHF, func(s string) string {
			return strings.Replace(s, "model.", "model._orig_mod.", 1)
		}, ""},
		{"Hugging Face, network and layers wrapped", smallHF, func(s string) string {
			return "w." + inLayers("_checkpoint_wrapped_module")(strings.Replace(s, "model.", "model._fsdp_wrapped_module.", 1))
		}, "w."},
		{"Hugging Face, every second layer wrapped", smallHF, func(s string) string {
			return strings.Replace(s, "layers.1.", "layers.1._checkpoint_wrapped_module.", 1)
		}, ""},
		{"Meta, plain", smallMeta, plain, ""},
		{"Meta, under model", smallMeta, under("model."), "model."},
		{"Meta, six levels", smallMeta, under("a.b.c.d.e.f."), "a.b.c.d.e.f."},
		{"Meta, layers wrapped twice", smallMeta, func(s string) string { return inLayers("_orig_mod")(inLayers("0")(s)) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			configs := []Config{config(t, "config.json", smallConfig), config(t, "params.json", smallArgs)}
			_, want := convert(t, c.src(t), configs...)
			m, got := convert(t, renamedAll(t, c.src(t), c.rename), configs...)
			if m.Prefix != c.prefix {
				t.Errorf("prefix %q; want %q", m.Prefix, c.prefix)
			}
			if len(got.Model.Tensors()) != len(want.Model.Tensors()) {
				t.Fatalf("%d tensors; want %d", len(got.Model.Tensors()), len(want.Model.Tensors()))
			}
			for i, w := range want.Model.Tensors() {
				g := got.Model.Tensors()[i]
				if g.Name != w.Name || got.Sources[g.Name] != c.rename(want.Sources[w.Name]) {
					t.Errorf("tensor %d: %s from %s; want %s from %s", i, g.Name, got.Sources[g.Name], w.Name, c.rename(want.Sources[w.Name]))
				}
			}
		})
	}
}

func TestBareNetworksAreRecognised(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.hfLlama(small, "")
	m, r := convert(t, h.model(), config(t, "config.json", smallConfig))
	if m.Convention != "huggingface" || r.Sources["token_embd.weight"] != "embed_tokens.weight" {
		t.Errorf("%v, token_embd.weight from %q; want huggingface, embed_tokens.weight", m, r.Sources["token_embd.weight"])
	}
	w := newHeader(t, "", tensor.F16)
	w.hfWhisper(whisperDims{80, 20, 16, 2, 1, 12, 64})
	src := renamedAll(t, w.model(), func(s string) string { return strings.TrimPrefix(s, "model.") })
	m, err := Detect(src, "")
	if err != nil || m.Spec.Name != "whisper" || m.Convention != "huggingface" {
		t.Errorf("Detect = %v, %v; want whisper in Hugging Face names", m, err)
	}
}

func TestConventionIsReadFromTheCheckpoint(t *testing.T) {
	h := newHeader(t, "", tensor.F16)
	h.metaLlama(small)
	for _, c := range []struct {
		name string
		kvs  []tensor.KV
		want string
	}{
		{"nothing inside", nil, "meta"},
		{"model_args", under("model_args.", config(t, "", smallArgs)), "llama2.c"},
		{"another prefix", under("hyper_parameters.cfg.", config(t, "", smallArgs)), "llama2.c"},
		{"at the top", under("", config(t, "", smallArgs)), "llama2.c"},
		{"other scalars", under("config.", config(t, "", `{"dim": 32, "n_layers": 2}`)), "meta"},
	} {
		m, err := Detect(h.model(c.kvs...), "")
		if err != nil || m.Convention != c.want {
			t.Errorf("%s: %v, %v; want %s", c.name, m, err, c.want)
		}
	}
}

func TestSeveralNetworksAreAmbiguous(t *testing.T) {
	a, b := renamedAll(t, smallHF(t), func(s string) string { return "model." + s }), renamedAll(t, smallHF(t), func(s string) string { return "ema." + s })
	both, err := tensor.NewModel("fixture", tensor.Meta{}, append(slices.Clone(a.Tensors()), b.Tensors()...))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Detect(both, "")
	var e *AmbiguousError
	if !errors.As(err, &e) || !slices.Equal(e.Roots, []string{"model", "ema"}) {
		t.Fatalf("Detect = %v; want an AmbiguousError of model and ema", err)
	}
	for _, root := range e.Roots {
		if m, err := DetectAt(both, "", root); err != nil || m.Prefix != root+"." {
			t.Errorf("DetectAt(%q) = %v, %v; want the network there", root, m, err)
		}
	}
	if m, err := DetectAt(smallHF(t), "", "."); err != nil || m.Prefix != "" {
		t.Errorf("DetectAt(\".\") = %v, %v; want the network at the top", m, err)
	}
	if _, err := DetectAt(both, "", "swa"); !errors.Is(err, tensor.ErrNotFound) || !strings.Contains(err.Error(), `under "ema"`) {
		t.Errorf("DetectAt(swa) = %v; want ErrNotFound and what there is", err)
	}
	for _, w := range []string{"2 complete networks", `under "ema"`, "root"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v; want %q in it", err, w)
		}
	}
}

func TestUnknownModelsAreDescribed(t *testing.T) {
	gpt2 := newHeader(t, "", tensor.F32)
	gpt2.add("transformer.wte.weight", 10, 4)
	gpt2.add("transformer.h.0.attn.c_attn.weight", 4, 12)
	gpt2.add("lm_head.weight", 10, 4)
	empty, err := tensor.NewModel("fixture", tensor.Meta{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		src        *tensor.Model
		text       []string
	}{
		{"another architecture", "", gpt2.model(), []string{"groups: transformer, lm_head", "transformer.wte.weight", "--arch generic", "llama, whisper"}},
		{"not the one asked for", "whisper", smallHF(t), []string{"not those of whisper", "model.embed_tokens.weight"}},
		{"no such architecture", "lama", smallHF(t), []string{`architecture "lama" is not known`}},
		{"no tensors", "", empty, []string{"there are none"}},
		{"one tensor short", "", without(t, smallHF(t), "model.layers.0.mlp.up_proj.weight"),
			[]string{"closest is llama (Hugging Face transformers)", "lacks model.layers.0.mlp.up_proj.weight"}},
	} {
		_, err := Detect(c.src, c.want)
		var e *UnknownError
		if !errors.As(err, &e) {
			t.Errorf("%s: %v; want an UnknownError", c.name, err)
			continue
		}
		for _, w := range c.text {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v; want %q in it", c.name, err, w)
			}
		}
	}
}

// BenchmarkDetect looks through the names of a checkpoint of 10,000 tensors.
func BenchmarkDetect(b *testing.B) {
	h := newHeader(b, "state_dict.model.", tensor.F16)
	h.hfLlama(llamaDims{1100, 32, 4, 2, 8, 48, 64}, "model.")
	src := h.model()
	for b.Loop() {
		if _, err := Detect(src, ""); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzDetect maps models of arbitrary names and shapes, built from words that
// the tables know, so that they come close to fitting.
func FuzzDetect(f *testing.F) {
	f.Add("model.embed_tokens.weight 64 32\nmodel.layers.0.self_attn.q_proj.weight 32 32", smallConfig)
	f.Add("tok_embeddings.weight 8 4\nlayers.9.attention.wq.weight 4 4\nlayers..weight\n...", `{"dim": -1, "n_heads": 0}`)
	for _, src := range []*tensor.Model{smallHF(f), smallMeta(f)} {
		var lines []string
		for _, t := range src.Tensors() {
			lines = append(lines, strings.Trim(fmt.Sprint(t.Name, " ", t.Shape), "[]"))
		}
		f.Add(strings.ReplaceAll(strings.Join(lines, "\n"), "[", ""), smallConfig)
		f.Add(strings.ReplaceAll(strings.Join(lines, "\n"), "[", ""), smallArgs)
	}
	f.Fuzz(func(t *testing.T, text, cfg string) {
		src := parsed(text)
		if src == nil {
			return
		}
		var configs []Config
		if meta, err := FlattenJSON([]byte(cfg)); err == nil {
			configs = append(configs, Config{"fuzz.json", meta})
			src.Meta = meta
		}
		for _, want := range []string{"", "llama", "whisper"} {
			m, err := Detect(src, want)
			if err != nil {
				continue
			}
			r, err := m.Canonical(src, configs)
			if err == nil {
				accountsForAll(t, src, r)
			}
		}
		if r, err := Generic(src); err == nil && len(r.Model.Tensors()) != len(src.Tensors()) {
			t.Errorf("Generic kept %d of %d tensors", len(r.Model.Tensors()), len(src.Tensors()))
		}
	})
}

// parsed reads lines of a name and dimensions, nil if they make no model.
func parsed(text string) *tensor.Model {
	var tensors []*tensor.Tensor
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		shape := tensor.Shape{}
		for _, w := range words[1:] {
			var n int
			if _, err := fmt.Sscan(w, &n); err != nil || n < 0 || n > 1<<12 || len(shape) > 5 {
				return nil
			}
			shape = append(shape, n)
		}
		info := tensor.Info{Name: words[0], DType: tensor.U8, Shape: shape}
		size, err := info.Size()
		if err != nil || size > 1<<20 {
			return nil
		}
		t, err := tensor.New(info, filler{uint64(len(tensors)), size}, tensor.Origin{Offset: -1})
		if err != nil {
			return nil
		}
		tensors = append(tensors, t)
	}
	m, err := tensor.NewModel("fuzz", tensor.Meta{}, tensors)
	if err != nil {
		return nil
	}
	return m
}

// accountsForAll fails unless every source tensor is mapped or dropped.
func accountsForAll(t *testing.T, src *tensor.Model, r *Result) {
	t.Helper()
	seen := map[string]int{}
	for _, s := range r.Sources {
		seen[s]++
	}
	for _, d := range r.Dropped {
		seen[d.Name]++
		if d.Why == "" {
			t.Errorf("%s is dropped for no reason", d.Name)
		}
	}
	for _, x := range src.Tensors() {
		if seen[x.Name] != 1 {
			t.Errorf("%s is mapped or dropped %d times; want once", x.Name, seen[x.Name])
		}
	}
}
