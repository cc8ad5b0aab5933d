package quantize

import (
	"maps"
	glob "path"
	"slices"

	"github.com/smelt-project/smelt/tensor"
)

// A Condition is a fact about a model or a tensor's place in it that a rule may
// ask for.
type Condition string

// The conditions; conditions says what each means.
const (
	SharedValues    Condition = "gqa>=4"
	EightExperts    Condition = "experts=8"
	ManyExperts     Condition = "experts>=4"
	Not8Experts     Condition = "experts!=8"
	Class70B        Condition = "70B"
	Falcon          Condition = "falcon"
	NotFalcon       Condition = "not falcon"
	NotBailingMoE3  Condition = "not bailingmoe3"
	WithImportance  Condition = "imatrix"
	NoImportance    Condition = "no imatrix"
	FirstEighth     Condition = "first 1/8"
	FirstSixteenth  Condition = "first 1/16"
	FirstEighthSeen Condition = "first 1/8 seen"
	Middle          Condition = "middle 3/4"
	Spread          Condition = "spread"
	FirstTwo        Condition = "first 2"
	FirstFour       Condition = "first 4"
	Stacked         Condition = "stacked"
	Undivided       Condition = "row not whole blocks"
)

// A situation is all that conditions look at.
type situation struct {
	facts      Facts
	info       tensor.Info
	role       Role
	importance bool         // there is an importance matrix
	block      tensor.DType // the recipe's default
	// layer of layers: for values the count of values before it, of all values;
	// for the feed-forward layers their place in the model.
	layer, layers int
	seen          int // tensors of the role before this one
}

// conditions is the table of what conditions mean. Divisions round down.
// (llama.cpp src/llama-quant.cpp@3f545becc, llama_tensor_get_type_impl)
var conditions = map[Condition]struct {
	about string
	holds func(s *situation) bool
}{
	SharedValues:   {"four or more heads share keys and values", func(s *situation) bool { return s.facts.headsPerKV() >= 4 }},
	EightExperts:   {"the model has eight experts, as Mixtral", func(s *situation) bool { return s.facts.Experts == 8 }},
	ManyExperts:    {"the model has four experts or more", func(s *situation) bool { return s.facts.Experts >= 4 }},
	Not8Experts:    {"the model has not eight experts", func(s *situation) bool { return s.facts.Experts != 8 }},
	Class70B:       {"a model of the shape of Llama 70B", func(s *situation) bool { return s.facts.is70B() }},
	Falcon:         {"architecture falcon", func(s *situation) bool { return s.facts.Arch == "falcon" }},
	NotFalcon:      {"another architecture than falcon", func(s *situation) bool { return s.facts.Arch != "falcon" }},
	NotBailingMoE3: {"another architecture than bailingmoe3", func(s *situation) bool { return s.facts.Arch != "bailingmoe3" }},
	WithImportance: {"an importance matrix is given", func(s *situation) bool { return s.importance }},
	NoImportance:   {"no importance matrix is given", func(s *situation) bool { return !s.importance }},
	FirstEighth:    {"in the first eighth of the layers", func(s *situation) bool { return s.layer < s.layers/8 }},
	FirstSixteenth: {"in the first sixteenth of the layers", func(s *situation) bool { return s.layer < s.layers/16 }},
	FirstEighthSeen: {"among the first of its kind, as many as an eighth of the layers",
		func(s *situation) bool { return s.seen < s.layers/8 }},
	Middle:    {"in neither the first nor the last eighth of the layers", func(s *situation) bool { return s.layer >= s.layers/8 && s.layer < 7*s.layers/8 }},
	Spread:    {"in the first or last eighth of the layers, or every third between", spread},
	FirstTwo:  {"in the first two layers", func(s *situation) bool { return s.layer < 2 }},
	FirstFour: {"in the first four layers", func(s *situation) bool { return s.layer < 4 }},
	Stacked:   {"a stack of matrices, such as experts", func(s *situation) bool { return depth(s.info.Shape) > 1 }},
	Undivided: {"rows are not whole blocks of the recipe's type", func(s *situation) bool {
		l, _ := s.block.Layout()
		return s.info.Shape.Row()%l.Elems != 0
	}},
}

func spread(s *situation) bool {
	return s.layer < s.layers/8 || s.layer >= 7*s.layers/8 || (s.layer-s.layers/8)%3 == 2
}

// depth is how many matrices are stacked in the third dimension from the last.
func depth(s tensor.Shape) int {
	if len(s) < 3 {
		return 1
	}
	return s[len(s)-3]
}

// About says in words what c asks for; ok is false if there is no such condition.
func (c Condition) About() (about string, ok bool) {
	row, ok := conditions[c]
	return row.about, ok
}

// Conditions lists all conditions, sorted.
func Conditions() []Condition { return slices.Sorted(maps.Keys(conditions)) }

func (r Rule) matches(s *situation) bool {
	if r.Role != 0 && r.Role&s.role == 0 || r.MaxRank > 0 && len(s.info.Shape) > r.MaxRank {
		return false
	}
	for _, c := range r.When {
		if !conditions[c].holds(s) {
			return false
		}
	}
	if r.Pattern == "" {
		return true
	}
	ok, err := glob.Match(r.Pattern, s.info.Name)
	return err == nil && ok
}
