package tokenizer

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// getter serves pairs as a model's metadata does.
func getter(kvs []KV) func(string) (any, bool) {
	m := make(map[string]any, len(kvs))
	for _, kv := range kvs {
		m[kv.Key] = kv.Value
	}
	return func(key string) (any, bool) { v, ok := m[key]; return v, ok }
}

func TestMetadataReadsBackAsItWasWritten(t *testing.T) {
	vocabs := map[string]*Vocab{"bytes": smallBytes(), "SentencePiece": smallSP()}
	for _, name := range []string{"hf_digits.json", "hf_template.json", "hf_metaspace.json", "stories260K.json"} {
		v, err := HuggingFace(readTestdata(t, name))
		if err != nil {
			t.Fatal(err)
		}
		vocabs[name] = v
	}
	for _, name := range []string{"sp_bpe.model", "sp_unigram.model", "stories260K.model"} {
		v, err := SentencePiece(readTestdata(t, name))
		if err != nil {
			t.Fatal(err)
		}
		vocabs[name] = v
	}
	vocabs["bytes"].ChatTemplate = "{{ x }}"
	vocabs["bytes"].ChatTemplates = map[string]string{"tool_use": "{{ y }}", "rag": ""}
	vocabs["bytes"].AddSEP = yes
	vocabs["bytes"].Lowercase, vocabs["bytes"].StripAccents = no, yes
	for name, v := range vocabs {
		got, err := FromMeta(getter(v.Pairs()))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got.Pairs(), v.Pairs()) {
			t.Errorf("%s: the pairs read back are\n%+v, want\n%+v", name, got.Pairs(), v.Pairs())
		}
	}
}

func TestMetadataMayBeSparse(t *testing.T) {
	v, err := FromMeta(getter([]KV{
		{"tokenizer.ggml.model", "llama"},
		{"tokenizer.ggml.tokens", []string{"a", "b", "c"}},
		{"tokenizer.ggml.scores", []int32{-1, -2, -3}},
		{"tokenizer.ggml.bos_token_id", int64(2)},
		{"tokenizer.ggml.eos_token_id", uint8(1)},
		{"tokenizer.ggml.padding_token_id", int32(-1)},
		{"tokenizer.ggml.unknown_token_id", uint32(3)},
		{"tokenizer.ggml.eot_token_id", uint64(math.MaxUint64)},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := &Vocab{Model: "llama", Tokens: []string{"a", "b", "c"}, Scores: []float32{-1, -2, -3},
		Types: []TokenType{Normal, Normal, Normal}, Special: map[Role]int{BOS: 2, EOS: 1}}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got %+v, want %+v", v, want)
	}
}

func TestWrongMetadataIsNamed(t *testing.T) {
	for _, c := range []struct {
		key   string
		value any // nil: the key is left out
		want  error
		says  string
	}{
		{"tokenizer.ggml.model", nil, ErrNotFound, "tokenizer.ggml.model"},
		{"tokenizer.ggml.model", "none", ErrNotFound, "none"},
		{"tokenizer.ggml.model", int32(7), ErrCorrupt, "tokenizer.ggml.model is a int32, want string"},
		{"tokenizer.ggml.pre", []string{"gpt-2"}, ErrCorrupt, "tokenizer.ggml.pre"},
		{"tokenizer.ggml.tokens", nil, ErrCorrupt, "empty"},
		{"tokenizer.ggml.tokens", []int32{1}, ErrCorrupt, "tokenizer.ggml.tokens"},
		{"tokenizer.ggml.tokens", []string{"a", "a"}, ErrCorrupt, "261 types"},
		{"tokenizer.ggml.tokens", make([]string, maxTokens+1), ErrTooLarge, "1048577"},
		{"tokenizer.ggml.token_type", []int32{1}, ErrCorrupt, "1 types"},
		{"tokenizer.ggml.token_type", slices.Repeat([]int32{9}, 261), ErrCorrupt, "token 0 is 9"},
		{"tokenizer.ggml.token_type", []uint8{1}, ErrCorrupt, "tokenizer.ggml.token_type"},
		{"tokenizer.ggml.scores", []float32{1}, ErrCorrupt, "1 scores"},
		{"tokenizer.ggml.scores", []float32{float32(math.NaN())}, ErrCorrupt, "not a number"},
		{"tokenizer.ggml.scores", "1", ErrCorrupt, "tokenizer.ggml.scores"},
		{"tokenizer.ggml.merges", "a b", ErrCorrupt, "tokenizer.ggml.merges"},
		{"tokenizer.ggml.bos_token_id", "1", ErrCorrupt, "tokenizer.ggml.bos_token_id"},
		{"tokenizer.ggml.add_bos_token", int32(1), ErrCorrupt, "tokenizer.ggml.add_bos_token"},
		{"tokenizer.ggml.add_space_prefix", nil, nil, ""},
		{"tokenizer.chat_template", []byte("x"), ErrCorrupt, "tokenizer.chat_template"},
		{"tokenizer.chat_templates", make([]string, maxTemplates+1), ErrTooLarge, "chat templates"},
	} {
		var kvs []KV
		for _, kv := range smallBytes().Pairs() {
			if kv.Key != c.key {
				kvs = append(kvs, kv)
			}
		}
		if c.value != nil {
			kvs = append(kvs, KV{c.key, c.value})
		}
		_, err := FromMeta(getter(kvs))
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s = %.40v: %v, want %v that says %q", c.key, c.value, err, c.want, c.says)
		}
	}
}

// Whatever the metadata, it is refused or makes a tokenizer that encodes and decodes.
func FuzzFromMeta(f *testing.F) {
	f.Add([]byte("llama\x00default\x00"), []byte("a\x00b\x00ab\x00<0x0A>\x00▁\x00"), []byte("a b\x00"), []byte{1, 1, 1, 6, 1}, uint64(1), "ab\n a")
	f.Add([]byte("gpt2\x00gpt-2\x00"), []byte("a\x00b\x00ab\x00Ġ\x00<|im_end|>\x00"), []byte("a b\x00Ġ ab\x00"), []byte{1, 1, 1, 1, 4}, uint64(0x104), "ab ab<|im_end|>")
	f.Add([]byte("bert\x00\x00"), []byte("▁a\x00b\x00[UNK]\x00"), []byte{}, []byte{1, 1, 2}, uint64(2), "Ab, b")
	f.Fuzz(func(t *testing.T, names, tokens, merges, types []byte, ids uint64, text string) {
		name := append(strings.Split(string(names), "\x00"), "", "")
		kvs := []KV{
			{"tokenizer.ggml.model", name[0]},
			{"tokenizer.ggml.pre", name[1]},
			{"tokenizer.ggml.tokens", strings.Split(string(tokens), "\x00")},
			{"tokenizer.ggml.merges", strings.Split(strings.TrimSuffix(string(merges), "\x00"), "\x00")},
		}
		var kinds []int32
		var scores []float32
		for _, b := range types {
			kinds, scores = append(kinds, int32(b&7)), append(scores, float32(b>>3))
		}
		kvs = append(kvs, KV{"tokenizer.ggml.token_type", kinds}, KV{"tokenizer.ggml.scores", scores})
		for i, b := range binary.LittleEndian.AppendUint64(nil, ids) {
			kvs = append(kvs, KV{"tokenizer.ggml." + roles[i].key, b})
		}
		v, err := FromMeta(getter(kvs))
		if err != nil {
			return
		}
		tok, err := v.Tokenizer()
		if err != nil {
			return
		}
		for _, o := range []EncodeOptions{{}, {BOS: true, Special: true}} {
			got := tok.Encode(text, o)
			for _, id := range got {
				if id < 0 || int(id) >= tok.Len() {
					t.Fatalf("Encode(%q) has the id %d of %d", text, id, tok.Len())
				}
			}
			s := tok.Stream()
			for _, id := range got {
				s.Next(id)
			}
			tok.Decode(got)
		}
	})
}
