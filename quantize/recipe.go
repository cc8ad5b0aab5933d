package quantize

import (
	"fmt"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A Recipe chooses the stored type of each tensor; the first rule that matches
// decides and says why.
type Recipe struct {
	Name string
	// FileType is general.file_type (llama.cpp include/llama.h, enum llama_ftype).
	FileType uint32
	// Default is the type of tensors that no rule matches.
	Default tensor.DType
	// Keep: tensors that no rule matches stay as they are, Default is not used.
	Keep  bool
	Rules []Rule
	// NeedsImportance are the types that this recipe writes only with an
	// importance matrix although other recipes do not need one for them.
	NeedsImportance []tensor.DType
}

// A Rule is one line of a recipe. It matches a floating-point tensor if all that
// it states holds.
type Rule struct {
	Role    Role        // one of these; 0: any
	Pattern string      // as in path.Match, over the whole name; "" fits every name
	MaxRank int         // 0: any
	When    []Condition // all hold
	DType   tensor.DType
	Why     string
}

// runtimeRules are what llama.cpp's own conversion does whatever type is asked
// (convert_hf_to_gguf.py, prepare_tensors): vectors are few, and its graph adds
// and multiplies them in F32.
var runtimeRules = []Rule{
	{MaxRank: 1, DType: tensor.F32, Why: "vectors stay F32: runtimes add and multiply them in F32"},
	{Pattern: "*_norm.weight", DType: tensor.F32, Why: "norms stay F32: runtimes multiply them in F32"},
	{Pattern: "*positional_embedding", DType: tensor.F32, Why: "position embeddings stay F32: they are added in F32"},
	{Pattern: "mel_filters", DType: tensor.F32, Why: "the filter bank is used in F32"},
}

var recipes = append([]Recipe{
	{Name: "f32", FileType: 0, Default: tensor.F32, Rules: runtimeRules},
	{Name: "f16", FileType: 1, Default: tensor.F16, Rules: runtimeRules},
	{Name: "bf16", FileType: 32, Default: tensor.BF16, Rules: runtimeRules},
	{Name: "keep", Keep: true, Rules: runtimeRules},
}, mixes...)

// aliases are llama-quantize's shorter names (tools/quantize/quantize.cpp).
var aliases = map[string]string{"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

// Recipes returns all recipes, the unquantized ones first.
func Recipes() []Recipe { return append([]Recipe(nil), recipes...) }

// RecipeNames lists the recipes, for help and errors.
func RecipeNames() []string {
	var names []string
	for _, r := range recipes {
		names = append(names, r.Name)
	}
	return names
}

// ParseRecipe returns the recipe called name, in any case.
func ParseRecipe(name string) (*Recipe, error) {
	full := name
	if long, ok := aliases[strings.ToUpper(name)]; ok {
		full = long
	}
	for i := range recipes {
		if strings.EqualFold(recipes[i].Name, full) {
			return &recipes[i], nil
		}
	}
	return nil, fmt.Errorf("unknown type %q; known: %s: %w", name, strings.Join(RecipeNames(), ", "), tensor.ErrUnsupported)
}

// Quantizes reports whether r stores most tensors in blocks.
func (r *Recipe) Quantizes() bool { return !r.Keep && isBlock(r.Default) }

func isBlock(d tensor.DType) bool {
	l, _ := d.Layout()
	return l.Kind == tensor.Block
}

// WithoutRules returns r with no rule but its default, for models whose runtime
// is not known.
func (r Recipe) WithoutRules() *Recipe {
	r.Rules = nil
	return &r
}

// Choose returns the stored type of one tensor and the reason, for recipes that
// do not quantize. Only floating-point tensors change their precision; other
// types that ggml files cannot hold are widened without loss.
func (r *Recipe) Choose(info tensor.Info) (d tensor.DType, why string, err error) {
	l, _ := info.DType.Layout()
	if l.Kind == tensor.Float {
		for _, rule := range r.Rules {
			if rule.matches(&situation{info: info}) {
				return rule.DType, rule.Why, nil
			}
		}
		if !r.Keep && len(info.Shape) > 1 {
			return r.Default, "type " + r.Name, nil
		}
	}
	w, ok := Widened(info.DType)
	switch {
	case !ok:
		return 0, "", &tensor.Error{Op: "recipe", Tensor: info.Name, Err: fmt.Errorf("no ggml type holds %v: %w", info.DType, tensor.ErrUnsupported)}
	case w != info.DType:
		return w, fmt.Sprintf("%v is not a ggml type, %v holds it exactly", info.DType, w), nil
	}
	return w, "kept as it is", nil
}

// FileTypeOf returns general.file_type for a file whose tensors have these
// types: that of the recipe, or for a kept file that of its most frequent
// matrix type. ok is false if none describes it.
func (r *Recipe) FileTypeOf(infos []tensor.Info) (ft uint32, ok bool) {
	if !r.Keep {
		return r.FileType, true
	}
	var most tensor.DType
	bytes := map[tensor.DType]int64{}
	for _, i := range infos {
		n, _ := i.Size()
		if len(i.Shape) < 2 {
			continue
		}
		if bytes[i.DType] += n; bytes[i.DType] > bytes[most] || len(bytes) == 1 {
			most = i.DType
		}
	}
	for _, c := range recipes {
		if !c.Keep && !c.Quantizes() && c.Default == most && len(bytes) > 0 {
			return c.FileType, true
		}
	}
	return 0, false
}
