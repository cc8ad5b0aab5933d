package quantize

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// layered returns n layers of the matrices called names, rows of 256, and the
// head and tail that models have.
func layered(n int, names ...string) []tensor.Info {
	s := snapshotOf(n, names)
	return append(s, matrix("token_embd.weight", 256), matrix("output.weight", 256))
}

func snapshotOf(n int, names []string) (infos []tensor.Info) {
	for l := range n {
		for _, name := range names {
			infos = append(infos, matrix(strings.Replace("blk.N."+name+".weight", "N", digits(l), 1), 256))
		}
	}
	return infos
}

func digits(n int) string { return string([]byte{'0' + byte(n/10), '0' + byte(n%10)}) }

func matrix(name string, row int) tensor.Info {
	return tensor.Info{Name: name, DType: tensor.F16, Shape: tensor.Shape{8, row}}
}

// chosen applies a recipe and returns the types by name.
func chosen(t *testing.T, recipe string, f Facts, infos []tensor.Info, how Mix) map[string]Choice {
	t.Helper()
	r, err := ParseRecipe(recipe)
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.ChooseAll(f, infos, how)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Choice{}
	for i, info := range infos {
		got[info.Name] = list[i]
	}
	return got
}

// What the nine models of the fixtures do not show.
func TestRulesThatTheFixturesDoNotReach(t *testing.T) {
	attention := []string{"attn_k", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_up"}
	mixtral := Facts{Arch: "llama", Layers: 16, Heads: 8, KVHeads: 2, Experts: 8}
	falcon := Facts{Arch: "falcon", Layers: 16, Heads: 8, KVHeads: 8}
	plainest := Facts{Arch: "llama", Layers: 16, Heads: 8, KVHeads: 8}
	for _, c := range []struct {
		name, recipe string
		facts        Facts
		how          Mix
		tensor       string
		want         tensor.DType
	}{
		{"eight experts: values", "Q4_K_M", mixtral, Mix{}, "blk.05.attn_v.weight", tensor.Q8_0},
		{"eight experts: keys", "Q3_K_L", mixtral, Mix{}, "blk.05.attn_k.weight", tensor.Q8_0},
		{"eight experts: output", "Q4_K_M", mixtral, Mix{}, "blk.05.attn_output.weight", tensor.Q5K},
		{"eight experts: no bump in Q3_K_L", "Q3_K_L", mixtral, Mix{}, "blk.05.attn_output.weight", tensor.Q3K},
		{"eight experts: lowest bits", "IQ2_XS", mixtral, Mix{}, "blk.05.attn_k.weight", tensor.Q4K},
		{"eight experts: lowest bits, output", "IQ1_S", mixtral, Mix{}, "blk.05.attn_output.weight", tensor.Q5K},
		{"eight experts: IQ3_M spreads", "IQ3_M", mixtral, Mix{}, "blk.04.ffn_down.weight", tensor.Q4K},
		{"IQ3_M does not spread otherwise", "IQ3_M", plainest, Mix{}, "blk.04.ffn_down.weight", tensor.IQ3S},
		{"falcon: output", "Q4_K_M", falcon, Mix{}, "output.weight", tensor.Q8_0},
		{"falcon: first sixteenth", "Q4_K_M", falcon, Mix{}, "blk.00.ffn_down.weight", tensor.Q6K},
		{"falcon: first eighth", "Q4_K_M", falcon, Mix{}, "blk.01.ffn_down.weight", tensor.Q5K},
		{"falcon: between", "Q4_K_M", falcon, Mix{}, "blk.03.ffn_down.weight", tensor.Q4K},
		{"falcon: Q3_K_M between", "Q3_K_M", falcon, Mix{}, "blk.03.ffn_down.weight", tensor.Q3K},
		{"falcon: Q3_K_L", "Q3_K_L", falcon, Mix{}, "blk.03.ffn_down.weight", tensor.Q4K},
		{"falcon: Q3_K_L output", "Q3_K_L", falcon, Mix{}, "blk.03.attn_output.weight", tensor.Q4K},
		{"falcon: no first layers in Q4_K_S", "Q4_K_S", falcon, Mix{}, "blk.00.ffn_down.weight", tensor.Q4K},
		{"importance: Q4_0", "Q4_0", plainest, Mix{Importance: true}, "blk.01.ffn_down.weight", tensor.Q4_1},
		{"importance: Q4_0, later", "Q4_0", plainest, Mix{Importance: true}, "blk.02.ffn_down.weight", tensor.Q4_0},
		{"importance: Q5_0", "Q5_0", plainest, Mix{Importance: true}, "blk.00.ffn_down.weight", tensor.Q5_1},
		{"no importance: Q4_0", "Q4_0", plainest, Mix{}, "blk.01.ffn_down.weight", tensor.Q4_0},
		{"importance: IQ4_XS", "IQ4_XS", plainest, Mix{Importance: true}, "blk.00.ffn_down.weight", tensor.IQ4XS},
		{"no importance: IQ4_XS", "IQ4_XS", plainest, Mix{}, "blk.00.ffn_down.weight", tensor.Q5K},
		{"importance: IQ3_XXS values", "IQ3_XXS", plainest, Mix{Importance: true}, "blk.00.attn_v.weight", tensor.IQ3XXS},
		{"no importance: IQ3_XXS values", "IQ3_XXS", plainest, Mix{}, "blk.00.attn_v.weight", tensor.IQ3S},
		{"importance: IQ3_XXS down", "IQ3_XXS", plainest, Mix{Importance: true}, "blk.00.ffn_down.weight", tensor.IQ3XXS},
		{"heads share nothing", "Q2_K", plainest, Mix{}, "blk.00.attn_v.weight", tensor.Q3K},
		{"Q1_0", "Q1_0", plainest, Mix{}, "blk.00.ffn_up.weight", tensor.Q1_0},
		{"Q2_0: embedding", "Q2_0", plainest, Mix{}, "token_embd.weight", tensor.Q4K},
		{"short name", "q4_k", plainest, Mix{}, "blk.00.attn_v.weight", tensor.Q6K},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := chosen(t, c.recipe, c.facts, layered(c.facts.Layers, attention...), c.how)[c.tensor]
			if got.DType != c.want {
				t.Errorf("%s: %s is %v, want %v (%s)", c.recipe, c.tensor, got.DType, c.want, got.Why)
			}
		})
	}
}

func TestMixOptionsDecideBeforeRules(t *testing.T) {
	f := Facts{Arch: "llama", Layers: 8, Heads: 8, KVHeads: 8}
	down := Override{Pattern: regexp.MustCompile(`blk\.0[01]\.ffn_down`), DType: tensor.Q8_0}
	out := Override{Role: RoleOutput, DType: tensor.F16}
	embedding := Override{Role: RoleTokenEmbedding, DType: tensor.Q5_0}
	all := layered(8, "attn_v", "ffn_down")
	tied := all[:len(all)-1]
	for _, c := range []struct {
		name   string
		infos  []tensor.Info
		recipe string
		how    Mix
		tensor string
		want   tensor.DType
	}{
		{"pure", all, "Q4_K_M", Mix{Pure: true}, "output.weight", tensor.Q4K},
		{"pattern", all, "Q4_K_M", Mix{Overrides: []Override{down}}, "blk.01.ffn_down.weight", tensor.Q8_0},
		{"what a pattern decides does not count", all, "Q4_K_S", Mix{Overrides: []Override{down}}, "blk.02.ffn_down.weight", tensor.Q5K},
		{"output", all, "Q4_K_M", Mix{Overrides: []Override{out}}, "output.weight", tensor.F16},
		{"output of tied models", tied, "Q4_K_M", Mix{Overrides: []Override{out}}, "token_embd.weight", tensor.F16},
		{"output leaves embeddings", all, "Q4_K_M", Mix{Overrides: []Override{out}}, "token_embd.weight", tensor.Q4K},
		{"token embedding", tied, "Q4_K_M", Mix{Overrides: []Override{out, embedding}}, "token_embd.weight", tensor.Q5_0},
		{"tied embedding is the output", tied, "Q4_K_M", Mix{}, "token_embd.weight", tensor.Q6K},
		{"leave output", all, "Q4_K_M", Mix{LeaveOutput: true}, "output.weight", tensor.F16},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := chosen(t, c.recipe, f, c.infos, c.how)[c.tensor]; got.DType != c.want {
				t.Errorf("%s is %v, want %v (%s)", c.tensor, got.DType, c.want, got.Why)
			}
		})
	}
}

func TestRowsThatATypeDoesNotDivideFallBack(t *testing.T) {
	for _, c := range []struct {
		d    tensor.DType
		row  int
		want tensor.DType
	}{
		{tensor.Q4K, 512, tensor.Q4K}, {tensor.Q4K, 576, tensor.Q5_0}, {tensor.Q5K, 576, tensor.Q5_1}, {tensor.Q6K, 576, tensor.Q8_0},
		{tensor.Q2K, 576, tensor.Q4_0}, {tensor.Q3K, 576, tensor.Q4_0}, {tensor.TQ1_0, 576, tensor.Q4_0}, {tensor.Q2_0, 32, tensor.Q4_0},
		{tensor.IQ4XS, 576, tensor.IQ4NL}, {tensor.IQ1S, 576, tensor.IQ4NL}, {tensor.IQ3S, 576, tensor.IQ4NL},
		{tensor.Q4K, 100, tensor.F16}, {tensor.Q8_0, 3, tensor.F16}, {tensor.MXFP4, 16, tensor.F16}, {tensor.F32, 3, tensor.F32},
	} {
		got, why := fallback(c.d, c.row)
		if got != c.want || (why == "") != (got == c.d) {
			t.Errorf("fallback(%v, %d) = %v, %q; want %v", c.d, c.row, got, why, c.want)
		}
	}
}

func TestEveryFallbackHasSmallerBlocks(t *testing.T) {
	for from, to := range fallbacks {
		a, _ := from.Layout()
		b, _ := to.Layout()
		if b.Elems >= a.Elems || b.Kind != tensor.Block {
			t.Errorf("%v falls back to %v: blocks of %d after %d", from, to, b.Elems, a.Elems)
		}
	}
}

func TestFallbackIsAnErrorIfItIsNotAllowed(t *testing.T) {
	r, _ := ParseRecipe("Q4_K_M")
	_, err := r.ChooseAll(Facts{}, []tensor.Info{matrix("blk.0.attn_q.weight", 576), matrix("blk.0.attn_k.weight", 512)}, Mix{NoFallback: true})
	var e *FallbackError
	if !errors.As(err, &e) || len(e.Tensors) != 1 || !strings.Contains(err.Error(), "attn_q") || !strings.Contains(err.Error(), "576") {
		t.Errorf("error %v; want a FallbackError that names attn_q and 576", err)
	}
}

func TestQuantizedSourcesNeedLeave(t *testing.T) {
	q := matrix("blk.0.attn_q.weight", 256)
	q.DType = tensor.Q8_0
	r, _ := ParseRecipe("Q4_K_M")
	_, err := r.ChooseAll(Facts{}, []tensor.Info{q}, Mix{})
	var e *RequantizeError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "attn_q") {
		t.Errorf("error %v; want a RequantizeError that names attn_q", err)
	}
	if got := chosen(t, "Q4_K_M", Facts{}, []tensor.Info{q}, Mix{Requantize: true}); got[q.Name].DType != tensor.Q4K {
		t.Errorf("allowed: %v, want q4_k", got[q.Name].DType)
	}
	if got := chosen(t, "Q8_0", Facts{}, []tensor.Info{q}, Mix{}); got[q.Name].DType != tensor.Q8_0 {
		t.Errorf("same type: %v, want q8_0", got[q.Name].DType)
	}
	if got := chosen(t, "f16", Facts{}, []tensor.Info{q}, Mix{Requantize: true}); got[q.Name].DType != tensor.F16 {
		t.Errorf("to f16: %v, want f16", got[q.Name].DType)
	}
}

func TestWhatIsNotAMatrixOfWeightsStays(t *testing.T) {
	infos := []tensor.Info{
		matrix("blk.0.ffn_norm.weight", 256), matrix("blk.0.ffn_gate_inp.weight", 256), matrix("blk.0.attn_q.bias", 256), matrix("position_embd.weight", 256),
		{Name: "blk.0.vector.weight", DType: tensor.F16, Shape: tensor.Shape{256}}, {Name: "blk.0.row.weight", DType: tensor.F16, Shape: tensor.Shape{1, 256}},
		{Name: "blk.0.ids.weight", DType: tensor.I32, Shape: tensor.Shape{8, 256}},
	}
	for name, c := range chosen(t, "Q4_K_M", Facts{}, infos, Mix{Canonical: true}) {
		if c.DType != tensor.F16 && c.DType != tensor.I32 {
			t.Errorf("%s becomes %v, want it as it is", name, c.DType)
		}
	}
	if got := chosen(t, "Q4_K_M", Facts{}, infos, Mix{}); got["blk.0.vector.weight"].DType != tensor.F32 || got["blk.0.attn_q.bias"].DType != tensor.F16 {
		t.Errorf("of a checkpoint: vector %v, matrix of biases %v; want f32, f16", got["blk.0.vector.weight"].DType, got["blk.0.attn_q.bias"].DType)
	}
	if got := chosen(t, "Q4_K_M", Facts{}, []tensor.Info{matrix("w", 256)}, Mix{AnyName: true}); got["w"].DType != tensor.Q4K {
		t.Errorf("any name: %v, want q4_k", got["w"].DType)
	}
}

func TestImportanceIsNeededWhereLlamaCppNeedsIt(t *testing.T) {
	infos := layered(8, "attn_v", "ffn_up")
	for _, c := range []struct {
		recipe, tensor string
		want           bool
	}{
		{"IQ2_XXS", "blk.00.ffn_up.weight", true}, {"IQ1_M", "blk.07.ffn_up.weight", true}, {"IQ3_XXS", "blk.00.ffn_up.weight", true},
		{"IQ3_S", "blk.00.ffn_up.weight", false}, {"Q2_K", "blk.00.ffn_up.weight", false}, {"Q2_K_S", "blk.00.ffn_up.weight", true},
		{"IQ2_XXS", "token_embd.weight", false}, {"IQ1_S", "output.weight", false},
	} {
		if got := chosen(t, c.recipe, Facts{Layers: 8}, infos, Mix{})[c.tensor]; got.NeedsImportance != c.want {
			t.Errorf("%s: %s as %v needs importance: %v, want %v", c.recipe, c.tensor, got.DType, got.NeedsImportance, c.want)
		}
	}
}

func TestFeedForwardOutsideTheLayersIsAnError(t *testing.T) {
	r, _ := ParseRecipe("Q4_K_M")
	for _, name := range []string{"blk.9.ffn_down_exps.weight", "ffn_down.weight", "blk.x.ffn_up.weight"} {
		_, err := r.ChooseAll(Facts{Layers: 8, Experts: 4}, []tensor.Info{matrix(name, 256)}, Mix{})
		if !errors.Is(err, tensor.ErrCorrupt) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want an error that names it", name, err)
		}
	}
}

func TestFactsComeFromMetadata(t *testing.T) {
	kv := func(k string, v any) tensor.KV { return tensor.KV{Key: k, Value: v} }
	for _, c := range []struct {
		name string
		kvs  []tensor.KV
		want Facts
	}{
		{"all", []tensor.KV{kv("llama.block_count", uint32(4)), kv("llama.attention.head_count", uint32(8)), kv("llama.attention.head_count_kv", uint32(2)), kv("llama.expert_count", uint32(3))}, Facts{"llama", 4, 8, 2, 3}},
		{"no heads of keys", []tensor.KV{kv("llama.attention.head_count", uint32(8))}, Facts{"llama", 0, 8, 8, 0}},
		{"a list", []tensor.KV{kv("llama.attention.head_count", []int32{6, 7}), kv("llama.attention.head_count_kv", []int32{0, 1})}, Facts{"llama", 0, 6, 0, 0}},
	} {
		if got, err := FactsOf("llama", tensor.NewMeta(c.kvs...)); got != c.want || err != nil {
			t.Errorf("%s: %+v (%v), want %+v", c.name, got, err, c.want)
		}
	}
	for _, v := range []any{"8", int32(-1), uint64(1 << 40), []string{"a"}, 1.5} {
		if _, err := FactsOf("llama", tensor.NewMeta(kv("llama.block_count", v))); !errors.Is(err, tensor.ErrCorrupt) {
			t.Errorf("block_count %v: %v, want ErrCorrupt", v, err)
		}
	}
}

func TestSizeClass70B(t *testing.T) {
	for _, c := range []struct {
		f    Facts
		want bool
	}{
		{Facts{Arch: "llama", Layers: 80, Heads: 64, KVHeads: 8}, true}, {Facts{Arch: "llama", Layers: 80, Heads: 64, KVHeads: 64}, false},
		{Facts{Arch: "qwen2", Layers: 80, Heads: 64, KVHeads: 64}, true}, {Facts{Arch: "jais2", Layers: 68}, true},
		{Facts{Arch: "llama", Layers: 32, Heads: 32, KVHeads: 8}, false}, {Facts{Arch: "none"}, false},
	} {
		if got := c.f.is70B(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.f, got, c.want)
		}
	}
}

func TestRecipesAreSound(t *testing.T) {
	names, fileTypes := map[string]bool{}, map[uint32]string{}
	for _, r := range Recipes() {
		if names[strings.ToLower(r.Name)] {
			t.Errorf("recipe %s twice", r.Name)
		}
		names[strings.ToLower(r.Name)] = true
		if other, ok := fileTypes[r.FileType]; ok && !r.Keep {
			t.Errorf("%s and %s have file type %d", r.Name, other, r.FileType)
		}
		if !r.Keep {
			fileTypes[r.FileType] = r.Name
		}
		for _, rule := range r.Rules {
			if c, err := CodecOf(rule.DType); err != nil || c.Encode == nil || rule.Why == "" {
				t.Errorf("%s: rule %+v cannot be carried out, or says no reason", r.Name, rule)
			}
			for _, when := range rule.When {
				if about, ok := when.About(); !ok || about == "" {
					t.Errorf("%s: no condition %q", r.Name, when)
				}
			}
		}
	}
	for short, long := range aliases {
		if r, err := ParseRecipe(short); err != nil || r.Name != long {
			t.Errorf("%s is not %s: %v", short, long, err)
		}
	}
}

func TestRolesComeBackFromTheirNames(t *testing.T) {
	for r := RoleOutput; r <= RoleOther; r <<= 1 {
		if got, err := ParseRole(r.String()); got != r || err != nil {
			t.Errorf("%v comes back as %v, %v", r, got, err)
		}
	}
	both := RoleValue | RoleDown
	if got, err := ParseRole("value | down"); got != both || err != nil || both.String() != "value|down" {
		t.Errorf("value|down is %v, %v", got, err)
	}
	if got, err := ParseRole(""); got != 0 || err != nil {
		t.Errorf("no role is %v, %v", got, err)
	}
	if _, err := ParseRole("value|"); !errors.Is(err, tensor.ErrUnsupported) {
		t.Errorf("an empty role in a list: %v, want ErrUnsupported", err)
	}
}

func TestNamesTellRoleAndLayer(t *testing.T) {
	for _, c := range []struct {
		name  string
		role  Role
		layer int
		ok    bool
	}{
		{"output.weight", RoleOutput, -1, false}, {"blk.0.output.weight", RoleOther, 0, true}, {"token_embd.weight", RoleTokenEmbedding, -1, false},
		{"per_layer_token_embd.weight", RoleTokenEmbedding, -1, false}, {"blk.3.attn_qkv.weight", RoleValue, 3, true}, {"blk.3.attn_kv_b.weight", RoleValue, 3, true},
		{"blk.12.ffn_gate_up_exps.weight", RoleGate, 12, true}, {"blk.12.ffn_down_shexp.weight", RoleDown, 12, true}, {"blk.1.attn_k_b.weight", RoleOther, 1, true},
		{"blk.-1.attn_k.weight", RoleKey, -1, false}, {"blk.99999999999999999999.attn_q.weight", RoleQuery, -1, false}, {"blk.7", RoleOther, -1, false},
	} {
		layer, ok := layerOf(c.name)
		if role := roleOf(c.name); role != c.role || layer != c.layer || ok != c.ok {
			t.Errorf("%s: %v, layer %d, %v; want %v, %d, %v", c.name, role, layer, ok, c.role, c.layer, c.ok)
		}
	}
}
