// Package arch knows neural-network architectures: what their tensors are
// called by the programs that write checkpoints, which shapes they have, where
// their hyperparameters are kept, and what llama.cpp and whisper.cpp call all
// of these.
//
// An architecture is a table, a [Spec]; adding one is one file with the table
// and one row in [Specs]. [Detect] finds which architecture a checkpoint holds,
// [Match.Canonical] gives its tensors and metadata the names that a GGUF file
// has, and [Generic] keeps everything as it is for architectures that no table
// describes. This is the only package that knows source names; it matches whole
// names and never replaces parts of them.
package arch

import "github.com/smelt-project/smelt/tensor"

// A Spec describes one architecture: which names its checkpoints use, what its
// tensors and hyperparameters are. Specs are data; other code that tests an
// architecture's name is a bug.
type Spec struct {
	Name        string       // value of general.architecture and first part of the keys
	Conventions []Convention // in the order in which they are tried
	Hypers      []Hyper      // in the order in which keys are written
	Rules       []Rule       // in the order in which tensors are written
	Drops       []Drop
}

// A Convention is one way in which programs name an architecture's tensors and
// hyperparameters.
type Convention struct {
	Name   string // "huggingface"
	Title  string // "Hugging Face transformers"
	Column int    // which entry of Rule.From, Drop.From and Hyper.Aliases is its own
	// Root is the first part of most names when the network is saved with its
	// head ("model"), and missing when the bare network is saved.
	Root string
	// Group lists keys that together identify a group of hyperparameters.
	Group []string
	// Inside: the checkpoint itself holds such a group, which tells this
	// convention from another of the same column.
	Inside bool
	// Ranks: a model may be split into one file per tensor-parallel rank.
	Ranks  bool
	Guards []Guard
}

// A Guard is a setting whose value decides whether a model is of this
// architecture at all. Values are compared as text.
type Guard struct {
	Keys     []string // a key that ends in ".*" stands for everything below it
	Allow    []string // other values are refused
	Why      string
	Required bool // the names alone are not proof: one of Keys must be there
}

// A Type is how a hyperparameter is stored.
type Type uint8

// The types of hyperparameters.
const (
	Count Type = iota // a positive integer, stored as uint32
	Real              // stored as float32
	Text
	Flag // true or false; never stored
)

// A Hyper is one hyperparameter. Its value comes from the checkpoint, else from
// the shapes that it is a dimension of, else from configuration files, else
// from the first default that applies.
type Hyper struct {
	Symbol   string     // how shapes, views and other hyperparameters refer to it
	Key      string     // "<spec>.<Key>" in the output; "" if it is not written
	Type     Type       //
	Aliases  [][]string // keys in configurations, by column; earlier ones win
	Unset    float64    // a value that stands for "not stated", unless 0
	When     Cond       // the key is written and needed only then
	Optional bool       // missing is no error
	Divides  string     // symbol of a count that this one must divide
	Defaults []Default
}

// A Cond holds if the value of Symbol, as text, is one of In. The zero Cond
// always holds.
type Cond struct {
	Symbol string
	In     []string
}

// A Default gives a hyperparameter that nothing states. Of returns nil if it
// does not apply.
type Default struct {
	Convention string // "" for every convention
	Of         func(*Values) (any, error)
	From       string // what to tell the user about the origin
}

// A Rule makes one tensor, or one for every layer if its names have {n}.
type Rule struct {
	Name   string   // canonical: "blk.{n}.attn_q.weight"
	From   []Source // by column; an empty name if the convention lacks the tensor
	Shape  []string // products of symbols and numbers such as "4*n_state"; outermost first
	Layers string   // symbol that counts the layers
	// Split lists the dimensions along which tensor-parallel ranks may divide
	// the tensor; if more than one, shapes decide. Empty: every rank has it all.
	Split    []int
	If       string // a Flag: the tensor is there if and only if it is true
	Optional bool
	// TiedTo names the canonical tensor that stands in for this one if it is
	// missing or equal; TiedIf is the Flag that forbids this when it is false
	// and asserts it when it is true.
	TiedTo, TiedIf string
	// Make computes a tensor that no source holds; nil if the model has none.
	Make func(*Values) (*tensor.Tensor, error)
	Why  string // what Make does
}

// A Source is a tensor's name in one convention and how to rearrange it.
type Source struct {
	Name string
	View *View
}

// A View rearranges a tensor without copying it.
type View struct {
	Why   string
	Apply func(*tensor.Tensor, *Values) (*tensor.Tensor, error)
}

// A Drop is a tensor that is left out.
type Drop struct {
	From []string // by column
	Why  string
	// Equal names the canonical tensor that the dropped one must equal; ""
	// if it may hold anything.
	Equal string
}

// tables lists the architectures.
func tables() []*Spec { return []*Spec{llama(), whisper()} }

// ByName returns the Spec called name.
func ByName(name string) (*Spec, bool) {
	for _, s := range Specs() {
		if s.Name == name {
			return s, true
		}
	}
	return nil, false
}

// from lists a tensor's names by column.
func from(names ...string) []Source {
	out := make([]Source, len(names))
	for i, n := range names {
		out[i].Name = n
	}
	return out
}

// constant is a default that does not depend on anything.
func constant(v any) func(*Values) (any, error) {
	return func(*Values) (any, error) { return v, nil }
}

// same is the default of a hyperparameter that equals another.
func same(symbol string) func(*Values) (any, error) {
	return func(v *Values) (any, error) {
		if n, ok := v.Count(symbol); ok {
			return int64(n), nil
		}
		return nil, nil
	}
}
