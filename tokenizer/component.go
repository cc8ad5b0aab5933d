package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxComponent bounds the JSON of a normalizer, pre-tokenizer, post-processor or
// decoder; published ones stay below 10 KiB unless they hold a normalization table.
const maxComponent = 64 << 10

// A component is a step of a Hugging Face tokenizer: a normalizer, pre-tokenizer,
// post-processor or decoder (huggingface/tokenizers, the serialized forms).
type component struct {
	Type string `json:"type"`

	// The parts of a Sequence; the key depends on where it stands.
	Normalizers   []component `json:"normalizers"`
	Pretokenizers []component `json:"pretokenizers"`
	Processors    []component `json:"processors"`
	Decoders      []component `json:"decoders"`

	Pattern          *pattern `json:"pattern"`
	Behavior         string   `json:"behavior"`
	Invert           bool     `json:"invert"`
	IndividualDigits bool     `json:"individual_digits"`
	AddPrefixSpace   *bool    `json:"add_prefix_space"`
	UseRegex         *bool    `json:"use_regex"`
	PrependScheme    string   `json:"prepend_scheme"`
	Split            *bool    `json:"split"`
	Prepend          string   `json:"prepend"`
	Content          *string  `json:"content"`
	Single           []piece  `json:"single"`
}

type pattern struct {
	Regex  *string `json:"Regex"`
	String *string `json:"String"`
}

// is reports whether p matches the characters of text, in either form; text has
// none with a meaning in regular expressions.
func (p *pattern) is(text string) bool {
	return p != nil && (p.String != nil && *p.String == text || p.Regex != nil && *p.Regex == text)
}

// A piece is an element of a post-processor's template; only special tokens matter.
type piece struct {
	SpecialToken *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
}

// parseComponents returns the leaves of the component in raw, in order; none for null.
func parseComponents(what string, raw json.RawMessage) ([]component, error) {
	if len(raw) > maxComponent {
		return nil, fmt.Errorf("%w: the %s has %d bytes, the limit is %d", ErrUnsupported, what, len(raw), maxComponent)
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var c component
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, what, err)
	}
	return c.leaves(nil), nil
}

func (c component) leaves(list []component) []component {
	if c.Type != "Sequence" {
		return append(list, c)
	}
	for _, parts := range [][]component{c.Normalizers, c.Pretokenizers, c.Processors, c.Decoders} {
		for _, p := range parts {
			list = p.leaves(list)
		}
	}
	return list
}

// prefixesSpace: what the field means when it is absent is that it is set
// (tokenizers 0.23, pre_tokenizers/byte_level.rs, metaspace.rs).
func (c component) prefixesSpace() bool { return c.AddPrefixSpace == nil || *c.AddPrefixSpace }

// A step is what a pre-tokenizer does to text, in one form for all spellings of it.
type step struct {
	kind     string // the component's type
	pattern  string // Split: the regular expression, or quoted literal text
	behavior string
}

// String shows the step for a message.
func (s step) String() string {
	switch args := strings.TrimSpace(s.pattern + " " + s.behavior); args {
	case "":
		return s.kind
	default:
		return s.kind + "(" + args + ")"
	}
}

// steps describes pre-tokenizers. A ByteLevel that splits is written as the split
// and the change of alphabet that it consists of.
func steps(list []component) []step {
	var out []step
	for _, c := range list {
		switch c.Type {
		case "ByteLevel":
			if c.UseRegex == nil || *c.UseRegex {
				out = append(out, split(gpt2Regex))
			}
			out = append(out, byteLevel)
		case "Split":
			out = append(out, c.splitStep())
		case "Digits":
			out = append(out, digits(c.IndividualDigits))
		default:
			out = append(out, step{kind: c.Type, behavior: strings.ToLower(c.Behavior)})
		}
	}
	return out
}

func (c component) splitStep() step {
	s := step{kind: "Split", behavior: strings.ToLower(c.Behavior)}
	if c.Pattern != nil && c.Pattern.String != nil {
		s.pattern = quote(*c.Pattern.String)
	}
	if c.Pattern != nil && c.Pattern.Regex != nil {
		s.pattern = canonicalRegex(*c.Pattern.Regex)
	}
	switch {
	case !c.Invert:
	case s.behavior == "removed" && strings.HasSuffix(s.pattern, `|\s+`):
		// Keeping the matches alone is isolating them if they cover every text.
		s.behavior = isolated
	default:
		s.behavior += " inverted"
	}
	return s
}

const isolated = "isolated"

var byteLevel = step{kind: "ByteLevel"}

func split(regex string) step { return step{"Split", canonicalRegex(regex), isolated} }

var digitGroups = map[bool]string{true: "individual", false: "contiguous"}

func digits(individual bool) step { return step{kind: "Digits", behavior: digitGroups[individual]} }

// canonicalRegex gives equal expressions that are in use one spelling. Making a
// quantifier possessive changes nothing in expressions whose neighbouring
// character classes exclude each other, which all the known ones are.
func canonicalRegex(re string) string { return regexSpellings.Replace(re) }

var regexSpellings = strings.NewReplacer(
	"\r", `\r`, "\n", `\n`, "\t", `\t`,
	`(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])`, contractions,
	`'(?i:[sdmt]|ll|ve|re)`, contractions,
	`'(?:[sdmt]|ll|ve|re)`, `'s|'t|'re|'ve|'m|'ll|'d`,
	"?+", "?", "++", "+",
)
