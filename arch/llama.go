package arch

import (
	"fmt"

	"github.com/smelt-project/smelt/tensor"
)

// Columns of the llama tables.
const (
	metaNames = iota
	hfNames
)

// llama is the table of Llama 1, 2 and 3 and of models of the same shape.
// Names and keys: llama.cpp conversion/llama.py and conversion/base.py;
// gguf-py/gguf/tensor_mapping.py. Meta: llama model.py; llama2.c model.py;
// transformers models/llama and models/mistral.
//
// Meta's programs rotate neighbouring elements of a head, transformers rotates
// its two halves; GGUF files of this architecture have Meta's order.
func llama() *Spec {
	q, k := interleaved("n_head"), interleaved("n_head_kv")
	return &Spec{
		Name: "llama",
		Conventions: []Convention{
			{Name: "llama2.c", Title: "llama2.c checkpoint", Column: metaNames,
				Group: []string{"dim", "n_layers", "n_heads"}, Inside: true, Guards: metaGuards()},
			{Name: "meta", Title: "Meta's consolidated files", Column: metaNames,
				Group: []string{"dim", "n_layers", "n_heads"}, Ranks: true, Guards: metaGuards()},
			{Name: "huggingface", Title: "Hugging Face transformers", Column: hfNames, Root: "model",
				Group: []string{"hidden_size", "num_hidden_layers", "num_attention_heads"}, Guards: hfLlamaGuards()},
		},
		Hypers: llamaHypers(),
		Rules: []Rule{
			{Name: "rope_freqs.weight", From: from("", ""), Make: ropeFactors,
				Why: "computed from the llama3 rotary scaling"},
			{Name: "token_embd.weight", From: from("tok_embeddings.weight", "model.embed_tokens.weight"),
				Shape: []string{"n_vocab", "n_embd"}, Split: []int{1, 0}},

			{Name: "blk.{n}.attn_norm.weight", From: from("layers.{n}.attention_norm.weight", "model.layers.{n}.input_layernorm.weight"),
				Shape: []string{"n_embd"}, Layers: "n_layer"},
			{Name: "blk.{n}.attn_q.weight", From: []Source{{Name: "layers.{n}.attention.wq.weight"}, {"model.layers.{n}.self_attn.q_proj.weight", q}},
				Shape: []string{"n_head*head_dim", "n_embd"}, Layers: "n_layer", Split: []int{0}},
			{Name: "blk.{n}.attn_q.bias", From: []Source{{}, {"model.layers.{n}.self_attn.q_proj.bias", q}},
				Shape: []string{"n_head*head_dim"}, Layers: "n_layer", If: "attention_bias"},
			{Name: "blk.{n}.attn_k.weight", From: []Source{{Name: "layers.{n}.attention.wk.weight"}, {"model.layers.{n}.self_attn.k_proj.weight", k}},
				Shape: []string{"n_head_kv*head_dim", "n_embd"}, Layers: "n_layer", Split: []int{0}},
			{Name: "blk.{n}.attn_k.bias", From: []Source{{}, {"model.layers.{n}.self_attn.k_proj.bias", k}},
				Shape: []string{"n_head_kv*head_dim"}, Layers: "n_layer", If: "attention_bias"},
			{Name: "blk.{n}.attn_v.weight", From: from("layers.{n}.attention.wv.weight", "model.layers.{n}.self_attn.v_proj.weight"),
				Shape: []string{"n_head_kv*head_dim", "n_embd"}, Layers: "n_layer", Split: []int{0}},
			{Name: "blk.{n}.attn_v.bias", From: from("", "model.layers.{n}.self_attn.v_proj.bias"),
				Shape: []string{"n_head_kv*head_dim"}, Layers: "n_layer", If: "attention_bias"},
			{Name: "blk.{n}.attn_output.weight", From: from("layers.{n}.attention.wo.weight", "model.layers.{n}.self_attn.o_proj.weight"),
				Shape: []string{"n_embd", "n_head*head_dim"}, Layers: "n_layer", Split: []int{1}},
			{Name: "blk.{n}.attn_output.bias", From: from("", "model.layers.{n}.self_attn.o_proj.bias"),
				Shape: []string{"n_embd"}, Layers: "n_layer", If: "attention_bias"},
			{Name: "blk.{n}.ffn_norm.weight", From: from("layers.{n}.ffn_norm.weight", "model.layers.{n}.post_attention_layernorm.weight"),
				Shape: []string{"n_embd"}, Layers: "n_layer"},
			{Name: "blk.{n}.ffn_gate.weight", From: from("layers.{n}.feed_forward.w1.weight", "model.layers.{n}.mlp.gate_proj.weight"),
				Shape: []string{"n_ff", "n_embd"}, Layers: "n_layer", Split: []int{0}},
			{Name: "blk.{n}.ffn_gate.bias", From: from("", "model.layers.{n}.mlp.gate_proj.bias"),
				Shape: []string{"n_ff"}, Layers: "n_layer", If: "mlp_bias"},
			{Name: "blk.{n}.ffn_up.weight", From: from("layers.{n}.feed_forward.w3.weight", "model.layers.{n}.mlp.up_proj.weight"),
				Shape: []string{"n_ff", "n_embd"}, Layers: "n_layer", Split: []int{0}},
			{Name: "blk.{n}.ffn_up.bias", From: from("", "model.layers.{n}.mlp.up_proj.bias"),
				Shape: []string{"n_ff"}, Layers: "n_layer", If: "mlp_bias"},
			{Name: "blk.{n}.ffn_down.weight", From: from("layers.{n}.feed_forward.w2.weight", "model.layers.{n}.mlp.down_proj.weight"),
				Shape: []string{"n_embd", "n_ff"}, Layers: "n_layer", Split: []int{1}},
			{Name: "blk.{n}.ffn_down.bias", From: from("", "model.layers.{n}.mlp.down_proj.bias"),
				Shape: []string{"n_embd"}, Layers: "n_layer", If: "mlp_bias"},

			{Name: "output_norm.weight", From: from("norm.weight", "model.norm.weight"), Shape: []string{"n_embd"}},
			{Name: "output.weight", From: from("output.weight", "lm_head.weight"), Shape: []string{"n_vocab", "n_embd"},
				Split: []int{0}, Optional: true, TiedTo: "token_embd.weight", TiedIf: "tied"},
		},
		Drops: []Drop{
			{From: []string{"rope.freqs", "model.rotary_emb.inv_freq"}, Why: rotaryBuffer},
			{From: []string{"layers.{n}.attention.inner_attention.rope.freqs", "model.layers.{n}.self_attn.rotary_emb.inv_freq"}, Why: rotaryBuffer},
			{From: []string{"freqs_cos", "model.rotary_emb.original_inv_freq"}, Why: rotaryBuffer},
			{From: []string{"freqs_sin", ""}, Why: rotaryBuffer},
			{From: []string{"freqs_cis", ""}, Why: rotaryBuffer},
			{From: []string{"layers.{n}.attention.mask", "model.layers.{n}.self_attn.bias"}, Why: "the causal mask, which runtimes compute"},
			{From: []string{"mask", "model.layers.{n}.self_attn.masked_bias"}, Why: "the causal mask, which runtimes compute"},
		},
	}
}

const rotaryBuffer = "rotary frequencies, which runtimes compute"

// llamaHypers lists the keys in the order of llama.cpp's TextModel.set_gguf_parameters
// (conversion/base.py) and LlamaModel.set_gguf_parameters (conversion/llama.py).
func llamaHypers() []Hyper {
	scaled := func(types ...string) Cond { return Cond{"rope_type", types} }
	return []Hyper{
		{Symbol: "n_layer", Key: "block_count", Aliases: [][]string{{"n_layers"}, {"num_hidden_layers"}}},
		{Symbol: "n_ctx", Key: "context_length", Aliases: [][]string{{"max_seq_len"}, {"max_position_embeddings", "max_sequence_length"}},
			Defaults: []Default{{Convention: "meta", Of: metaContext,
				From: "assumed from the other parameters, because Meta's files do not state it; set max_seq_len with --config"}}},
		{Symbol: "n_embd", Key: "embedding_length", Aliases: [][]string{{"dim"}, {"hidden_size"}}},
		{Symbol: "n_ff", Key: "feed_forward_length", Aliases: [][]string{{"hidden_dim"}, {"intermediate_size"}}},
		{Symbol: "n_head", Key: "attention.head_count", Aliases: [][]string{{"n_heads"}, {"num_attention_heads"}}},
		{Symbol: "n_head_kv", Key: "attention.head_count_kv", Aliases: [][]string{{"n_kv_heads"}, {"num_key_value_heads"}},
			Divides: "n_head", Defaults: []Default{{Of: same("n_head"), From: "not stated: as many as heads"}}},

		{Symbol: "use_scaled_rope", Type: Flag, Optional: true, Aliases: [][]string{{"use_scaled_rope"}, nil}},
		{Symbol: "rope_type", Key: "rope.scaling.type", Type: Text, When: scaled("linear", "yarn"), Optional: true,
			Aliases:  [][]string{nil, {"rope_parameters.rope_type", "rope_scaling.rope_type", "rope_scaling.type"}},
			Defaults: []Default{{Of: llama3Scaling, From: "use_scaled_rope"}}},
		{Symbol: "rope_factor", Key: "rope.scaling.factor", Type: Real, When: scaled("linear", "yarn"),
			Aliases:  [][]string{{"rope_scaling_factor"}, {"rope_parameters.factor", "rope_scaling.factor"}},
			Defaults: []Default{{Convention: "meta", Of: llama31Factor, From: "scale_factor in Meta's llama3 model.py"}}},
		{Symbol: "rope_ctx", Key: "rope.scaling.original_context_length", When: scaled("yarn"),
			Aliases: [][]string{nil, {"rope_parameters.original_max_position_embeddings",
				"rope_scaling.original_max_position_embeddings", "original_max_position_embeddings"}},
			Defaults: []Default{{Convention: "meta", Of: constant(int64(8192)), From: "old_context_len in Meta's llama3 model.py"}}},
		{Symbol: "rope_low", Type: Real, Optional: true,
			Aliases:  [][]string{nil, {"rope_parameters.low_freq_factor", "rope_scaling.low_freq_factor"}},
			Defaults: []Default{{Convention: "meta", Of: constant(1.0), From: "low_freq_factor in Meta's llama3 model.py"}}},
		{Symbol: "rope_high", Type: Real, Optional: true,
			Aliases:  [][]string{nil, {"rope_parameters.high_freq_factor", "rope_scaling.high_freq_factor"}},
			Defaults: []Default{{Convention: "meta", Of: constant(4.0), From: "high_freq_factor in Meta's llama3 model.py"}}},
		yarn("rope.scaling.yarn_ext_factor", "extrapolation_factor"),
		yarn("rope.scaling.yarn_attn_factor", "attention_factor", "attn_factor"),
		yarn("rope.scaling.yarn_beta_fast", "beta_fast"),
		yarn("rope.scaling.yarn_beta_slow", "beta_slow"),

		{Symbol: "rope_theta", Key: "rope.freq_base", Type: Real,
			Aliases: [][]string{{"rope_theta"}, {"rope_parameters.rope_theta", "rope_theta"}},
			Defaults: []Default{
				{Convention: "llama2.c", Of: constant(10000.0), From: "default of llama2.c model.py"},
				{Convention: "meta", Of: constant(10000.0), From: "default of Meta's llama model.py"},
				{Convention: "huggingface", Of: constant(10000.0), From: "default of transformers LlamaConfig"}}},
		{Symbol: "eps", Key: "attention.layer_norm_rms_epsilon", Type: Real,
			Aliases: [][]string{{"norm_eps"}, {"rms_norm_eps"}},
			Defaults: []Default{
				{Convention: "llama2.c", Of: constant(1e-5), From: "default of llama2.c model.py"},
				{Convention: "meta", Of: constant(1e-5), From: "default of Meta's llama model.py"}}},
		{Symbol: "key_dim", Key: "attention.key_length", Aliases: [][]string{{"head_dim"}, {"head_dim"}}, Optional: true},
		{Symbol: "value_dim", Key: "attention.value_length", Aliases: [][]string{{"head_dim"}, {"head_dim"}}, Optional: true},
		{Symbol: "n_vocab", Key: "vocab_size", Aliases: [][]string{{"vocab_size"}, {"vocab_size"}}, Unset: -1},
		{Symbol: "head_dim", Key: "rope.dimension_count", Aliases: [][]string{{"head_dim"}, {"head_dim"}},
			Defaults: []Default{{Of: headDim, From: "embedding_length / attention.head_count"}}},

		{Symbol: "attention_bias", Type: Flag, Optional: true, Aliases: [][]string{nil, {"attention_bias"}}},
		{Symbol: "mlp_bias", Type: Flag, Optional: true, Aliases: [][]string{nil, {"mlp_bias"}}},
		{Symbol: "tied", Type: Flag, Optional: true, Aliases: [][]string{nil, {"tie_word_embeddings"}}},
	}
}

func yarn(key string, names ...string) Hyper {
	var aliases []string
	for _, group := range []string{"rope_parameters.", "rope_scaling."} {
		for _, n := range names {
			aliases = append(aliases, group+n)
		}
	}
	return Hyper{Symbol: key, Key: key, Type: Real, When: Cond{"rope_type", []string{"yarn"}}, Optional: true, Aliases: [][]string{nil, aliases}}
}

func metaGuards() []Guard {
	return []Guard{
		{Keys: []string{"sliding_window"}, Why: "the llama architecture of GGUF has no sliding window"},
		{Keys: []string{"quantization_args.*", "lora_args.*"}, Why: "quantized and adapted weights are other tensors than the model's"},
		{Keys: []string{"moe.*"}, Why: "mixtures of experts are not supported"},
	}
}

// hfLlamaGuards accepts model_type mistral too: without a sliding window,
// transformers' MistralForCausalLM computes what LlamaForCausalLM does.
func hfLlamaGuards() []Guard {
	return []Guard{
		{Keys: []string{"model_type"}, Allow: []string{"llama", "mistral"}, Required: true,
			Why: "other architectures have the same tensor names and compute something else (Qwen2, Gemma, Phi-3)"},
		{Keys: []string{"hidden_act"}, Allow: []string{"silu", "swish"}, Why: "runtimes compute SiLU for this architecture"},
		{Keys: []string{"sliding_window"}, Why: "the llama architecture of GGUF has no sliding window"},
		{Keys: []string{"partial_rotary_factor", "rope_parameters.partial_rotary_factor"}, Allow: []string{"1"}, Why: "runtimes rotate whole heads for this architecture"},
		{Keys: []string{"rope_parameters.rope_type", "rope_scaling.rope_type", "rope_scaling.type"}, Allow: []string{"default", "linear", "yarn", "llama3"},
			Why: "GGUF has no such rotary scaling for this architecture"},
		{Keys: []string{"rope_parameters.mscale", "rope_parameters.mscale_all_dim", "rope_scaling.mscale", "rope_scaling.mscale_all_dim"},
			Why: "GGUF has no such rotary scaling for this architecture"},
		{Keys: []string{"rope_parameters.full_attention.*", "rope_parameters.sliding_attention.*"}, Why: "runtimes rotate every layer alike for this architecture"},
		{Keys: []string{"is_causal"}, Allow: []string{"true"}, Why: "runtimes attend causally for this architecture"},
		{Keys: []string{"quantization_config.*"}, Why: "the weights are quantized in a way that is not supported; convert the model they were made from"},
	}
}

// metaContext guesses the length that a released model was trained for
// (llama.cpp examples/convert_legacy_llama.py, Params.loadOriginalParamsJson;
// transformers convert_llama_weights_to_hf.py, CONTEXT_LENGTH_FOR_VERSION).
func metaContext(v *Values) (any, error) {
	vocab, _ := v.Count("n_vocab")
	theta, _ := v.Real("rope_theta")
	eps, _ := v.Real("eps")
	switch {
	case v.Flag("use_scaled_rope"):
		return int64(131072), nil
	case vocab == 128256:
		return int64(8192), nil
	case theta == 1e6:
		return int64(16384), nil
	case float32(eps) == 1e-5: // files state it in either precision
		return int64(4096), nil
	}
	return int64(2048), nil
}

func llama3Scaling(v *Values) (any, error) {
	if v.Flag("use_scaled_rope") {
		return "llama3", nil
	}
	return nil, nil
}

// llama31Factor is 8, the only factor in Meta's own code. Llama 3.2, whose
// output is tied, was published with 32 by transformers and does not say so in
// params.json, so a tied model has to state its factor.
func llama31Factor(v *Values) (any, error) {
	if !v.Flag("use_scaled_rope") {
		return nil, nil
	}
	if !v.Has("output.weight") {
		return nil, fmt.Errorf("use_scaled_rope does not tell the factor of a model with tied output; "+
			"state rope_scaling_factor with --config (32 for Llama 3.2): %w", tensor.ErrNotFound)
	}
	return 8.0, nil
}

func headDim(v *Values) (any, error) {
	embd, ok1 := v.Count("n_embd")
	heads, ok2 := v.Count("n_head")
	if !ok1 || !ok2 {
		return nil, nil
	}
	if embd%heads != 0 {
		return nil, fmt.Errorf("embedding_length %d (%s) is not a multiple of attention.head_count %d (%s), and no head_dim is stated: %w",
			embd, v.From("n_embd"), heads, v.From("n_head"), tensor.ErrCorrupt)
	}
	return int64(embd / heads), nil
}
