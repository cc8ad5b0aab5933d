//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A ggufDump is a file as the gguf package reads it.
type ggufDump struct {
	Metadata []struct {
		Key   string `json:"key"`
		Type  string `json:"type"` // an array's is "ARRAY:" and its items'
		Value any    `json:"value"`
	} `json:"metadata"`
	Tensors []tensorInfo `json:"tensors"`
}

func dump(t *testing.T, py, file string) ggufDump {
	t.Helper()
	var v ggufDump
	decode(t, script(t, py, "gguf_dump.py", file), &v)
	return v
}

// The value types that llama.cpp's own writers choose (gguf-py/gguf/gguf_writer.py); llama.cpp reads no others.
var ggufTypes = map[string]string{
	"general.architecture": "STRING", "general.name": "STRING", "general.file_type": "UINT32", "general.quantization_version": "UINT32",
	"general.alignment": "UINT32", "llama.block_count": "UINT32", "llama.context_length": "UINT32", "llama.embedding_length": "UINT32",
	"llama.feed_forward_length": "UINT32", "llama.attention.head_count": "UINT32", "llama.attention.head_count_kv": "UINT32",
	"llama.attention.layer_norm_rms_epsilon": "FLOAT32", "llama.rope.freq_base": "FLOAT32", "llama.rope.dimension_count": "UINT32",
	"llama.vocab_size": "UINT32", "tokenizer.ggml.model": "STRING", "tokenizer.ggml.pre": "STRING", "tokenizer.ggml.tokens": "ARRAY:STRING",
	"tokenizer.ggml.scores": "ARRAY:FLOAT32", "tokenizer.ggml.token_type": "ARRAY:INT32", "tokenizer.ggml.merges": "ARRAY:STRING",
	"tokenizer.ggml.bos_token_id": "UINT32", "tokenizer.ggml.eos_token_id": "UINT32", "tokenizer.ggml.unknown_token_id": "UINT32",
	"tokenizer.ggml.padding_token_id": "UINT32", "tokenizer.ggml.add_bos_token": "BOOL", "tokenizer.ggml.add_space_prefix": "BOOL",
	"tokenizer.chat_template": "STRING",
}

func TestTheGGUFPackageReadsBackWhatSmeltWrote(t *testing.T) {
	for _, c := range []struct {
		name  string
		src   func(*testing.T) string
		flags []string
		keys  []string // that a reader of this architecture asks for
	}{
		{"stories260K", stories, []string{"--type", "f32"}, llamaKeys},
		{"smollm2", modelPath("smollm2-bin"), []string{"--type", "f16"}, llamaKeys},
		{"smollm2 as bf16", modelPath("smollm2-bin"), []string{"--type", "bf16"}, llamaKeys},
		{"smollm2 of Meta", modelPath("smollm2-meta"), []string{"--type", "f16"}, llamaKeys},
		{"whisper tiny.en", modelPath("whisper-tiny.en.pt"), nil, whisperKeys},
		{"whisper base", modelPath("whisper-base.pt"), []string{"--type", "f32"}, whisperKeys},
		{"generic", stories, []string{"--arch", "generic"}, []string{"general.architecture"}},
		{"generic whisper", modelPath("whisper-tiny.en.pt"), []string{"--arch", "generic"}, []string{"general.architecture"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			py, out := need(t, python), filepath.Join(t.TempDir(), "out.gguf")
			smelt(t, append([]string{"convert", c.src(t), out}, c.flags...)...)
			want, got := dump(t, py, out), inspect(t, out)
			sameTensors(t, got.Tensors, want.Tensors)
			sameMetadata(t, got.Metadata, want)
			for _, key := range c.keys {
				if _, ok := got.Metadata[key]; !ok {
					t.Errorf("key %s is missing", key)
				}
			}
		})
	}
}

var (
	llamaKeys = []string{"general.architecture", "llama.block_count", "llama.context_length", "llama.embedding_length", "llama.feed_forward_length",
		"llama.attention.head_count", "llama.attention.head_count_kv", "llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base",
		"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"}
	whisperKeys = []string{"general.architecture", "whisper.encoder.context_length", "whisper.encoder.embedding_length", "whisper.encoder.block_count",
		"whisper.encoder.mels_count", "whisper.encoder.attention.head_count", "whisper.decoder.context_length", "whisper.decoder.embedding_length",
		"whisper.decoder.block_count", "whisper.decoder.attention.head_count", "whisper.vocab_size", "tokenizer.ggml.tokens"}
)

func modelPath(name string) func(*testing.T) string {
	return func(t *testing.T) string { return need(t, model(name)) }
}

// sameMetadata compares what smelt says of a file with what the gguf package says, value by value.
func sameMetadata(t *testing.T, got map[string]any, want ggufDump) {
	t.Helper()
	if len(got) != len(want.Metadata) {
		t.Errorf("%d keys, the gguf package reads %d", len(got), len(want.Metadata))
	}
	for _, kv := range want.Metadata {
		if fixed := ggufTypes[kv.Key]; fixed != "" && kv.Type != fixed {
			t.Errorf("%s has type %s, want %s", kv.Key, kv.Type, fixed)
		}
		v, ok := got[kv.Key]
		if !ok {
			t.Errorf("key %s is missing, the gguf package reads it", kv.Key)
			continue
		}
		if diff := differ(v, kv.Value, floatBits(kv.Type)); diff != "" {
			t.Errorf("%s: %s", kv.Key, diff)
		}
	}
}

func floatBits(valueType string) int {
	if strings.HasSuffix(valueType, "FLOAT32") {
		return 32
	}
	return 64
}

// differ says where two JSON values differ. Fractions are compared as the floats they stand for: one side prints the
// shortest decimal, the other the exact one, of the same bytes.
func differ(got, want any, bits int) string {
	switch w := want.(type) {
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%.80v, want %d items", got, len(w))
		}
		for i := range w {
			if d := differ(g[i], w[i], bits); d != "" {
				return fmt.Sprintf("item %d: %s", i, d)
			}
		}
		return ""
	case json.Number:
		g, ok := got.(json.Number)
		if ok && (g == w || sameFloat(g, w, bits)) {
			return ""
		}
	default:
		if got == want {
			return ""
		}
	}
	return fmt.Sprintf("%.200v, want %.200v", got, want)
}

func sameFloat(a, b json.Number, bits int) bool {
	if isInteger(a) && isInteger(b) {
		return false // and they are not the same digits
	}
	x, errX := strconv.ParseFloat(a.String(), bits)
	y, errY := strconv.ParseFloat(b.String(), bits)
	return errX == nil && errY == nil && math.Float64bits(x) == math.Float64bits(y)
}

func isInteger(n json.Number) bool { return !strings.ContainsAny(n.String(), ".eE") }
