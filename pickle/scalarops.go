package pickle

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/smelt-project/smelt/tensor"
)

func runInt(w *auditor, o op) error {
	if err := decimal(w.text(o), 20); err != nil {
		return err
	}
	return w.push(kOther, o)
}

// longDigits is how many decimal digits and a sign 255 bytes need.
const longDigits = 616

func runLong(w *auditor, o op) error {
	if err := decimal(bytes.TrimSuffix(w.text(o), []byte("L")), longDigits); err != nil {
		return err
	}
	return w.push(kOther, o)
}

// decimal accepts what Python's int and Go's strconv read alike.
func decimal(s []byte, most int) error {
	digits := s
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		digits = s[1:]
	}
	if len(s) > most {
		return fmt.Errorf("integer of %d characters, the limit is %d: %w", len(s), most, tensor.ErrTooLarge)
	}
	if len(digits) == 0 || bytes.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) {
		return fmt.Errorf("%.40q is no integer: %w", s, tensor.ErrCorrupt)
	}
	return nil
}

func runFloat(w *auditor, o op) error {
	s := w.text(o)
	switch string(bytes.TrimLeft(s, "+-")) {
	case "inf", "nan":
		return w.push(kOther, o)
	}
	if len(s) == 0 || len(s) > 400 || bytes.ContainsFunc(s, func(r rune) bool { return !bytes.ContainsRune([]byte("0123456789+-.eE"), r) }) {
		return fmt.Errorf("%.40q is no number: %w", s, tensor.ErrCorrupt)
	}
	return w.push(kOther, o)
}

func runBinLong(w *auditor, o op) error {
	n := o.end - o.body
	if n > w.lim.Long {
		return fmt.Errorf("integer of %d bytes, the limit is %d: %w", n, w.lim.Long, tensor.ErrTooLarge)
	}
	return w.push(kOther, o)
}

func runText(w *auditor, o op) error {
	if n := int64(o.end - o.body); n > w.lim.Text {
		return fmt.Errorf("string of %d bytes, the limit is %d: %w", n, w.lim.Text, tensor.ErrTooLarge)
	}
	w.memory += int64(o.end - o.body) // it is read, and then converted
	return w.push(kStr, o)
}

// runUTF8 accepts what Python decodes with "surrogatepass".
func runUTF8(w *auditor, o op) error {
	if b := w.b[o.body:o.end]; !utf8.Valid(b) && !utf8.Valid(withoutSurrogates(b)) {
		return fmt.Errorf("string %.40q is not UTF-8: %w", b, tensor.ErrCorrupt)
	}
	return runText(w, o)
}

// withoutSurrogates returns b without the three-byte encodings of U+D800 to U+DFFF.
func withoutSurrogates(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == 0xed && i+2 < len(b) && b[i+1] >= 0xa0 && b[i+1] <= 0xbf && b[i+2]&0xc0 == 0x80 {
			i += 2
			continue
		}
		out = append(out, b[i])
	}
	return out
}

func runQuoted(w *auditor, o op) error {
	s := w.text(o)
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
		return fmt.Errorf("%.40q is not quoted: %w", s, tensor.ErrCorrupt)
	}
	return w.push(kStr, o)
}
