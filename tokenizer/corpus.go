package tokenizer

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// Every line is a text. What an editor might change is written as in Go strings.
//
//go:embed corpus.txt
var corpus string

// Corpus returns texts that tell tokenizers apart: the scripts in use, numbers,
// code, signs, white space, characters that are easily lost, and names of special
// tokens.
func Corpus() []string {
	var texts []string
	for line := range strings.Lines(corpus) {
		texts = append(texts, unescape(strings.TrimSuffix(line, "\n")))
	}
	return texts
}

// unescape reads the escapes of Go strings; quotes need none.
func unescape(line string) string {
	var b strings.Builder
	for line != "" {
		r, _, rest, err := strconv.UnquoteChar(line, 0)
		if err != nil {
			panic(fmt.Sprintf("tokenizer: corpus.txt: %v at %q", err, line))
		}
		b.WriteRune(r)
		line = rest
	}
	return b.String()
}
