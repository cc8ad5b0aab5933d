package quantize

import (
	"fmt"
	"path"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A Recipe chooses the stored type of each tensor; the first rule that matches
// decides and says why.
type Recipe struct {
	Name string
	// FileType is general.file_type (llama.cpp include/llama.h, enum llama_ftype).
	FileType uint32
	// GGMLFileType is the ftype of a ggml .bin (ggml.h, enum ggml_ftype).
	GGMLFileType int32
	// Default is the type of tensors that no rule matches.
	Default tensor.DType
	// Keep: tensors that no rule matches stay as they are, Default is not used.
	Keep  bool
	Rules []Rule
}

// A Rule is one line of a recipe. It matches floating-point tensors whose name
// fits Pattern and whose rank is at most MaxRank.
type Rule struct {
	Pattern string // as in path.Match, over the whole name; "" fits every name
	MaxRank int    // 0: any
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

var recipes = []Recipe{
	{Name: "f32", FileType: 0, GGMLFileType: 0, Default: tensor.F32, Rules: runtimeRules},
	{Name: "f16", FileType: 1, GGMLFileType: 1, Default: tensor.F16, Rules: runtimeRules},
	{Name: "bf16", FileType: 32, GGMLFileType: 24, Default: tensor.BF16, Rules: runtimeRules},
	{Name: "keep", Keep: true, Rules: runtimeRules},
}

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
	for i := range recipes {
		if strings.EqualFold(recipes[i].Name, name) {
			return &recipes[i], nil
		}
	}
	return nil, fmt.Errorf("unknown type %q; known: %s: %w", name, strings.Join(RecipeNames(), ", "), tensor.ErrUnsupported)
}

// WithoutRules returns r with no rule but its default, for models whose runtime
// is not known.
func (r Recipe) WithoutRules() *Recipe {
	r.Rules = nil
	return &r
}

// Choose returns the stored type of a tensor and the reason. Only
// floating-point tensors change their precision; other types that ggml files
// cannot hold are widened without loss.
func (r *Recipe) Choose(info tensor.Info) (d tensor.DType, why string, err error) {
	l, _ := info.DType.Layout()
	if l.Kind == tensor.Float {
		for _, rule := range r.Rules {
			if rule.matches(info) {
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

func (r Rule) matches(info tensor.Info) bool {
	if r.MaxRank > 0 && len(info.Shape) > r.MaxRank {
		return false
	}
	if r.Pattern == "" {
		return true
	}
	ok, err := path.Match(r.Pattern, info.Name)
	return err == nil && ok
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
		if !c.Keep && c.Default == most && len(bytes) > 0 {
			return c.FileType, true
		}
	}
	return 0, false
}
