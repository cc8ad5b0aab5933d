package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A plain writer passes on text whose every character prints. Others, which
// could move a terminal's cursor, hide text or turn its direction, become the
// escapes that JSON and Go have for them; so do bytes that are not UTF-8. Each
// call of Write is a whole number of characters.
type plain struct {
	w    io.Writer
	keep string // passed on though it does not print
}

const (
	lineBreaks = "\n\t"
	// joiners belong to the spelling of Persian, Hindi and other languages.
	joiners = "\u200c\u200d"
)

// Write implements io.Writer.
func (p plain) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.w, printable(string(b), p.keep)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// inline returns s as one line of characters that print.
func inline(s string) string { return printable(s, "") }

// printable escapes the characters of s that do not print and are not in keep.
func printable(s, keep string) string {
	if strings.IndexFunc(s, func(r rune) bool { return mustEscape(r, keep) }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !mustEscape(r, keep):
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func mustEscape(r rune, keep string) bool {
	return r == utf8.RuneError || !unicode.IsPrint(r) && !strings.ContainsRune(keep, r)
}

// quoted returns s in quotes, cut to about limit characters.
func quoted(s string, limit int) string {
	n := 0
	for i := range s {
		if n++; n > limit {
			return fmt.Sprintf("%s… (%d bytes)", strconv.Quote(s[:i]), len(s))
		}
	}
	return strconv.Quote(s)
}

// scales names powers of a thousand as they are used for parameter counts.
var scales = []struct {
	from float64
	name string
}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}}

// humanCount returns n with three digits: "134 M".
func humanCount(n int64) string {
	for _, s := range scales {
		if x := float64(n) / s.from; x >= 1 {
			digits := 2
			for d := x; d >= 10 && digits > 0; d /= 10 {
				digits--
			}
			return strconv.FormatFloat(x, 'f', digits, 64) + " " + s.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// plural returns "1 tensor", "2 tensors".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
