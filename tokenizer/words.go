package tokenizer

import (
	"strings"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// A cutter is one step of pre-tokenization: where it cuts the matches of an
// expression.
type cutter struct {
	re *regexp2.Regexp
	// ends appends the ends of the pieces that a match from lo to hi makes, the
	// text before it included; from is the end of the piece before that.
	ends func(ends []int, from, lo, hi int) []int
}

// isolate makes a match a piece of its own.
func isolate(ends []int, from, lo, hi int) []int {
	if lo > from {
		ends = append(ends, lo)
	}
	return append(ends, hi)
}

// beginAt makes a match the beginning of the piece that the text after it is in.
func beginAt(ends []int, from, lo, _ int) []int {
	if lo > from {
		ends = append(ends, lo)
	}
	return ends
}

// isolateThousands makes groups of three of a match, from its end.
func isolateThousands(ends []int, from, lo, hi int) []int {
	if lo > from {
		ends = append(ends, lo)
	}
	for end := lo + (hi-lo+2)%3 + 1; end <= hi; end += 3 {
		ends = append(ends, end)
	}
	return ends
}

// cutterOf lists the steps that are written otherwise here: those that are no
// expression, those whose expression has parts that only Oniguruma knows, and
// those that would take quadratic time. What they match is the same.
var cutterOf = map[step]struct {
	regex string
	ends  func(ends []int, from, lo, hi int) []int
}{
	digits(true):  {`\p{N}`, isolate},
	digits(false): {`\p{N}+`, isolate},
	{kind: "Punctuation", behavior: "contiguous"}: {`[\p{P}$+<=>^` + "`" + `|~]+`, isolate},
	{kind: "Punctuation", behavior: isolated}:     {`[\p{P}$+<=>^` + "`" + `|~]`, isolate},

	split(bloomRegex): {" ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+", isolate},
	split(kimiRegex): {`\p{Han}+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}-[\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}-[\p{Han}]]+` + contractions +
		`?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}-[\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}-[\p{Han}]]*` + contractions + `?|\p{N}{1,3}|` + tailLF, isolate},
	split(`\s+$`): {`(?<!\s)\s+$`, isolate},
	// Where a space has been cut off, no line end follows the spaces.
	split(jais2Regex): {strings.Replace(jais2Regex, `|\s*[\r\n]+`, `|(?<![^\S\r\n])\s*[\r\n]+`, 1), isolate},
	split(thousands):  {`(?>\d+)\b`, isolateThousands},
	{"Split", `(?:\r?\n)+(?!\r?\n)`, "mergedwithnext"}: {`(?:\r?\n)+(?!\r?\n)`, beginAt},
}

func (s step) cutter() cutter {
	c, ok := cutterOf[s]
	if !ok {
		c.regex, c.ends = s.pattern, isolate
	}
	// The stack grows with the text, as everything here does.
	return cutter{regexp2.MustCompile(c.regex, regexp2.OptionMaxBacktrackingStackSize(-1)), c.ends}
}

// cut divides the pieces of text that end at ends; each is a text of its own to
// the expression.
func (c cutter) cut(text []rune, ends []int) []int {
	cut := make([]int, 0, 2*len(ends))
	start := 0
	for _, end := range ends {
		from := start
		err := c.re.FindRunesMatches(text[start:end], 0, func(m regexp2.MatchView) bool {
			at, n, _ := m.GroupRange(0)
			if lo := start + at; n > 0 {
				cut = c.ends(cut, from, lo, lo+n)
				from = lo + n
			}
			return true
		})
		if err != nil {
			panic("tokenizer: an expression without a limit met one: " + err.Error())
		}
		if len(cut) == 0 || cut[len(cut)-1] < end {
			cut = append(cut, end)
		}
		start = end
	}
	return cut
}

// A splitter cuts text into the words inside which byte pairs are merged.
type splitter struct {
	chars []cutter // see characters
	bytes []cutter // see bytes, spelled in the alphabet of byte-level vocabularies
}

func (p *preTokenizer) splitter() *splitter {
	s := &splitter{}
	into := &s.chars
	for _, st := range p.steps {
		if st == byteLevel {
			into = &s.bytes
			continue
		}
		*into = append(*into, st.cutter())
	}
	return s
}

// split returns where the words of text end, in bytes. Bytes that are not UTF-8
// count as U+FFFD.
func (s *splitter) split(text string) []int {
	chars := []rune(text)
	ends := []int{len(chars)}
	for _, c := range s.chars {
		ends = c.cut(chars, ends)
	}
	ends = byteOffsets(text, ends)
	if len(s.bytes) == 0 {
		return ends
	}
	chars = chars[:0]
	for i := range len(text) {
		chars = append(chars, byteRune[text[i]])
	}
	for _, c := range s.bytes {
		ends = c.cut(chars, ends)
	}
	return ends
}

// byteOffsets replaces ascending offsets in characters by those in bytes.
func byteOffsets(text string, offsets []int) []int {
	at, chars := 0, 0
	for i, want := range offsets {
		for chars < want {
			_, n := utf8.DecodeRuneInString(text[at:])
			at, chars = at+n, chars+1
		}
		offsets[i] = at
	}
	return offsets
}
