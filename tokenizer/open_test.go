package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m["model/"+pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func TestOpenPicksTheFileThatSaysMost(t *testing.T) {
	sp := string(readTestdata(t, "sp_bpe.model"))
	unigram := string(readTestdata(t, "sp_unigram.model"))
	byteLevel := string(tokenizerJSON())
	marked := string(readTestdata(t, "stories260K.json"))
	unsupported := string(tokenizerJSON(`"BPE"`, `"Unigram"`, `{"a":0,"b":1,"ab":2}`, `[["a",0.5]]`))
	for _, c := range []struct {
		name  string
		fsys  fs.FS
		model string
		n     int
	}{
		{"SentencePiece alone", files("tokenizer.model", sp), "llama", 420},
		{"SentencePiece by its other name", files("spiece.model", unigram), "t5", 160},
		{"byte-level JSON alone", files("tokenizer.json", byteLevel), "gpt2", 4},
		{"space-marked JSON alone", files("tokenizer.json", marked), "llama", 512},
		{"byte-level JSON before SentencePiece", files("tokenizer.json", byteLevel, "tokenizer.model", sp), "gpt2", 4},
		{"SentencePiece before space-marked JSON", files("tokenizer.json", marked, "tokenizer.model", sp), "llama", 420},
		{"SentencePiece before JSON of another kind", files("tokenizer.json", unsupported, "spiece.model", unigram), "t5", 160},
		{"space-marked JSON before a tiktoken file", files("tokenizer.json", marked, "tokenizer.model", "IQ== 0\nIg== 1\n"), "llama", 512},
	} {
		v, err := Open(c.fsys, "model")
		if err != nil || v.Model != c.model || len(v.Tokens) != c.n {
			t.Errorf("%s: Open = %+v, %v; want model %s with %d tokens", c.name, v, err, c.model, c.n)
		}
	}
}

func TestOpenSaysWhatIsMissingOrWrong(t *testing.T) {
	for _, c := range []struct {
		name string
		fsys fs.FS
		want error
		says string
	}{
		{"empty folder", files("config.json", "{}"), ErrNotFound, "tokenizer: open model: no tokenizer found: the folder has no tokenizer.json, tokenizer.model, spiece.model; name one with --tokenizer FILE"},
		{"no folder", fstest.MapFS{}, ErrNotFound, "model"},
		{"tekken", files("tekken.json", "{}"), ErrUnsupported, "model/tekken.json"},
		{"two files", files("vocab.json", "{}", "merges.txt", ""), ErrUnsupported, "model/merges.txt"},
		{"corrupt JSON is not passed over", files("tokenizer.json", "{", "tokenizer.model", string(readTestdata(t, "sp_bpe.model"))), ErrCorrupt, "model/tokenizer.json at byte 0x1"},
		{"tiktoken", files("tokenizer.model", "IQ== 0\n"), ErrUnsupported, "model/tokenizer.model: unsupported: this is a tiktoken vocabulary"},
		{"corrupt configuration", files("tokenizer.json", string(tokenizerJSON()), "tokenizer_config.json", "{]"), ErrCorrupt, "model/tokenizer_config.json at byte 0x2"},
		{"flag of another type", files("tokenizer.json", string(tokenizerJSON()), "tokenizer_config.json", `{"add_bos_token":"yes"}`), ErrCorrupt, "add_bos_token"},
		{"token of another type", files("tokenizer.json", string(tokenizerJSON()), "tokenizer_config.json", `{"bos_token":7}`), ErrCorrupt, "bos_token"},
		{"id of another type", files("tokenizer.json", string(tokenizerJSON()), "config.json", `{"eos_token_id":"7"}`), ErrCorrupt, "model/config.json: corrupt: eos_token_id"},
		{"template not UTF-8", files("tokenizer.json", string(tokenizerJSON()), "chat_template.jinja", "\xff"), ErrCorrupt, "model/chat_template.jinja: corrupt: not UTF-8"},
		{"templates of one name", files("tokenizer.json", string(tokenizerJSON()), "chat_template.jinja", "", "additional_chat_templates/a-b.jinja", "", "additional_chat_templates/a_b.jinja", ""), ErrCorrupt, `at "a_b"`},
		{"thousands of keys", files("tokenizer.json", string(tokenizerJSON()), "config.json", "{"+manyKeys(5000)+"}"), ErrTooLarge, "model/config.json: too large: more than 4096 keys"},
		{"a folder as file", files("tokenizer.json/x", ""), ErrUnsupported, "model/tokenizer.json: unsupported: not a regular file"},
		{"added token far away", files("tokenizer.model", string(readTestdata(t, "sp_bpe.model")), "added_tokens.json", `{"<far>":900000}`), ErrCorrupt, "id 900000, the vocabulary 420 tokens"},
		{"added token twice", files("tokenizer.model", string(readTestdata(t, "sp_bpe.model")), "added_tokens.json", `{"<x>":420}`, "tokenizer_config.json", `{"added_tokens_decoder":{"421":{"content":"<x>"}}}`), ErrCorrupt, "has two ids, 420 and 421"},
	} {
		v, err := Open(c.fsys, "model")
		if v != nil || !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: Open = %v, %v; want %v saying %q", c.name, v, err, c.want, c.says)
		}
	}
}

func manyKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"k%d":0`, i)
	}
	return strings.Join(keys, ",")
}

type failing struct{ fs.FS }

func (failing) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestUnreadableFolderIsNotAnEmptyOne(t *testing.T) {
	if _, err := Open(failing{}, "model"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Open = %v, want %v", err, fs.ErrPermission)
	}
}

func TestSidecarsNameSpecialTokensInOrder(t *testing.T) {
	tokenizer := string(tokenizerJSON(`{"id":3,"content":"<|end|>","special":true}`,
		`{"id":3,"content":"<|end|>","special":true},{"id":4,"content":"<s>","special":true},{"id":5,"content":"<p>","special":true}`))
	v, err := Open(files(
		"tokenizer.json", tokenizer,
		"tokenizer_config.json", `{"bos_token":{"content":"<s>"},"eos_token":"<|end|>","mask_token":null,"add_bos_token":true,"add_prefix_space":null}`,
		"special_tokens_map.json", `{"bos_token":"<p>","unk_token":"a"}`,
		"config.json", `{"eos_token_id":[0,1],"pad_token_id":5,"sep_token_id":-1,"cls_token_id":99,"text_config":{"mask_token_id":1}}`,
		"generation_config.json", `{"pad_token_id":0,"eos_token_id":null}`,
	), "model")
	if err != nil {
		t.Fatal(err)
	}
	if want := map[Role]int{BOS: 4, EOS: 3, UNK: 0, PAD: 5, MASK: 1}; !maps.Equal(v.Special, want) {
		t.Errorf("special ids %v, want %v", v.Special, want)
	}
	if v.Types[0] != Control {
		t.Errorf("the unknown token has type %d, want %d", v.Types[0], Control)
	}
	if !*v.AddBOS || *v.AddSpacePrefix {
		t.Errorf("add_bos %v, add_space_prefix %v; want true, false", *v.AddBOS, *v.AddSpacePrefix)
	}
}

func TestAddedTokensOverrideSentencePieces(t *testing.T) {
	v, err := Open(files(
		"tokenizer.model", string(readTestdata(t, "stories260K.model")),
		"added_tokens.json", `{"<old>":512}`,
		"tokenizer_config.json", `{"added_tokens_decoder":{"2":{"content":"</s>","special":false},"512":{"content":"<new>","special":true},"514":{"content":"▁x"}},"eos_token":"<new>"}`,
	), "model")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"<new>", "[PAD513]", " x"}; !slices.Equal(v.Tokens[512:], want) {
		t.Errorf("tokens from 512 %q, want %q", v.Tokens[512:], want)
	}
	if want := []TokenType{Control, Unused, UserDefined}; !slices.Equal(v.Types[512:], want) || v.Types[2] != UserDefined {
		t.Errorf("types from 512 %v, of 2 %v; want %v, %v", v.Types[512:], v.Types[2], want, UserDefined)
	}
	if want := []float32{addedScore, padScore, addedScore}; !slices.Equal(v.Scores[512:], want) {
		t.Errorf("scores from 512 %v, want %v", v.Scores[512:], want)
	}
	if want := map[Role]int{BOS: 1, EOS: 512, UNK: 0}; !maps.Equal(v.Special, want) {
		t.Errorf("special ids %v, want %v", v.Special, want)
	}
}

func TestTokenizerJSONBesideSentencePieceSaysWhatIsAdded(t *testing.T) {
	v, err := Open(files("tokenizer.model", string(readTestdata(t, "stories260K.model")), "tokenizer.json", string(readTestdata(t, "stories260K.json"))), "model")
	if err != nil || v.AddBOS == nil || !*v.AddBOS {
		t.Errorf("Open = %+v, %v; want BOS added", v, err)
	}
}

func TestChatTemplatesAreFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		main  string
		named map[string]string
	}{
		{"in the configuration", []string{"tokenizer_config.json", `{"chat_template":"A"}`, "chat_template.jinja", "B"}, "A", nil},
		{"several in the configuration", []string{"tokenizer_config.json", `{"chat_template":[{"name":"default","template":"A"},{"name":"tool-use","template":"T"}]}`}, "A", map[string]string{"tool_use": "T"}},
		{"in a file", []string{"chat_template.jinja", "B\n", "chat_template.json", `{"chat_template":"C"}`}, "B\n", nil},
		{"in several files", []string{"chat_template.jinja", "B", "additional_chat_templates/rag.jinja", "R", "additional_chat_templates/notes.txt", "N"}, "B", map[string]string{"rag": "R"}},
		{"in a JSON file", []string{"chat_template.json", `{"chat_template":"C"}`}, "C", nil},
		{"nowhere", nil, "", nil},
	} {
		v, err := Open(files(append([]string{"tokenizer.json", string(tokenizerJSON())}, c.files...)...), "model")
		if err != nil || v.ChatTemplate != c.main || !maps.Equal(v.ChatTemplates, c.named) {
			t.Errorf("%s: %+v, %v; want %q and %v", c.name, v, err, c.main, c.named)
		}
	}
}

func TestSidecarsAreBounded(t *testing.T) {
	big := bytes.Repeat([]byte(" "), maxSidecar+1)
	fsys := files("tokenizer.json", string(tokenizerJSON()), "tokenizer_config.json", string(big))
	if _, err := Open(fsys, "model"); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "model/tokenizer_config.json") {
		t.Errorf("Open = %v, want %v naming the file", err, ErrTooLarge)
	}
}

func TestOpenFileTellsTheKindByContent(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sp := write("vocabulary.bin", readTestdata(t, "stories260K.model"))
	hf := write("vocabulary.txt", append([]byte("\n "), tokenizerJSON()...))
	bad := write("bad", []byte("no tokenizer"))
	write("chat_template.jinja", []byte("beside"))
	for name, model := range map[string]string{sp: "llama", hf: "gpt2"} {
		if v, err := OpenFile(name); err != nil || v.Model != model || v.ChatTemplate != "beside" {
			t.Errorf("OpenFile(%s) = %+v, %v; want model %s with the chat template beside it", name, v, err, model)
		}
	}
	if _, err := OpenFile(bad); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), bad) {
		t.Errorf("OpenFile = %v, want %v naming %s", err, ErrCorrupt, bad)
	}
	gone := filepath.Join(dir, "gone")
	if _, err := OpenFile(gone); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), gone) {
		t.Errorf("OpenFile = %v, want %v naming %s", err, fs.ErrNotExist, gone)
	}
}

func TestOpenGivesTheSameEveryTime(t *testing.T) {
	fsys := files("tokenizer.model", string(readTestdata(t, "stories260K.model")),
		"added_tokens.json", `{"<a>":512,"<b>":513,"<c>":514,"<d>":515}`, "config.json", `{"bos_token_id":1,"eos_token_id":2,"pad_token_id":0}`)
	first, err := Open(fsys, "model")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		v, err := Open(fsys, "model")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(v.Pairs()), fmt.Sprint(first.Pairs()); got != want {
			t.Fatal("two readings differ")
		}
	}
}

func ExampleOpenFile() {
	v, err := OpenFile("testdata/stories260K.model")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kv := range v.Pairs() {
		switch kv.Value.(type) {
		case string, uint32, bool:
			fmt.Println(kv.Key, "=", kv.Value)
		}
	}
	// Output:
	// tokenizer.ggml.model = llama
	// tokenizer.ggml.pre = default
	// tokenizer.ggml.add_space_prefix = true
	// tokenizer.ggml.remove_extra_whitespaces = false
	// tokenizer.ggml.bos_token_id = 1
	// tokenizer.ggml.eos_token_id = 2
	// tokenizer.ggml.unknown_token_id = 0
}
