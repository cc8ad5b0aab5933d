package arch

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// Shapes and configurations of published models.
var (
	stories260K = llamaDims{5, 64, 8, 4, 8, 172, 512}              // karpathy/tinyllamas, stories260K
	smolLM2     = llamaDims{30, 576, 9, 3, 64, 1536, 49152}        // HuggingFaceTB/SmolLM2-135M-Instruct
	llama3      = llamaDims{32, 4096, 32, 8, 128, 14336, 128256}   // meta-llama/Meta-Llama-3-8B and 3.1-8B
	tinyEn      = whisperDims{80, 1500, 384, 6, 4, 448, 51864}     // openai/whisper tiny.en
	base        = whisperDims{80, 1500, 512, 8, 6, 448, 51865}     // base
	largeV3     = whisperDims{128, 1500, 1280, 20, 32, 448, 51866} // large-v3
)

const (
	stories260KArgs = `{"dim": 64, "n_layers": 5, "n_heads": 8, "n_kv_heads": 4, "vocab_size": 512, "multiple_of": 4, "max_seq_len": 512, "dropout": 0.05}`

	smolLM2Config = `{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 1, "dtype": "float16",
		"eos_token_id": 2, "head_dim": 64, "hidden_act": "silu", "hidden_size": 576, "intermediate_size": 1536, "is_llama_config": true,
		"max_position_embeddings": 8192, "mlp_bias": false, "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 30,
		"num_key_value_heads": 3, "rms_norm_eps": 1e-05, "rope_parameters": {"rope_theta": 100000, "rope_type": "default"},
		"tie_word_embeddings": true, "transformers_version": "5.0.0", "vocab_size": 49152}`

	smolLM2Params = `{"dim": 576, "n_layers": 30, "n_heads": 9, "n_kv_heads": 3, "vocab_size": 49152, "norm_eps": 1e-05, "rope_theta": 100000, "hidden_dim": 1536}`

	llama31Config = `{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336,
		"max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
		"num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
		"rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
		"rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.42.3", "vocab_size": 128256}`

	llama31Params = `{"dim": 4096, "ffn_dim_multiplier": 1.3, "multiple_of": 1024, "n_heads": 32, "n_kv_heads": 8, "n_layers": 32,
		"norm_eps": 1e-05, "rope_theta": 500000.0, "use_scaled_rope": true, "vocab_size": -1}`

	largeV3Config = `{"activation_function": "gelu", "architectures": ["WhisperForConditionalGeneration"], "d_model": 1280, "decoder_attention_heads": 20,
		"decoder_ffn_dim": 5120, "decoder_layers": 32, "encoder_attention_heads": 20, "encoder_ffn_dim": 5120, "encoder_layers": 32,
		"is_encoder_decoder": true, "max_length": 448, "max_source_positions": 1500, "max_target_positions": 448, "model_type": "whisper",
		"num_hidden_layers": 32, "num_mel_bins": 128, "scale_embedding": false, "torch_dtype": "float16", "vocab_size": 51866}`
)

func stories260KModel(t testing.TB) *tensor.Model {
	h := newHeader(t, "model.", tensor.F32)
	h.metaLlama(stories260K)
	h.alias("output.weight", "tok_embeddings.weight")
	kvs := under("model_args.", config(t, "", stories260KArgs))
	return h.model(append(kvs, tensor.KV{Key: "iter_num", Value: int64(0)}, tensor.KV{Key: "best_val_loss", Value: 1.5})...)
}

// trained is a checkpoint as a training program saves it: the network among
// the optimizer's state, and its configuration.
func trained(t testing.TB) *tensor.Model {
	h := newHeader(t, "model.", tensor.F16)
	h.hfLlama(smolLM2, "model.")
	h.prefix = ""
	h.dtype = tensor.F32
	h.add("optimizer.state.0.step")
	h.add("optimizer.state.0.exp_avg", 8)
	h.add("optimizer.state.0.exp_avg_sq", 8)
	return h.model(append(under("config.", config(t, "", smolLM2Config)), tensor.KV{Key: "epoch", Value: int64(3)})...)
}

// ranks is a model in Meta's layout, divided among n tensor-parallel ranks.
func ranks(t testing.TB, d llamaDims, n, embeddingAxis int) []*tensor.Model {
	whole := newHeader(t, "", tensor.F16)
	whole.metaLlama(d)
	whole.add("output.weight", d.vocab, d.embd)
	return split(t, whole.tensors, n, embeddingAxis)
}

func TestPlansOfPublishedModels(t *testing.T) {
	for _, c := range []struct {
		name    string
		src     func(testing.TB) *tensor.Model
		configs []Config
	}{
		{"llama2c-stories260K", stories260KModel, nil},
		{"llama-hf-smollm2", func(t testing.TB) *tensor.Model {
			h := newHeader(t, "", tensor.F16)
			h.hfLlama(smolLM2, "model.")
			return h.model()
		}, []Config{config(t, "config.json", smolLM2Config)}},
		{"llama-hf-smollm2-trained", trained, nil},
		{"llama-meta-smollm2-ranks", func(t testing.TB) *tensor.Model {
			m, err := Merge(ranks(t, smolLM2, 3, 1))
			if err != nil {
				t.Fatal(err)
			}
			return m
		}, []Config{config(t, "params.json", smolLM2Params)}},
		{"llama-hf-llama3.1-8b", func(t testing.TB) *tensor.Model {
			h := newHeader(t, "", tensor.BF16)
			h.hfLlama(llama3, "model.")
			h.add("lm_head.weight", llama3.vocab, llama3.embd)
			return h.model()
		}, []Config{config(t, "config.json", llama31Config)}},
		{"llama-meta-llama3.1-8b", func(t testing.TB) *tensor.Model {
			h := newHeader(t, "", tensor.BF16)
			h.metaLlama(llama3)
			h.add("output.weight", llama3.vocab, llama3.embd)
			h.add("rope.freqs", 64)
			return h.model()
		}, []Config{config(t, "params.json", llama31Params)}},
		{"whisper-openai-tiny.en", openai(tinyEn), nil},
		{"whisper-openai-base", openai(base), nil},
		{"whisper-openai-large-v3", openai(largeV3), nil},
		{"whisper-hf-large-v3", func(t testing.TB) *tensor.Model {
			h := newHeader(t, "", tensor.F16)
			h.hfWhisper(largeV3)
			h.alias("proj_out.weight", "model.decoder.embed_tokens.weight")
			return h.model()
		}, []Config{config(t, "config.json", largeV3Config)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, r := convert(t, c.src(t), c.configs...)
			got := planText(m, r)
			path := filepath.Join("testdata", c.name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the plan differs from %s; run go test -update and read the difference\n%s", path, firstDifference(got, string(want)))
			}
		})
	}
}

// firstDifference shows the first line in which two texts differ.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: got  %s\n         want %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines; want %d", len(g), len(w))
}

func openai(d whisperDims) func(testing.TB) *tensor.Model {
	return func(t testing.TB) *tensor.Model {
		h := newHeader(t, "model_state_dict.", tensor.F16)
		h.openaiWhisper(d)
		return h.model(d.dims()...)
	}
}
