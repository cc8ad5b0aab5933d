package tokenizer

import (
	"fmt"
	"slices"
	"strings"
)

// The regular expressions of published tokenizer.json files, in the canonical
// spelling. A name is that of the tokenizer that introduced the expression.
const (
	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	// tailLF ends most of them: symbols, line ends, spaces.
	tailLF = ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// tailSlash is tailLF with "/" among the characters that may follow symbols.
	tailSlash = ` ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	gpt2Regex  = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	cl100k     = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|` + tailLF
	jais2Regex = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`
	qwen2Regex = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|` + tailLF

	lower     = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`
	upper     = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`
	o200kWord = `[^\r\n\p{L}\p{N}]?` + lower + contractions + `?|[^\r\n\p{L}\p{N}]?` + upper + contractions + `?|`
	o200k     = o200kWord + `\p{N}{1,3}|` + tailSlash

	notHan    = `&&[^\p{Han}]]`
	kimiLower = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}` + notHan + `*[\p{Ll}\p{Lm}\p{Lo}\p{M}` + notHan + `+`
	kimiUpper = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}` + notHan + `+[\p{Ll}\p{Lm}\p{Lo}\p{M}` + notHan + `*`
	kimiRegex = `[\p{Han}]+|[^\r\n\p{L}\p{N}]?` + kimiLower + contractions + `?|[^\r\n\p{L}\p{N}]?` + kimiUpper + contractions + `?|\p{N}{1,3}|` + tailLF

	// Characters outside ASCII are escaped so that no editor normalizes them.
	kana          = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
	deepseekCJK   = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
	youtuCJK      = "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|" + kana
	deepseekPunct = "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"
	// deepseekLetters are cased letters as DeepSeek lists them.
	deepseekLetters = "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af" +
		"\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5" +
		"\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba" +
		"\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45" +
		"\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe" +
		"\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc" +
		"\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139" +
		"\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3" +
		"\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06" +
		"\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3" +
		"\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df" +
		"\U0001e900-\U0001e943]+"
	asciiWord  = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
	deepseek3  = asciiWord + ` ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	thousands  = `\d{1,3}(?=(?:\d{3})*\b)`
	bloomRegex = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
)

// A preTokenizer is a row of the table of names that runtimes know. Where several
// names stand for one behaviour the row carries the one that says most about what
// a runtime does besides splitting.
type preTokenizer struct {
	name  string
	also  []string // other names that mean the same to a runtime
	steps []step
	// What else has to hold for a definition to be given the name; nil: anything.
	nfc, ignoreMerges, clean, roberta *bool
	// What the name tells a runtime: a word that is a token is not merged from its
	// bytes; BOS begins a text unless the metadata says otherwise.
	wholeWords, addBOS bool
}

var yes, no = ptr(true), ptr(false)

// preTokenizers is searched from the top. Names and the behaviour behind them are
// those of llama.cpp src/llama-vocab.cpp, definitions those of the tokenizer.json
// files that its convert_hf_to_gguf_update.py lists. clean is
// clean_up_tokenization_spaces, which some names imply.
var preTokenizers = []preTokenizer{
	{name: "llama-bpe", also: []string{"llama3", "llama-v3", "pixtral", "falcon3", "falcon-h1", "midm-2.0", "lfm2", "jina-v5-nano"}, steps: []step{split(cl100k), byteLevel}, ignoreMerges: yes, wholeWords: true, addBOS: true},
	// These merge even whole words that are tokens.
	{name: "dbrx", also: []string{"smaug-bpe", "glm4", "chatglm-bpe"}, steps: []step{split(cl100k), byteLevel}},
	// stablelm2: the same, cleaning up spaces
	{name: "stablelm2", steps: []step{split(qwen2Regex), byteLevel}, clean: yes},
	{name: "qwen2", also: []string{"deepseek-r1-qwen", "megrez", "kormo", "f2llmv2", "hunyuan", "solar-open", "grok-2"}, steps: []step{split(qwen2Regex), byteLevel}},
	{name: "qwen35", steps: []step{split(contractions + `|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`), byteLevel}},
	{name: "jais-2", steps: []step{split(jais2Regex), byteLevel}},
	{name: "seed-coder", steps: []step{split(contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+`), byteLevel}},
	{name: "bailingmoe", also: []string{"bailingmoe2", "llada-moe"}, steps: []step{split(contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`), byteLevel}},
	{name: "exaone-moe", steps: []step{split(contractions + `|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`), byteLevel}},
	{name: "ufakzeka", steps: []step{split(`[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|` + tailLF), byteLevel}},
	{name: "laguna", steps: []step{{"Split", `(?:\r?\n)+(?!\r?\n)`, "mergedwithnext"}, split(qwen2Regex), byteLevel}},
	{name: "kimi-k2", steps: []step{split(kimiRegex), byteLevel}},
	{name: "minicpm5", steps: []step{split(`\p{N}{1,3}`), split(contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+|` + tailLF), byteLevel}, wholeWords: true},

	{name: "tekken", steps: []step{split(`[^\r\n\p{L}\p{N}]?` + lower + `|[^\r\n\p{L}\p{N}]?` + upper + `|\p{N}|` + tailSlash), byteLevel}, wholeWords: true, addBOS: true},
	{name: "gpt-4o", also: []string{"llama4", "kanana2", "talkie", "minimax-m2"}, steps: []step{split(o200k), byteLevel}},
	{name: "tiny_aya", also: []string{"cohere2moe"}, steps: []step{split(thousands), split(o200k), byteLevel}},
	{name: "youtu", steps: []step{split(youtuCJK), split(o200kWord + `\p{N}|` + tailSlash), byteLevel}, wholeWords: true},

	{name: "deepseek-v3", also: []string{"hunyuan-dense", "joyai-llm", "hy_v4"}, steps: []step{split(`\p{N}{1,3}`), split(kana), split(deepseek3), byteLevel}},
	{name: "spark2_5", steps: []step{split(`\p{N}{1,3}`), split(kana), split(asciiWord + ` ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`), digits(true), byteLevel}},
	{name: "deepseek-llm", steps: []step{split(`[\r\n]`), split(deepseekLetters), split(deepseekPunct), split(`\s+$`), split(deepseekCJK), digits(true), byteLevel}},
	{name: "deepseek-coder", steps: []step{split(`[\r\n]`), split(`\s?\p{L}+`), split(`\s?\p{P}+`), split(deepseekCJK), digits(true), byteLevel}},

	{name: "falcon", steps: []step{{kind: "Punctuation", behavior: "contiguous"}, split(gpt2Regex), byteLevel, digits(false), split(`[0-9][0-9][0-9]`)}},
	{name: "chameleon", steps: []step{split(`<sentinel:[0-9]+>`), split(`(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z`), split(`([\t\n]|    |  )`), digits(true), {kind: "Punctuation", behavior: isolated}, split(gpt2Regex), byteLevel}, addBOS: true},
	{name: "viking", steps: []step{split(bloomRegex), digits(true), byteLevel}},
	{name: "bloom", also: []string{"poro-chat", "gpt3-finnish"}, steps: []step{split(bloomRegex), byteLevel}},

	{name: "command-r", steps: []step{digits(true), split(gpt2Regex), byteLevel}, nfc: yes},
	{name: "starcoder", also: []string{"refact", "codeshell", "exaone", "minerva-7b", "mellum2"}, steps: []step{digits(true), split(gpt2Regex), byteLevel}, clean: yes},
	{name: "smollm", steps: []step{digits(true), split(gpt2Regex), byteLevel}},

	{name: "roberta-bpe", also: []string{"jina-v1-en", "jina-v2-code"}, steps: []step{split(gpt2Regex), byteLevel}, roberta: yes},
	// Unicode normalization is not part of what the name tells a runtime.
	{name: "olmo", also: []string{"mpt", "modern-bert"}, steps: []step{split(gpt2Regex), byteLevel}, nfc: yes},
	{name: "granite-docling", also: []string{"trillion"}, steps: []step{split(gpt2Regex), byteLevel}, clean: no},
	{name: "gpt-2", also: []string{"phi-2", "jais", "gigachat", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum", "exaone4"}, steps: []step{split(gpt2Regex), byteLevel}},

	// What llama.cpp does for files that name none.
	{name: "default", also: []string{""}, steps: []step{split(`[\p{P}$+<=>^~|]+`), split(gpt2Regex), split(`\p{N}+`), split(`[0-9][0-9][0-9]`), byteLevel}},
}

// A traits is what a tokenizer's files say besides the steps.
type traits struct {
	nfc, ignoreMerges, roberta bool
	clean                      *bool // nil: not said
}

// named returns the row of a name that metadata gives; nil if there is none.
func named(pre string) *preTokenizer {
	for i := range preTokenizers {
		if p := &preTokenizers[i]; p.name == pre || slices.Contains(p.also, pre) {
			return p
		}
	}
	return nil
}

func holds(want *bool, got *bool) bool { return want == nil || got != nil && *want == *got }

func (p *preTokenizer) matches(list []step, t traits) bool {
	return slices.Equal(p.steps, list) && holds(p.nfc, &t.nfc) && holds(p.ignoreMerges, &t.ignoreMerges) &&
		holds(p.clean, t.clean) && holds(p.roberta, &t.roberta)
}

// recognize finds the row for a definition. It fails with [ErrUnsupported], showing
// the definition, if there is none.
func recognize(list []step, t traits) (*preTokenizer, error) {
	for i := range preTokenizers {
		if p := &preTokenizers[i]; p.matches(list, t) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: no runtime is known to split text as this tokenizer does, by %s; if one does, name it with --meta tokenizer.ggml.pre=NAME", ErrUnsupported, describe(list))
}

func describe(list []step) string {
	if len(list) == 0 {
		return "nothing"
	}
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.String()
	}
	const limit = 2000
	text := strings.Join(texts, ", then ")
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}
