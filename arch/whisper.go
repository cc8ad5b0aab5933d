package arch

// Columns of the whisper tables.
const (
	openaiNames = iota
	hfWhisperNames
)

// whisper is the table of OpenAI's Whisper. Canonical names are OpenAI's own,
// which whisper.cpp uses too (openai/whisper model.py; transformers
// models/whisper; whisper.cpp models/convert-pt-to-ggml.py and
// convert-h5-to-ggml.py). Keys are those of ggml docs/gguf.md, and
// whisper.vocab_size; all are uint32.
func whisper() *Spec {
	rules := []Rule{
		whisperRule("encoder.positional_embedding", "model.encoder.embed_positions.weight", "n_audio_ctx", "n_audio_state"),
		whisperRule("encoder.conv1.weight", "model.encoder.conv1.weight", "n_audio_state", "n_mels", "3"),
		whisperRule("encoder.conv1.bias", "model.encoder.conv1.bias", "n_audio_state"),
		whisperRule("encoder.conv2.weight", "model.encoder.conv2.weight", "n_audio_state", "n_audio_state", "3"),
		whisperRule("encoder.conv2.bias", "model.encoder.conv2.bias", "n_audio_state"),
	}
	audio := whisperStack{"encoder.blocks.{n}.", "model.encoder.layers.{n}.", "n_audio_layer", "n_audio_state"}
	rules = append(rules, audio.attention("attn", "self_attn", "n_audio_state")...)
	rules = append(rules, audio.mlp()...)
	rules = append(rules,
		whisperRule("encoder.ln_post.weight", "model.encoder.layer_norm.weight", "n_audio_state"),
		whisperRule("encoder.ln_post.bias", "model.encoder.layer_norm.bias", "n_audio_state"),
		whisperRule("decoder.token_embedding.weight", "model.decoder.embed_tokens.weight", "n_vocab", "n_text_state"),
		whisperRule("decoder.positional_embedding", "model.decoder.embed_positions.weight", "n_text_ctx", "n_text_state"),
	)
	text := whisperStack{"decoder.blocks.{n}.", "model.decoder.layers.{n}.", "n_text_layer", "n_text_state"}
	rules = append(rules, text.attention("attn", "self_attn", "n_text_state")...)
	rules = append(rules, text.attention("cross_attn", "encoder_attn", "n_audio_state")...)
	rules = append(rules, text.mlp()...)
	rules = append(rules,
		whisperRule("decoder.ln.weight", "model.decoder.layer_norm.weight", "n_text_state"),
		whisperRule("decoder.ln.bias", "model.decoder.layer_norm.bias", "n_text_state"),
	)
	return &Spec{
		Name: "whisper",
		Conventions: []Convention{
			{Name: "openai", Title: "OpenAI's whisper", Column: openaiNames,
				Group: []string{"n_mels", "n_audio_head", "n_text_head"}},
			{Name: "huggingface", Title: "Hugging Face transformers", Column: hfWhisperNames, Root: "model",
				Group: []string{"d_model", "encoder_attention_heads", "decoder_attention_heads"},
				Guards: []Guard{
					{Keys: []string{"model_type"}, Allow: []string{"whisper"}, Why: "another architecture"},
					{Keys: []string{"activation_function"}, Allow: []string{"gelu"}, Why: "runtimes compute GELU for this architecture"},
					{Keys: []string{"scale_embedding"}, Allow: []string{"false"}, Why: "runtimes do not scale embeddings for this architecture"},
					{Keys: []string{"quantization_config.*"}, Why: "the weights are quantized in a way that is not supported; convert the model they were made from"},
				}},
		},
		Hypers: []Hyper{
			{Symbol: "n_audio_ctx", Key: "encoder.context_length", Aliases: [][]string{{"n_audio_ctx"}, {"max_source_positions"}}},
			{Symbol: "n_audio_state", Key: "encoder.embedding_length", Aliases: [][]string{{"n_audio_state"}, {"d_model"}}},
			{Symbol: "n_audio_layer", Key: "encoder.block_count", Aliases: [][]string{{"n_audio_layer"}, {"encoder_layers"}}},
			{Symbol: "n_mels", Key: "encoder.mels_count", Aliases: [][]string{{"n_mels"}, {"num_mel_bins"}}},
			{Symbol: "n_audio_head", Key: "encoder.attention.head_count", Aliases: [][]string{{"n_audio_head"}, {"encoder_attention_heads"}}, Divides: "n_audio_state"},
			{Symbol: "n_text_ctx", Key: "decoder.context_length", Aliases: [][]string{{"n_text_ctx"}, {"max_target_positions"}}},
			{Symbol: "n_text_state", Key: "decoder.embedding_length", Aliases: [][]string{{"n_text_state"}, {"d_model"}}},
			{Symbol: "n_text_layer", Key: "decoder.block_count", Aliases: [][]string{{"n_text_layer"}, {"decoder_layers"}}},
			{Symbol: "n_text_head", Key: "decoder.attention.head_count", Aliases: [][]string{{"n_text_head"}, {"decoder_attention_heads"}}, Divides: "n_text_state"},
			{Symbol: "n_vocab", Key: "vocab_size", Aliases: [][]string{{"n_vocab"}, {"vocab_size"}}},
		},
		Rules: rules,
		Drops: []Drop{
			{From: []string{"alignment_heads", ""}, Why: "which heads align words with time; runtimes have their own table"},
			{From: []string{"decoder.mask", ""}, Why: "the causal mask, which runtimes compute"},
			{From: []string{"", "proj_out.weight"}, Why: "the output projection, which is the token embedding", Equal: "decoder.token_embedding.weight"},
		},
	}
}

func whisperRule(openai, hf string, shape ...string) Rule {
	return Rule{Name: openai, From: from(openai, hf), Shape: shape}
}

// A whisperStack writes the rules of the layers of the encoder or the decoder.
type whisperStack struct{ openai, hf, layers, state string }

func (s whisperStack) rule(openai, hf string, shape ...string) Rule {
	r := whisperRule(s.openai+openai, s.hf+hf, shape...)
	r.Layers = s.layers
	return r
}

// attention lists one attention block and the norm before it; keys and values
// are made of vectors of length input. Keys have no bias.
func (s whisperStack) attention(openai, hf, input string) []Rule {
	return []Rule{
		s.rule(openai+".query.weight", hf+".q_proj.weight", s.state, s.state),
		s.rule(openai+".query.bias", hf+".q_proj.bias", s.state),
		s.rule(openai+".key.weight", hf+".k_proj.weight", s.state, input),
		s.rule(openai+".value.weight", hf+".v_proj.weight", s.state, input),
		s.rule(openai+".value.bias", hf+".v_proj.bias", s.state),
		s.rule(openai+".out.weight", hf+".out_proj.weight", s.state, s.state),
		s.rule(openai+".out.bias", hf+".out_proj.bias", s.state),
		s.rule(openai+"_ln.weight", hf+"_layer_norm.weight", s.state),
		s.rule(openai+"_ln.bias", hf+"_layer_norm.bias", s.state),
	}
}

func (s whisperStack) mlp() []Rule {
	return []Rule{
		s.rule("mlp.0.weight", "fc1.weight", "4*"+s.state, s.state),
		s.rule("mlp.0.bias", "fc1.bias", "4*"+s.state),
		s.rule("mlp.2.weight", "fc2.weight", s.state, "4*"+s.state),
		s.rule("mlp.2.bias", "fc2.bias", s.state),
		s.rule("mlp_ln.weight", "final_layer_norm.weight", s.state),
		s.rule("mlp_ln.bias", "final_layer_norm.bias", s.state),
	}
}
