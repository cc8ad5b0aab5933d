// Package origin computes what the programs compute that models were made with:
// openai/whisper, Meta's llama, karpathy's llama2.c and Hugging Face's
// transformers. It is the second opinion that a converted model is compared
// with.
//
// It is written from the code of those programs. It finds the checkpoint's own
// names, reads the checkpoint's own settings and follows the checkpoint's own
// order of rotated elements, and shares nothing of that with the tables that
// conversion uses, because a wrong table can only be found by something that
// does not use it. What it does not know it refuses.
//
// Activations are float32, as in the programs. Every sum is one float64 sum in
// the order of its index: the products of float32 numbers are exact in float64,
// so a matrix product of K terms is within (K-1)·2⁻⁵³ of exact relative to the
// sum of its terms' magnitudes, plus the rounding of the result to float32, and
// has the same bits for any number of workers.
package origin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// ErrUnknown says that the names are of no program that this package repeats. A
// GGUF file has its converter's names, so there is nothing to repeat.
var ErrUnknown = errors.New("no names of a program that is known")

// Options say what else is known about a checkpoint. The zero value is a
// checkpoint that states everything itself.
type Options struct {
	// Configs are the configuration files beside the checkpoint, nested keys
	// joined with dots: config.json, params.json. Earlier ones come first.
	Configs []tensor.Meta
	// Root is the module that the network is, such as "ema" in a checkpoint that
	// holds several; "." is the top and "" the only network.
	Root string
	// Workers is how many goroutines compute; 0 is one a processor.
	Workers int
}

// A Network is a *Llama or a *Whisper.
type Network interface {
	// Program names the program whose code is repeated.
	Program() string
}

// A naming is one program's names: how its networks are recognised and built.
type naming struct {
	program string
	// anchors are parameters that every network of the program has; the first
	// part of each is a child of the network itself.
	anchors []string
	build   func(c *checkpoint) (Network, error)
}

// namings lists the programs. Where two recognise one network the first is
// right: those that save a network with its head come before those that leave
// the head out.
var namings = []naming{
	{"llama2.c or Meta's llama", []string{"tok_embeddings.weight", "layers.0.attention.wq.weight", "norm.weight"}, metaLlama.build},
	{"transformers LlamaForCausalLM", []string{"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.norm.weight"}, hfLlama.build},
	{"transformers LlamaModel", []string{"embed_tokens.weight", "layers.0.self_attn.q_proj.weight", "norm.weight"}, hfLlama.bare().build},
	{"openai/whisper", []string{"encoder.conv1.weight", "encoder.blocks.0.attn.query.weight", "decoder.token_embedding.weight"}, openaiWhisper.build},
	{"transformers WhisperForConditionalGeneration", []string{"model.encoder.conv1.weight", "model.decoder.embed_tokens.weight"}, hfWhisper.build},
	{"transformers WhisperModel", []string{"encoder.conv1.weight", "decoder.embed_tokens.weight"}, hfWhisper.bare().build},
}

// A checkpoint is a network in a file, not built yet.
type checkpoint struct {
	naming   naming
	root     *module
	settings settings
	workers  int
}

// Open finds the network in m, which has the names of the file it was read
// from. It fails with ErrUnknown if no program is known that has these names,
// and otherwise with all that the network lacks, be it parameters or settings.
func Open(m *tensor.Model, opt Options) (Network, error) {
	top := newTree(m)
	found := find(top, opt.Root)
	fail := func(err error) (Network, error) {
		return nil, &tensor.Error{Op: "read the original network", File: fileOf(m), Err: err}
	}
	switch len(found) {
	case 0:
		return fail(fmt.Errorf("%d tensors: %w", len(m.Tensors()), ErrUnknown))
	case 1:
	default:
		var at []string
		for _, c := range found {
			at = append(at, fmt.Sprintf("%q (%s)", c.root.path, c.naming.program))
		}
		return fail(fmt.Errorf("several networks, name one as root: %s: %w", strings.Join(at, ", "), tensor.ErrUnsupported))
	}
	c := found[0]
	c.settings = newSettings(m.Meta, opt.Configs)
	c.workers = workers(opt.Workers)
	n, err := c.naming.build(c)
	if err != nil {
		return fail(fmt.Errorf("%s: %w", c.naming.program, err))
	}
	return n, nil
}

// find returns the networks under top, or at root only. Two modules that lead
// to one embedding are one network: the inner one, unless only the outer one has
// the head.
func find(top *module, root string) []*checkpoint {
	var found []*checkpoint
	seen := map[*module]int{} // index in found by the first anchor's module
	for i, n := range namings {
		top.walk(func(m *module) {
			first := n.match(m)
			if first == nil || root != "" && root != m.path && (root != "." || m != top) {
				return
			}
			at, again := seen[first]
			switch {
			case !again:
				seen[first] = len(found)
				found = append(found, &checkpoint{naming: namings[i], root: m})
			case found[at].naming.program == n.program:
				found[at].root = m // walk goes inwards
			}
		})
	}
	return found
}

// match returns the module of the first anchor, nil if m is no such network.
func (n naming) match(m *module) *module {
	var first *module
	for _, a := range n.anchors {
		head, _, _ := strings.Cut(a, ".")
		p := m.at(a)
		if m.children[head] == nil || p == nil || p.tensor == nil {
			return nil
		}
		if first == nil {
			first = p
		}
	}
	return first
}

// fileOf returns the file that m was read from, "" if it has no tensors.
func fileOf(m *tensor.Model) string {
	if len(m.Tensors()) == 0 {
		return ""
	}
	return m.Tensors()[0].Origin.File
}
