package quantize

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A Role is what a tensor does in a transformer, as far as recipes care; a set
// of them is their sum.
type Role uint16

// Roles, from the names that llama.cpp gives tensors.
const (
	RoleOutput         Role = 1 << iota // the output matrix, or an embedding that serves as one
	RoleTokenEmbedding                  // of a model with an output matrix of its own
	RoleValue                           // attention values, also fused with queries and keys
	RoleKey
	RoleQuery
	RoleAttentionOutput
	RoleUp
	RoleGate
	RoleDown
	RoleOther

	roleFeedForward = RoleUp | RoleGate | RoleDown
)

type roleName struct {
	role Role
	name string
}

// roleNames is the table of words for roles, in the order in which String
// writes them.
var roleNames = []roleName{
	{RoleOutput, "output"}, {RoleTokenEmbedding, "token_embedding"}, {RoleValue, "value"}, {RoleKey, "key"}, {RoleQuery, "query"},
	{RoleAttentionOutput, "attention_output"}, {RoleUp, "up"}, {RoleGate, "gate"}, {RoleDown, "down"}, {RoleOther, "other"},
}

// String names the roles in r, joined by "|".
func (r Role) String() string {
	var names []string
	for _, n := range roleNames {
		if r&n.role != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, "|")
}

// ParseRole is the reverse of String.
func ParseRole(text string) (r Role, err error) {
	if text == "" {
		return 0, nil
	}
	for _, word := range strings.Split(text, "|") {
		i := slices.IndexFunc(roleNames, func(n roleName) bool { return n.name == strings.TrimSpace(word) })
		if i < 0 {
			return 0, fmt.Errorf("unknown role %q; known: %v: %w", word, Role(1<<16-1), tensor.ErrUnsupported)
		}
		r |= roleNames[i].role
	}
	return r, nil
}

// outputName is the output matrix; embeddings serve as one in models without it.
const outputName = "output.weight"

var embeddingNames = []string{"token_embd.weight", "per_layer_token_embd.weight"}

// roleParts is the table of parts of names that tell roles, tried in order.
// (llama.cpp src/llama-quant.cpp@3f545becc, tensor_get_category)
var roleParts = []struct {
	part string
	role Role
}{
	{"attn_qkv.weight", RoleValue}, {"attn_kv_b.weight", RoleValue}, {"attn_v.weight", RoleValue}, {"attn_k.weight", RoleKey},
	{"attn_q.weight", RoleQuery}, {"attn_output.weight", RoleAttentionOutput},
	{"ffn_up", RoleUp}, {"ffn_gate", RoleGate}, {"ffn_down", RoleDown},
}

// roleOf returns the role of the tensor called name, RoleTokenEmbedding for an
// embedding whether it serves as output or not.
func roleOf(name string) Role {
	if name == outputName {
		return RoleOutput
	}
	if slices.Contains(embeddingNames, name) {
		return RoleTokenEmbedding
	}
	for _, p := range roleParts {
		if strings.Contains(name, p.part) {
			return p.role
		}
	}
	return RoleOther
}

// layerOf returns N of a name that starts with "blk.N."; ok is false for others.
func layerOf(name string) (n int, ok bool) {
	rest, ok := strings.CutPrefix(name, "blk.")
	if !ok {
		return -1, false
	}
	digits, _, ok := strings.Cut(rest, ".")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 {
		return -1, false
	}
	return n, true
}
