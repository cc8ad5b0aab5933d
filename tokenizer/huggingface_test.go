package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the tokenizers library says of a file, by testdata/make.py.
type hfFacts struct {
	Tokens []string
	Added  map[string]bool // id to whether the token is special
}

func TestTokenizerJSONSaysWhatTheLibrarySays(t *testing.T) {
	for _, c := range []struct {
		name, model, pre string
	}{
		{"hf_digits", "gpt2", "smollm"},
		{"hf_template", "gpt2", "olmo"},
		{"hf_metaspace", "llama", "default"},
	} {
		want := loadTestdata[hfFacts](t, c.name+".want.json")
		v, err := HuggingFace(readTestdata(t, c.name+".json"))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if v.Model != c.model || v.Pre != c.pre {
			t.Errorf("%s: model %s, pre %s; want %s, %s", c.name, v.Model, v.Pre, c.model, c.pre)
		}
		if len(v.Tokens) != len(want.Tokens) {
			t.Fatalf("%s: %d tokens, want %d", c.name, len(v.Tokens), len(want.Tokens))
		}
		for id, text := range want.Tokens {
			typ := Normal
			special, added := want.Added[strconv.Itoa(id)]
			switch {
			case special && text == "<unk>":
				typ = Unknown
			case special || text == "<|looks_special|>":
				typ = Control
			case added:
				typ = UserDefined
				if c.model == "llama" {
					text = strings.ReplaceAll(text, "▁", " ")
				}
			case c.model == "llama" && strings.HasPrefix(text, "<0x"):
				typ = Byte
			}
			if v.Tokens[id] != text || v.Types[id] != typ {
				t.Errorf("%s: token %d is %q of type %d, want %q of type %d", c.name, id, v.Tokens[id], v.Types[id], text, typ)
			}
		}
	}
}

func TestBothFormsOfMergesReadAlike(t *testing.T) {
	pairs, err := HuggingFace(readTestdata(t, "hf_digits.json"))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := HuggingFace(readTestdata(t, "hf_digits_old.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(pairs, lines) {
		t.Error("merges as [\"a\",\"b\"] and as \"a b\" give different vocabularies")
	}
	if len(pairs.Merges) == 0 || strings.Count(pairs.Merges[0], " ") != 1 {
		t.Errorf("merges = %q…", pairs.Merges[:min(3, len(pairs.Merges))])
	}
}

func TestTemplateSaysWhatIsPutAroundAText(t *testing.T) {
	v, err := HuggingFace(readTestdata(t, "hf_template.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[Role]int{BOS: 1, EOS: 2}
	if !maps.Equal(v.Special, want) || !*v.AddBOS || !*v.AddEOS {
		t.Errorf("special ids %v, add_bos %v, add_eos %v; want %v, true, true", v.Special, *v.AddBOS, *v.AddEOS, want)
	}
}

// The tokenizer.json is what transformers makes of the SentencePiece model. Runtimes
// compare scores only, so it has to order the tokens that merging makes alike.
func TestScoresFromMergesOrderTokensAsSentencePieceDoes(t *testing.T) {
	sp, err := SentencePiece(readTestdata(t, "stories260K.model"))
	if err != nil {
		t.Fatal(err)
	}
	hf, err := HuggingFace(readTestdata(t, "stories260K.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(hf.Tokens, sp.Tokens) || !slices.Equal(hf.Types, sp.Types) {
		t.Fatal("tokens or types differ from those of the SentencePiece model")
	}
	if !*hf.AddSpacePrefix || !*hf.AddBOS || hf.AddEOS != nil || hf.Special[UNK] != 0 {
		t.Errorf("add_space_prefix %v, add_bos %v, add_eos %v, special ids %v", *hf.AddSpacePrefix, *hf.AddBOS, hf.AddEOS, hf.Special)
	}
	var made []int
	for id, text := range sp.Tokens {
		if sp.Types[id] == Normal && len([]rune(text)) > 1 {
			made = append(made, id)
		}
	}
	byScore := func(scores []float32) []int {
		order := slices.Clone(made)
		slices.SortStableFunc(order, func(a, b int) int {
			return int(scores[b] - scores[a])
		})
		return order
	}
	if got, want := byScore(hf.Scores), byScore(sp.Scores); !slices.Equal(got, want) {
		t.Errorf("order by score %v, want %v", got, want)
	}
}

// tokenizerJSON is a small valid file; edits replace parts of it.
func tokenizerJSON(edits ...string) []byte {
	text := `{"added_tokens":[{"id":3,"content":"<|end|>","special":true}],"normalizer":null,` +
		`"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},"post_processor":null,` +
		`"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`
	return []byte(strings.NewReplacer(edits...).Replace(text))
}

func TestHostileTokenizerJSONIsRefused(t *testing.T) {
	if _, err := HuggingFace(tokenizerJSON()); err != nil {
		t.Fatalf("the unchanged file: %v", err)
	}
	deep := strings.Repeat(`{"type":"Sequence","pretokenizers":[`, 20000) + strings.Repeat("]}", 20000)
	long := `{"type":"Sequence","pretokenizers":[` + strings.Repeat(`{"type":"Split"},`, 10000) + `{"type":"Split"}]}`
	for _, c := range []struct {
		name string
		file []byte
		want error
		says string
	}{
		{"empty", nil, ErrCorrupt, "unexpected end"},
		{"cut off", tokenizerJSON()[:100], ErrCorrupt, "at byte 0x64"},
		{"not an object", []byte("[]"), ErrCorrupt, "array"},
		{"no model", []byte("{}"), ErrUnsupported, "model"},
		{"deep nesting", []byte(deep), ErrCorrupt, "exceeded max depth"},
		{"deep pre-tokenizer", tokenizerJSON(`{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}`, deep[:len(deep)/2]), ErrCorrupt, ""},
		{"pre-tokenizer of many parts", tokenizerJSON(`{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}`, long), ErrUnsupported, "the limit is 65536"},
		{"invalid UTF-8", tokenizerJSON(`"ab"`, "\"a\xff\""), ErrCorrupt, "UTF-8"},
		{"half a character", tokenizerJSON(`"ab"`, `"\ud83d"`), ErrCorrupt, `\ud83d`},
		{"half a character after another", tokenizerJSON(`"ab"`, `"\ud83d\ud83d"`), ErrCorrupt, `\ud83d`},
		{"two tokens of one id", tokenizerJSON(`"ab":2`, `"ab":1`), ErrCorrupt, `id 1 belongs to two tokens, "b" and "ab"`},
		{"one token twice", tokenizerJSON(`"ab":2`, `"ab":2,"a":5`), ErrCorrupt, `"a" has two ids, 0 and 5`},
		{"added token in the place of another", tokenizerJSON(`"id":3`, `"id":2`), ErrCorrupt, `id 2 belongs to two tokens, "ab" and the added "<|end|>"`},
		{"added token with another id in the vocabulary", tokenizerJSON(`"ab":2`, `"ab":2,"<|end|>":4`), ErrCorrupt, "has two ids, 3 and 4"},
		{"id far beyond the others", tokenizerJSON(`"ab":2`, `"ab":1000000`), ErrCorrupt, "ids up to 1000000"},
		{"id beyond bounds", tokenizerJSON(`"ab":2`, `"ab":99999999999999999999`), ErrCorrupt, "id 99999999999999999999"},
		{"negative id", tokenizerJSON(`"ab":2`, `"ab":-1`), ErrCorrupt, "id -1"},
		{"fractional id", tokenizerJSON(`"ab":2`, `"ab":2.5`), ErrCorrupt, "id 2.5"},
		{"text as id", tokenizerJSON(`"ab":2`, `"ab":"2"`), ErrCorrupt, "not a number"},
		{"negative added id", tokenizerJSON(`"id":3`, `"id":-3`), ErrCorrupt, "id -3"},
		{"added token without id", tokenizerJSON(`"id":3,`, ``), ErrCorrupt, "no id or no content"},
		{"added token without content", tokenizerJSON(`,"content":"<|end|>"`, ``), ErrCorrupt, "no id or no content"},
		{"number as merge", tokenizerJSON(`["a b"]`, `[1]`), ErrCorrupt, "merge 0 is neither"},
		{"object as merge", tokenizerJSON(`["a b"]`, `[{"a":"b"}]`), ErrCorrupt, "merge 0 is neither"},
		{"merge of one", tokenizerJSON(`["a b"]`, `[["a"]]`), ErrCorrupt, "merge 0 is neither"},
		{"merge of three", tokenizerJSON(`["a b"]`, `[["a","b","c"]]`), ErrCorrupt, "merge 0 is neither"},
		{"merge of numbers", tokenizerJSON(`["a b"]`, `[[1,2]]`), ErrCorrupt, "merge 0 is neither"},
		{"merge without space", tokenizerJSON(`["a b"]`, `["ab"]`), ErrCorrupt, "merge 0 is neither"},
		{"merge with two spaces", tokenizerJSON(`["a b"]`, `["a b c"]`), ErrCorrupt, "merge 0 is neither"},
		{"merge of unknown tokens", tokenizerJSON(`["a b"]`, `["b a"]`), ErrCorrupt, `needs the token "ba"`},
		{"merges as object", tokenizerJSON(`["a b"]`, `{"a":"b"}`), ErrCorrupt, "merges"},
		{"vocabulary as list", tokenizerJSON(`{"a":0,"b":1,"ab":2}`, `["a","b"]`), ErrCorrupt, "no vocabulary"},
		{"unigram model", tokenizerJSON(`"BPE"`, `"Unigram"`, `{"a":0,"b":1,"ab":2}`, `[["a",0.5]]`), ErrUnsupported, `"Unigram"`},
		{"WordPiece model", tokenizerJSON(`"BPE"`, `"WordPiece"`), ErrUnsupported, `"WordPiece"`},
		{"marked pieces", tokenizerJSON(`"type":"BPE"`, `"type":"BPE","continuing_subword_prefix":"##"`), ErrUnsupported, `"##"`},
		{"marked word ends", tokenizerJSON(`"type":"BPE"`, `"type":"BPE","end_of_word_suffix":"</w>"`), ErrUnsupported, `"</w>"`},
		{"no bytes", tokenizerJSON(`{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}`, `{"type":"Whitespace"}`), ErrUnsupported, "Whitespace"},
		{"unknown split", tokenizerJSON(`"use_regex":true`, `"use_regex":false`), ErrUnsupported, "by ByteLevel; if one does, name it with --meta tokenizer.ggml.pre=NAME"},
		{"lower-casing", tokenizerJSON(`"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]}`), ErrUnsupported, "Lowercase"},
		{"HTML page", []byte("\n<html>"), ErrUnsupported, "HTML"},
		{"Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\n"), ErrUnsupported, "git lfs pull"},
	} {
		v, err := HuggingFace(c.file)
		if v != nil || !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: HuggingFace = %v, %v; want %v saying %q", c.name, v, err, c.want, c.says)
		}
	}
}

func TestSpaceMarkedTokenizersThatSplitOtherwiseAreRefused(t *testing.T) {
	const metaspace = `{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false}`
	valid := func(edits ...string) []byte {
		text := `{"normalizer":null,"pre_tokenizer":` + metaspace +
			`,"model":{"type":"BPE","byte_fallback":true,"vocab":{"▁":0,"a":1,"▁a":2,"a▁":3},"merges":[["▁","a"],["a","▁"]]}}`
		return []byte(strings.NewReplacer(edits...).Replace(text))
	}
	if _, err := HuggingFace(valid()); err != nil {
		t.Fatalf("the unchanged file: %v", err)
	}
	for _, c := range []struct {
		name string
		file []byte
		says string
	}{
		{"merge over a space that is split at", valid(`,"split":false`, ``), `the merge "a" and "▁" reaches over one`},
		{"spaces left as they are", valid(metaspace, `null`), "spaces are not written as ▁"},
		{"digits split", valid(metaspace, `{"type":"Digits","individual_digits":true}`), "Digits(individual)"},
		{"normalized otherwise", valid(`"normalizer":null`, `"normalizer":{"type":"NFKC"}`), "NFKC"},
		{"prefix of another kind", valid(`"normalizer":null`, `"normalizer":{"type":"Prepend","prepend":"_"}`), "Prepend"},
	} {
		if v, err := HuggingFace(c.file); v != nil || !errors.Is(err, ErrUnsupported) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: HuggingFace = %v, %v; want %v saying %q", c.name, v, err, ErrUnsupported, c.says)
		}
	}
}

func TestHolesBetweenIdsBecomePadding(t *testing.T) {
	v, err := HuggingFace(tokenizerJSON(`"id":3`, `"id":6`))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "ab", "[PAD3]", "[PAD4]", "[PAD5]", "<|end|>"}; !slices.Equal(v.Tokens, want) {
		t.Errorf("tokens %q, want %q", v.Tokens, want)
	}
	if want := []TokenType{Normal, Normal, Normal, Unused, Unused, Unused, Control}; !slices.Equal(v.Types, want) {
		t.Errorf("types %v, want %v", v.Types, want)
	}
}

func TestGivenPreTokenizerIsNotRecognized(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "tokenizer.json")
	if err := os.WriteFile(name, tokenizerJSON(`"use_regex":true`, `"use_regex":false`), 0o644); err != nil {
		t.Fatal(err)
	}
	v, err := Options{Pre: "superbpe"}.OpenFile(name)
	if err != nil || v.Pre != "superbpe" {
		t.Errorf("OpenFile with Pre \"superbpe\" = %+v, %v", v, err)
	}
}

func TestPublishedTokenizerIsWrittenAsLlamaCppWritesIt(t *testing.T) {
	dir := smolLM2(t)
	v, err := Open(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range loadTestdata[map[string]any](t, "smollm2.json") {
		if key == "source" {
			continue
		}
		got := pair(v, key)
		switch list := got.(type) {
		case uint32:
			got = float64(list)
		case []string:
			got = digest(list)
		case []int32:
			texts := make([]string, len(list))
			for i, n := range list {
				texts[i] = strconv.Itoa(int(n))
			}
			got = digest(texts)
		}
		if got != want {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
	}
}

// smolLM2 is the folder of the real model, which is too big for the repository.
func smolLM2(t testing.TB) string {
	t.Helper()
	cache := os.Getenv("SMELT_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Skip(err)
		}
		cache = filepath.Join(user, "smelt")
	}
	dir := filepath.Join(cache, "models", "smollm2-hf")
	if _, err := os.Stat(filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Skipf("needs the SmolLM2 model: %v", err)
	}
	return dir
}

func ExampleHuggingFace() {
	b, err := os.ReadFile("testdata/hf_digits.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := HuggingFace(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Model, v.Pre, len(v.Tokens), len(v.Merges))
	// Output: gpt2 smollm 576 315
}

func BenchmarkHuggingFace(b *testing.B) {
	file, err := os.ReadFile(filepath.Join(smolLM2(b), "tokenizer.json"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := HuggingFace(file); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzHuggingFace(f *testing.F) {
	f.Add(tokenizerJSON())
	f.Add(tokenizerJSON(`["a b"]`, `[["a","b"]]`))
	f.Add(tokenizerJSON(`"post_processor":null`, `"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<|end|>"}},{"Sequence":{"id":"A"}}]}`))
	f.Add([]byte(`{"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},` +
		`"model":{"type":"BPE","unk_token":"<unk>","byte_fallback":true,"vocab":{"<unk>":0,"<0x0A>":1,"▁":2,"a":3,"▁a":4},"merges":["▁ a"]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := HuggingFace(b)
		if err != nil {
			if v != nil {
				t.Errorf("a vocabulary beside the error %v", err)
			}
			return
		}
		checkConsistent(t, v)
		if !json.Valid(bytes.TrimPrefix(b, []byte("\ufeff"))) {
			t.Error("what is not JSON was read")
		}
	})
}
