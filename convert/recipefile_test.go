package convert

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

func TestEveryRecipeComesBackFromItsFile(t *testing.T) {
	n := 0
	for _, r := range quantize.Recipes() {
		b, err := MarshalRecipe(&r)
		if !r.Quantizes() {
			if err == nil {
				t.Errorf("%s is shown", r.Name)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
		file := filepath.Join(t.TempDir(), "r.yaml")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadRecipe(file)
		if err != nil {
			t.Errorf("%s: %v in\n%s", r.Name, err, b)
			continue
		}
		if !reflect.DeepEqual(*got, r) {
			t.Errorf("%s comes back as %+v, want %+v", r.Name, *got, r)
		}
	}
	if n != 32 {
		t.Errorf("%d recipes, want 32", n)
	}
}

func TestRecipeOfOnesOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.yaml")
	text := "default: q4_k\nrules:\n- {role: value|down, when: [spread], type: q6_k, why: mine}\n- {name: 'blk.*.attn_k.weight', type: Q5_K}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRecipe(file)
	if err != nil {
		t.Fatal(err)
	}
	want := &quantize.Recipe{Name: "mine", FileType: 14, Default: tensor.Q4K, Rules: []quantize.Rule{
		{Role: quantize.RoleValue | quantize.RoleDown, When: []quantize.Condition{quantize.Spread}, DType: tensor.Q6K, Why: "mine"},
		{Pattern: "blk.*.attn_k.weight", DType: tensor.Q5K, Why: "a rule of the recipe"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	x := floats(t, "blk.0.attn_k.weight", tensor.Shape{2, 256}, normal(1, 512))
	r, _ := written(t, sourceOf(t, tensor.Meta{}, x), Options{Recipe: got}, RunOptions{})
	if r.Losses[0].DType != tensor.Q5K {
		t.Errorf("written as %v, want q5_k", r.Losses[0].DType)
	}
}

func TestWrongRecipesAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "default"},
		{"not YAML", "{", "r.yaml"},
		{"unknown field", "default: q4_k\nrule: []\n", "rule"},
		{"unknown default", "default: q4_z\n", `unknown type "q4_z"`},
		{"not quantized", "default: f16\n", "want a quantized type"},
		{"unknown role", "default: q4_k\nrules: [{role: vale, type: q6_k}]\n", `rule 1: unknown role "vale"; known: output|token_embedding|value`},
		{"unknown condition", "default: q4_k\nrules: [{role: value, type: q6_k},{when: [sometimes], type: q6_k}]\n", `rule 2: unknown condition "sometimes"`},
		{"unknown type", "default: q4_k\nrules: [{role: value}]\n", "rule 1"},
		{"bad pattern", "default: q4_k\nrules: [{name: '[', type: q6_k}]\n", "syntax error in pattern"},
		{"no file type", "default: nvfp4\n", "say file_type"},
		{"too long", "default: q4_k\n#" + strings.Repeat("x", maxRecipe), "more than 65536 bytes"},
	} {
		file := filepath.Join(t.TempDir(), "r.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRecipe(file); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "r.yaml") {
			t.Errorf("%s: %v, want r.yaml and %q", c.name, err, c.want)
		}
	}
	if _, err := ReadRecipe("none.yaml"); err == nil {
		t.Error("a file that does not exist is read")
	}
}

func FuzzParseRecipe(f *testing.F) {
	f.Add([]byte("default: q4_k\nrules:\n- {role: value|down, when: [spread], type: q6_k, why: mine}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<12 {
			return
		}
		r, err := parseRecipe(b)
		if err != nil {
			return
		}
		if _, err := MarshalRecipe(r); err != nil {
			t.Errorf("read, but not written: %v", err)
		}
	})
}
