package tokenizer

import (
	"encoding/json"
	"slices"
	"testing"
)

type preFacts struct {
	Source, Want string
	Normalizer   []string
	PreTokenizer []component `json:"pre_tokenizer"`
	IgnoreMerges bool        `json:"ignore_merges"`
	Roberta      bool
	Clean        *bool
}

// The definitions are those of published tokenizer.json files; testdata/make.py
// has the tokenizers library load them.
func TestPublishedPreTokenizersAreRecognized(t *testing.T) {
	for _, c := range loadTestdata[[]preFacts](t, "pretokenizers.json") {
		tr := traits{nfc: slices.Contains(c.Normalizer, "NFC"), ignoreMerges: c.IgnoreMerges, roberta: c.Roberta, clean: c.Clean}
		row, err := recognize(steps(c.PreTokenizer), tr)
		if err != nil || row.name != c.Want {
			t.Errorf("%s: recognize = %+v, %v; want %s", c.Source, row, err, c.Want)
		}
	}
}

func TestEveryRowCanBeReached(t *testing.T) {
	for i := range preTokenizers {
		p := &preTokenizers[i]
		is := func(b *bool) bool { return b != nil && *b }
		tr := traits{nfc: is(p.nfc), ignoreMerges: is(p.ignoreMerges), roberta: is(p.roberta), clean: p.clean}
		if row, err := recognize(p.steps, tr); err != nil || row != p {
			t.Errorf("the definition of %s is recognized as %+v, %v", p.name, row, err)
		}
	}
}

func TestRowsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range preTokenizers {
		if seen[p.name] {
			t.Errorf("two rows for %s", p.name)
		}
		seen[p.name] = true
	}
}

func TestEqualDefinitionsAreOne(t *testing.T) {
	const plain = `{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|` +
		` ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false}`
	want := parseSteps(t, plain)
	for _, c := range []struct{ name, json string }{
		{"sequence of one", `{"type":"Sequence","pretokenizers":[` + plain + `]}`},
		{"sequence in a sequence", `{"type":"Sequence","pretokenizers":[{"type":"Sequence","pretokenizers":[]},{"type":"Sequence","pretokenizers":[` + plain + `]}]}`},
		{"line ends themselves", `{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|` +
			` ?[^\\s\\p{L}\\p{N}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated"}`},
		{"cases spelled out", `{"type":"Split","pattern":{"Regex":"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|` +
			` ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated"}`},
		{"possessive", `{"type":"Split","pattern":{"Regex":"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}|` +
			` ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated"}`},
		{"matches kept", `{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|` +
			` ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Removed","invert":true}`},
	} {
		if got := parseSteps(t, c.json); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}

func TestDifferentDefinitionsStayApart(t *testing.T) {
	byteLevel := parseSteps(t, `{"type":"ByteLevel"}`)
	for _, c := range []struct{ name, json string }{
		{"no split", `{"type":"ByteLevel","use_regex":false}`},
		{"matches removed", `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},"behavior":"Removed"},{"type":"ByteLevel","use_regex":false}]}`},
		{"text, not an expression", `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"String":"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated"},{"type":"ByteLevel","use_regex":false}]}`},
		{"punctuation apart", `{"type":"Sequence","pretokenizers":[{"type":"Punctuation"},{"type":"ByteLevel"}]}`},
	} {
		if got := parseSteps(t, c.json); slices.Equal(got, byteLevel) {
			t.Errorf("%s: %v, the same as without", c.name, got)
		}
	}
}

func parseSteps(t *testing.T, text string) []step {
	t.Helper()
	list, err := parseComponents("pre-tokenizer", json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	return steps(list)
}
