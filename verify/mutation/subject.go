package mutation

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/verify"
)

// A Subject is a correct conversion.
type Subject struct {
	Pair  verify.Pair
	parts parts

	result *convert.Source
}

// Convert converts src to a file in dir as opt says, and opens it.
func Convert(ctx context.Context, src *convert.Source, dir string, opt convert.Options) (*Subject, error) {
	path := filepath.Join(dir, "result")
	plan, err := convert.NewPlan(ctx, src, path, opt)
	if err != nil {
		return nil, err
	}
	if _, err := plan.Run(ctx, path, convert.RunOptions{Replace: true}); err != nil {
		return nil, err
	}
	mapped, err := convert.Mapped(ctx, src, convert.Options{})
	if err != nil {
		return nil, err
	}
	result, err := convert.Open(path, convert.OpenOptions{})
	if err != nil {
		return nil, err
	}
	s := &Subject{result: result, Pair: verify.Pair{Original: side(src), Canonical: mapped, Configs: src.Configs, Result: side(result)}}
	name := mapped.Model.Meta.Text("general.architecture")
	p, ok := partsOf[name]
	if !ok {
		return nil, errors.Join(fmt.Errorf("mutations of %q: %w", name, tensor.ErrUnsupported), result.Close())
	}
	s.parts = p
	return s, nil
}

// Close closes the result.
func (s *Subject) Close() error { return s.result.Close() }

func side(s *convert.Source) verify.Side {
	side := verify.Side{Name: s.Path, Model: s.Model}
	for _, f := range s.Files {
		side.Files = append(side.Files, verify.File{Path: f.Path, Size: f.Size})
	}
	return side
}

// Slice leaves the first n layers of a llama of transformers.
func Slice(src *convert.Source, n int) error {
	const key = "num_hidden_layers"
	var tensors []*tensor.Tensor
	for _, t := range src.Model.Tensors() {
		_, rest, inLayer := strings.Cut(t.Name, "layers.")
		number, _, _ := strings.Cut(rest, ".")
		if layer, err := strconv.Atoi(number); inLayer && (err != nil || layer >= n) {
			continue
		}
		tensors = append(tensors, t)
	}
	m, err := tensor.NewModel(src.Model.Format, src.Model.Meta, tensors)
	if err != nil {
		return err
	}
	src.Model, src.Configs = m, slices.Clone(src.Configs)
	for i, c := range src.Configs {
		src.Configs[i] = arch.Config{From: c.From, Meta: c.Meta.With(tensor.KV{Key: key, Value: int64(n)})}
	}
	return nil
}

// parts name what mutations touch in the results of an architecture. gate is ""
// where there is none.
type parts struct {
	query, key, value, out string // of layer 1
	gate, up, down         string
	norm, otherNorm        string // of one layer
	finalNorm, embedding   string
	otherKey               string // of layer 2
	layer, otherLayer      string // prefixes of layers 1 and 2
	lastLayer              string // prefix of the layers, without the number
	layerCount, heads      string // keys
	rotary                 bool
	encoding               string // positions, "" if there are none
	bias, otherBias        string // "" if there are none
	convolution            string // "" if there is none
	attention, cross       string // prefixes of the two attentions of one layer, "" if there is one
	hyperparameters        []string
	misspelt, copied       string // names that no tensor has
}

var partsOf = map[string]parts{
	"llama": {
		query: "blk.1.attn_q.weight", key: "blk.1.attn_k.weight", value: "blk.1.attn_v.weight", out: "blk.1.attn_output.weight",
		gate: "blk.1.ffn_gate.weight", up: "blk.1.ffn_up.weight", down: "blk.1.ffn_down.weight",
		norm: "blk.1.attn_norm.weight", otherNorm: "blk.1.ffn_norm.weight", finalNorm: "output_norm.weight", embedding: "token_embd.weight",
		otherKey: "blk.2.attn_k.weight", layer: "blk.1.", otherLayer: "blk.2.", lastLayer: "blk.", layerCount: "llama.block_count",
		heads: "llama.attention.head_count", rotary: true,
		hyperparameters: []string{"llama.block_count", "llama.context_length", "llama.embedding_length", "llama.feed_forward_length",
			"llama.attention.head_count", "llama.attention.head_count_kv", "llama.rope.freq_base", "llama.attention.layer_norm_rms_epsilon",
			"llama.rope.dimension_count", "llama.vocab_size"},
		misspelt: "blk.1.ffn_upp.weight", copied: "blk.1.attn_q.copy.weight",
	},
	"whisper": {
		query: "encoder.blocks.1.attn.query.weight", key: "encoder.blocks.1.attn.key.weight", value: "encoder.blocks.1.attn.value.weight",
		out: "encoder.blocks.1.attn.out.weight", up: "decoder.blocks.1.mlp.0.weight", down: "decoder.blocks.1.mlp.2.weight",
		norm: "decoder.blocks.1.attn_ln.weight", otherNorm: "decoder.blocks.1.mlp_ln.weight", finalNorm: "decoder.ln.weight",
		embedding: "decoder.token_embedding.weight", otherKey: "encoder.blocks.2.attn.key.weight",
		layer: "encoder.blocks.1.", otherLayer: "encoder.blocks.2.", lastLayer: "decoder.blocks.", layerCount: "whisper.decoder.block_count",
		heads: "whisper.encoder.attention.head_count", encoding: "encoder.positional_embedding",
		bias: "decoder.blocks.1.attn.query.bias", otherBias: "decoder.blocks.1.attn.value.bias", convolution: "encoder.conv2.weight",
		attention: "decoder.blocks.1.attn.", cross: "decoder.blocks.1.cross_attn.",
		hyperparameters: []string{"whisper.encoder.context_length", "whisper.encoder.embedding_length", "whisper.encoder.block_count",
			"whisper.encoder.mels_count", "whisper.encoder.attention.head_count", "whisper.decoder.context_length",
			"whisper.decoder.embedding_length", "whisper.decoder.block_count", "whisper.decoder.attention.head_count", "whisper.vocab_size"},
		misspelt: "decoder.blocks.1.mlp.0.weights", copied: "encoder.blocks.1.attn.query.copy",
	},
}
