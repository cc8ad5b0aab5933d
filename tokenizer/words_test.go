package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// testdata/splits.json is where the tokenizers library cuts the corpus, by the
// definitions of published tokenizer.json files.
func TestWordsAreThoseOfTheOriginals(t *testing.T) {
	want := loadTestdata[map[string][][]int](t, "splits.json")
	for _, c := range loadTestdata[[]preFacts](t, "pretokenizers.json") {
		s := named(c.Want).splitter()
		for i, text := range Corpus() {
			if got := lengths(s.split(text)); !slices.Equal(got, want[c.Source][i]) {
				t.Errorf("%s (%s): %q is cut into\n     %q\nwant %q", c.Want, c.Source, text, cut(text, got), cut(text, want[c.Source][i]))
			}
		}
	}
}

// lengths turns ends into lengths.
func lengths(ends []int) []int {
	var list []int
	from := 0
	for _, end := range ends {
		list, from = append(list, end-from), end
	}
	return list
}

func cut(text string, lengths []int) []string {
	var words []string
	for _, n := range lengths {
		words, text = append(words, text[:n]), text[n:]
	}
	return words
}

func TestWordsCoverTheText(t *testing.T) {
	for i := range preTokenizers {
		p := &preTokenizers[i]
		s := p.splitter()
		for _, text := range append(Corpus(), "", "a", "\xff\xfe broken \x80", "\xe2\x82 12") {
			ends := s.split(text)
			if text == "" && len(ends) == 1 && ends[0] == 0 {
				continue
			}
			if !slices.IsSorted(ends) || len(ends) == 0 || ends[len(ends)-1] != len(text) {
				t.Errorf("%s: %q is cut at %v", p.name, text, ends)
			}
			if slices.Contains(lengths(ends), 0) {
				t.Errorf("%s: %q has a word without bytes: %v", p.name, text, ends)
			}
		}
	}
}

func TestEveryNameIsOfOneRow(t *testing.T) {
	for i := range preTokenizers {
		p := &preTokenizers[i]
		for _, name := range append([]string{p.name}, p.also...) {
			if got := named(name); got != p {
				t.Errorf("%q is of the rows %s and %s", name, got.name, p.name)
			}
		}
	}
}

// hostileUnits make a text that is as long as it is tiresome to an expression.
var hostileUnits = []string{"a", "A", " ", "\n", "\r\n", "1", "!", "'", "\u0301", "日", "aA", " a", "1a", " \n", "\t!", "<sentinel:1", "IMGIMGA"}

func TestLongRunsAreCut(t *testing.T) {
	for i := range preTokenizers {
		p := &preTokenizers[i]
		s := p.splitter()
		for _, unit := range hostileUnits {
			for _, end := range []string{"", "x", "\n"} {
				text := strings.Repeat(unit, 500) + end
				if ends := s.split(text); ends[len(ends)-1] != len(text) {
					t.Errorf("%s: %q… is cut at %v", p.name, unit, ends)
				}
			}
		}
	}
}

// The speed must not fall with the length.
func BenchmarkSplitHostile(b *testing.B) {
	for i := range preTokenizers {
		p := &preTokenizers[i]
		s := p.splitter()
		for _, n := range []int{1 << 12, 1 << 18} {
			b.Run(fmt.Sprintf("%s/%d", p.name, n), func(b *testing.B) {
				b.SetBytes(int64(n * len(hostileUnits)))
				for b.Loop() {
					for _, unit := range hostileUnits {
						s.split(strings.Repeat(unit, n/len(unit)) + "x")
					}
				}
			})
		}
	}
}
