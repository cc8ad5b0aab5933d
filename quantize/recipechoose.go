package quantize

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A Mix says how a recipe is applied. The zero value applies it as it is.
type Mix struct {
	Pure        bool       // the recipe's default everywhere, without its rules
	LeaveOutput bool       // output.weight stays as it is
	Overrides   []Override // the first that fits decides
	// Importance: there is an importance matrix; some rules depend on it.
	Importance bool
	// Requantize: tensors that are quantized already may be quantized again.
	Requantize bool
	// NoFallback: rows that a type does not divide are an error.
	NoFallback bool
	// Canonical: the tensors are those of a file that runs; what is not quantized
	// stays as it is. Otherwise vectors, norms and positions become F32.
	Canonical bool
	// AnyName: names tell nothing; every matrix may be quantized.
	AnyName bool
}

// An Override stores some tensors as another type than the recipe's. Those of a
// role go before those of a pattern.
type Override struct {
	Role    Role           // RoleOutput or RoleTokenEmbedding, 0 if Pattern is given
	Pattern *regexp.Regexp // matches in any part of the name
	DType   tensor.DType
}

// A Choice is the stored type of one tensor, and why.
type Choice struct {
	DType tensor.DType
	Why   string
	// Fallback says why it is not the type that was meant; "" if it is.
	Fallback string
	// NeedsImportance: the type is useless, or llama.cpp refuses to make it,
	// without an importance matrix for the tensor.
	NeedsImportance bool
	// Default: nothing decided but the recipe's default type.
	Default bool
}

// A FallbackError lists the tensors whose rows their type does not divide.
type FallbackError struct {
	Recipe  string
	Tensors []string // each with its reason
}

// Error names the tensors.
func (e *FallbackError) Error() string {
	return fmt.Sprintf("%s does not fit %d tensors, and no fallback is allowed: %s", e.Recipe, len(e.Tensors), list(e.Tensors))
}

// A RequantizeError lists tensors that are quantized already.
type RequantizeError struct{ Tensors []string }

// Error names the tensors.
func (e *RequantizeError) Error() string {
	return fmt.Sprintf("%d tensors are quantized already, and quantizing them again adds error to error; use the original model, or allow it: %s", len(e.Tensors), list(e.Tensors))
}

// list joins the first of names and counts the others.
func list(names []string) string {
	const show = 5
	if len(names) <= show {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:show], ", "), len(names)-show)
}

// ChooseAll returns the stored type of each tensor of a model. A recipe that
// quantizes looks at all of them together: rules count the tensors of a role in
// the order of layers and, inside one, of names, whatever the order of infos.
func (r *Recipe) ChooseAll(facts Facts, infos []tensor.Info, how Mix) ([]Choice, error) {
	c := &chooser{recipe: r, facts: facts, how: how, tied: true, choices: make([]Choice, len(infos))}
	c.survey(infos)
	var errs []error
	for _, i := range inLayerOrder(infos) {
		choice, err := c.choose(infos[i])
		if err != nil {
			errs = append(errs, err)
		}
		c.choices[i] = choice
	}
	if len(c.quantized) > 0 {
		errs = append(errs, &RequantizeError{c.quantized})
	}
	if how.NoFallback && len(c.fellBack) > 0 {
		errs = append(errs, &FallbackError{r.Name, c.fellBack})
	}
	return c.choices, errors.Join(errs...)
}

// A chooser is the state of one ChooseAll.
type chooser struct {
	recipe  *Recipe
	facts   Facts
	how     Mix
	tied    bool         // there is no output matrix
	values  int          // tensors with RoleValue
	seen    map[Role]int // tensors that the rules have been asked about
	choices []Choice

	quantized, fellBack []string
}

// survey counts what rules ask about the whole model.
func (c *chooser) survey(infos []tensor.Info) {
	c.seen = map[Role]int{}
	layers := 0
	for _, info := range infos {
		if n, ok := layerOf(info.Name); ok {
			layers = max(layers, n+1)
		}
		switch roleOf(info.Name) {
		case RoleOutput:
			c.tied = false
		case RoleValue:
			c.values++
		}
	}
	if c.facts.Layers == 0 {
		c.facts.Layers = layers
	}
}

// inLayerOrder returns the indices of infos in llama.cpp's order: what is in no
// layer first, then by layer, by name in each.
// (llama.cpp src/llama-model-loader.h@3f545becc, weight_name_comparer)
func inLayerOrder(infos []tensor.Info) []int {
	order := make([]int, len(infos))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, _ := layerOf(infos[a].Name)
		y, _ := layerOf(infos[b].Name)
		return cmp.Or(cmp.Compare(x, y), strings.Compare(infos[a].Name, infos[b].Name))
	})
	return order
}

func (c *chooser) choose(info tensor.Info) (Choice, error) {
	if !c.mayChange(info) {
		return c.unchanged(info)
	}
	choice, err := c.meant(info)
	if err != nil {
		return Choice{}, err
	}
	if isBlock(info.DType) && choice.DType != info.DType && !c.how.Requantize {
		c.quantized = append(c.quantized, fmt.Sprintf("%s (%v)", info.Name, info.DType))
	}
	choice.DType, choice.Fallback = fallback(choice.DType, info.Shape.Row())
	if choice.Fallback != "" {
		c.fellBack = append(c.fellBack, fmt.Sprintf("%s (%s)", info.Name, choice.Fallback))
	}
	choice.NeedsImportance = c.needsImportance(info.Name, choice.DType)
	return choice, nil
}

// mayChange reports whether the type of a tensor is the recipe's to choose.
func (c *chooser) mayChange(info tensor.Info) bool {
	l, _ := info.DType.Layout()
	switch {
	case c.recipe.Keep || l.Kind != tensor.Float && l.Kind != tensor.Block:
		return false
	case !c.recipe.Quantizes():
		return l.Kind == tensor.Block && c.how.Requantize
	case c.how.LeaveOutput && info.Name == outputName:
		return false
	}
	return c.how.AnyName && matrixRank(info.Shape) > 1 || changeable(info)
}

// unchanged returns the type of what the recipe leaves alone.
func (c *chooser) unchanged(info tensor.Info) (Choice, error) {
	r := *c.recipe
	if r.Quantizes() {
		r = Recipe{Name: r.Name, Keep: true, Rules: runtimeRules}
		if c.how.Canonical {
			r.Rules = nil
		}
	}
	d, why, err := r.Choose(info)
	return Choice{DType: d, Why: why}, err
}

// meant returns the type for a tensor before its row is looked at.
func (c *chooser) meant(info tensor.Info) (Choice, error) {
	role := roleOf(info.Name)
	for _, o := range c.how.Overrides {
		if o.Role != 0 && o.Role == role {
			return Choice{DType: o.DType, Why: "asked for " + role.String()}, nil
		}
	}
	if !c.recipe.Quantizes() {
		return Choice{DType: c.recipe.Default, Why: "type " + c.recipe.Name, Default: true}, nil
	}
	for _, o := range c.how.Overrides {
		if o.Pattern != nil && o.Pattern.MatchString(info.Name) {
			return Choice{DType: o.DType, Why: fmt.Sprintf("asked for names like %q", o.Pattern)}, nil
		}
	}
	if c.how.Pure {
		return Choice{DType: c.recipe.Default, Why: "type " + c.recipe.Name + ", pure"}, nil
	}
	return c.byRule(info, role)
}

// byRule asks the recipe's rules.
func (c *chooser) byRule(info tensor.Info, role Role) (Choice, error) {
	if role == RoleTokenEmbedding && c.tied {
		role = RoleOutput
		for _, o := range c.how.Overrides {
			if o.Role == RoleOutput {
				return Choice{DType: o.DType, Why: "asked for output, which is the embedding"}, nil
			}
		}
	}
	s := situation{facts: c.facts, info: info, role: role, importance: c.how.Importance, block: c.recipe.Default, seen: c.seen[role]}
	c.seen[role]++
	if err := c.locate(&s); err != nil {
		return Choice{}, err
	}
	for _, rule := range c.recipe.Rules {
		if rule.matches(&s) {
			return Choice{DType: rule.DType, Why: rule.Why}, nil
		}
	}
	return Choice{DType: c.recipe.Default, Why: "type " + c.recipe.Name, Default: true}, nil
}

// locate finds the place of a tensor among those of its role. With experts, a
// layer may have several, and its number is taken from the name.
func (c *chooser) locate(s *situation) error {
	s.layer, s.layers = s.seen, c.facts.Layers
	if s.role == RoleValue {
		s.layers = c.values
	}
	if s.role&roleFeedForward == 0 || c.facts.Experts <= 1 {
		return nil
	}
	n, ok := layerOf(s.info.Name)
	if !ok || n >= s.layers {
		return &tensor.Error{Op: "recipe", Tensor: s.info.Name, Err: fmt.Errorf("layer %d of a model of %d layers with experts: %w", n, s.layers, tensor.ErrCorrupt)}
	}
	s.layer = n
	return nil
}

// needsImportance follows llama.cpp src/llama-quant.cpp@3f545becc,
// tensor_requires_imatrix: no matrix covers embeddings and the output.
func (c *chooser) needsImportance(name string, d tensor.DType) bool {
	if roleOf(name)&(RoleOutput|RoleTokenEmbedding) != 0 {
		return false
	}
	return importanceTypes[d] || slices.Contains(c.recipe.NeedsImportance, d)
}

var importanceTypes = map[tensor.DType]bool{
	tensor.IQ3XXS: true, tensor.IQ2XXS: true, tensor.IQ2XS: true, tensor.IQ2S: true, tensor.IQ1M: true, tensor.IQ1S: true,
}

// changeable reports whether llama.cpp quantizes a tensor: matrices of weights,
// but for those that unchangeable lists.
// (llama.cpp src/llama-quant.cpp@3f545becc, tensor_allows_quantization)
func changeable(info tensor.Info) bool {
	if matrixRank(info.Shape) < 2 || !strings.HasSuffix(info.Name, "weight") {
		return false
	}
	for _, u := range unchangeable {
		if strings.Contains(info.Name, u) {
			return false
		}
	}
	return info.Name != "position_embd.weight" && info.Name != "token_types.weight"
}

// matrixRank is the rank without outer dimensions of 1, which ggml does not count.
func matrixRank(s tensor.Shape) int {
	for len(s) > 0 && s[0] == 1 {
		s = s[1:]
	}
	return len(s)
}

// unchangeable lists parts of names of matrices that are too small or too
// delicate to be quantized.
var unchangeable = []string{
	"_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj",
	"ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight",
	"time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight",
	"time_mix_v2.weight", "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight", "time_mix_g2.weight",
	"time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight",
	"attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger",
	"a.rvq.codebook", "mm.a.code_embd",
}
