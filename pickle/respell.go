package pickle

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/smelt-project/smelt/tensor"
)

// A speller writes an audited pickle once more while it is read, in opcodes on
// which gopickle's machine asks us for every class and does no harm. That machine resolves six
// globals before its hook sees them, keeps sets in Go maps (which lose their
// order and panic on bytes), panics on the integer of no bytes, and leaves the
// escapes of text strings as they are. So
//
//	GLOBAL m n              becomes  PERSID "m\x00n"
//	m n STACK_GLOBAL        becomes  m n TUPLE2 BINPERSID
//	MARK args INST m n      becomes  MARK args TUPLE PERSID "m\x00n" TUPLE2 BINPERSID
//	id BINPERSID            becomes  id TUPLE1 BINPERSID
//	PERSID id               becomes  BINUNICODE id TUPLE1 BINPERSID
//	EMPTY_SET … ADDITEMS    becomes  EMPTY_LIST … APPENDS
//	MARK … FROZENSET        becomes  MARK … LIST
//	LONG1 or LONG4 of 0     becomes  BININT1 0
//	STRING, UNICODE         become   BINSTRING, BINUNICODE of what they mean
//	FRAME                   is left out
//
// and machine.persistent tells the four kinds apart by the length of the tuple.
type speller struct {
	b     []byte
	start int    // of the instructions that out spells
	end   int    // of them
	out   []byte // what is being read
	done  int    // bytes of out that have been read
	own   []byte // the memory of out, unless out is a part of b
	err   error  // why the instruction at end cannot be spelled
}

// spellAhead is how much is spelled at a time.
const spellAhead = 4 << 10

// Read implements io.Reader.
func (s *speller) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := s.fill(); err != nil {
		return 0, err
	}
	n := copy(p, s.out[s.done:])
	s.done += n
	return n, nil
}

// ReadByte implements io.ByteReader.
func (s *speller) ReadByte() (byte, error) {
	if err := s.fill(); err != nil {
		return 0, err
	}
	s.done++
	return s.out[s.done-1], nil
}

// fill spells the next instructions if all that was spelled has been read. One
// that is longer than spellAhead, and the same in both spellings, is read from
// the pickle itself.
func (s *speller) fill() error {
	for s.done == len(s.out) {
		if s.err != nil {
			return s.err
		}
		if s.end == len(s.b) {
			return io.EOF
		}
		s.start, s.done, s.out = s.end, 0, s.own[:0]
		if whole := s.next(s.end); len(whole) > spellAhead && isCounted(whole[0]) {
			s.out, s.end = whole, s.end+len(whole)
			return nil
		}
		s.spell()
	}
	return nil
}

// spell spells short instructions from end on.
func (s *speller) spell() {
	for s.end < len(s.b) && len(s.out) < spellAhead {
		whole := s.next(s.end)
		if len(whole) > spellAhead && isCounted(whole[0]) {
			break
		}
		out, err := respellOne(s.out, whole)
		if err != nil {
			s.err = err
			break
		}
		s.out, s.end = out, s.end+len(whole)
	}
	s.own = s.out
}

// next returns the instruction at pos.
func (s *speller) next(pos int) []byte {
	end := operandEnd(s.b, pos)
	if end <= pos || end > len(s.b) {
		panic("pickle: a pickle that the audit has not passed is spelled")
	}
	return s.b[pos:end]
}

// at returns where the instruction starts whose spelling was read last, or the
// one that cannot be spelled.
func (s *speller) at() int {
	if s.err != nil && s.done == len(s.out) {
		return s.end
	}
	pos := s.start
	for n := 0; pos < s.end; {
		whole := s.next(pos)
		if len(whole) > spellAhead && isCounted(whole[0]) {
			break
		}
		out, err := respellOne(nil, whole)
		if n += len(out); err != nil || n >= s.done {
			break
		}
		pos += len(whole)
	}
	return pos
}

// isCounted reports whether an instruction has bytes behind a length. None of
// these that is long is spelled differently.
func isCounted(op byte) bool { return opcodes[op].arg >= count1 }

// Opcodes of pickle that a speller reads or writes (CPython Lib/pickle.py).
const (
	opMark        = '('
	opInst        = 'i'
	opGlobal      = 'c'
	opPersID      = 'P'
	opBinPersID   = 'Q'
	opString      = 'S'
	opUnicode     = 'V'
	opBinString   = 'T'
	opBinUnicode  = 'X'
	opTuple       = 't'
	opList        = 'l'
	opEmptyList   = ']'
	opAppends     = 'e'
	opBinInt1     = 'K'
	opTuple1      = '\x85'
	opTuple2      = '\x86'
	opLong1       = '\x8a'
	opLong4       = '\x8b'
	opEmptySet    = '\x8f'
	opAddItems    = '\x90'
	opFrozenSet   = '\x91'
	opStackGlobal = '\x93'
	opFrame       = '\x95'
)

func respellOne(out, whole []byte) ([]byte, error) {
	operand := whole[1:]
	switch whole[0] {
	case opFrame:
		return out, nil
	case opGlobal:
		return appendGlobal(out, operand), nil
	case opStackGlobal:
		return append(out, opTuple2, opBinPersID), nil
	case opInst:
		return append(appendGlobal(append(out, opTuple), operand), opTuple2, opBinPersID), nil
	case opBinPersID:
		return append(out, opTuple1, opBinPersID), nil
	case opPersID:
		return append(appendText(out, opBinUnicode, operand[:len(operand)-1]), opTuple1, opBinPersID), nil
	case opEmptySet:
		return append(out, opEmptyList), nil
	case opAddItems:
		return append(out, opAppends), nil
	case opFrozenSet:
		return append(out, opList), nil
	case opLong1, opLong4:
		if isZero(operand) {
			return append(out, opBinInt1, 0), nil
		}
	case opString:
		s, err := unescapeString(operand[:len(operand)-1])
		return appendText(out, opBinString, s), err
	case opUnicode:
		s, err := unescapeUnicode(operand[:len(operand)-1])
		return appendText(out, opBinUnicode, s), err
	}
	return append(out, whole...), nil
}

// appendGlobal writes the two lines of a GLOBAL as the one of a PERSID.
func appendGlobal(out, lines []byte) []byte {
	module, name, _ := strings.Cut(string(lines), "\n")
	return append(append(append(append(out, opPersID), module...), 0), name...)
}

func appendText(out []byte, op byte, s []byte) []byte {
	out = binary.LittleEndian.AppendUint32(append(out, op), uint32(len(s))) //nolint:gosec // a line of an audited pickle is short
	return append(out, s...)
}

// isZero reports whether the operand of a LONG is nothing but a length of zero.
func isZero(operand []byte) bool {
	for _, b := range operand {
		if b != 0 {
			return false
		}
	}
	return len(operand) == 1 || len(operand) == 4
}

// escapes are the one-letter escapes of a Python string literal.
var escapes = map[byte]byte{'\\': '\\', '\'': '\'', '"': '"', 'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// unescapeString reads the operand of STRING: a quoted literal of bytes.
func unescapeString(s []byte) ([]byte, error) {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
		return nil, fmt.Errorf("STRING %.40q has no quotes: %w", s, tensor.ErrCorrupt)
	}
	s = s[1 : len(s)-1]
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		if c, ok := escapes[s[i]]; ok {
			out = append(out, c)
			continue
		}
		n, width := numericEscape(s[i:])
		if width == 0 {
			out = append(out, '\\', s[i])
			continue
		}
		out = append(out, n)
		i += width - 1
	}
	return out, nil
}

// numericEscape reads the xhh or ooo at the start of s; width is 0 if there is none.
func numericEscape(s []byte) (n byte, width int) {
	base, digits := 8, s[:min(3, len(s))]
	if s[0] == 'x' {
		base, width, digits = 16, 1, s[1:min(3, len(s))]
		if len(digits) < 2 {
			return 0, 0
		}
	}
	for k := len(digits); k > 0; k-- {
		if v, err := strconv.ParseUint(string(digits[:k]), base, 16); err == nil {
			return byte(v), width + k //nolint:gosec // Python keeps the low eight bits too
		}
		if base == 16 {
			break
		}
	}
	return 0, 0
}

// unescapeUnicode reads the operand of UNICODE: Latin-1 with \uXXXX and
// \UXXXXXXXX (Python's raw-unicode-escape). A backslash that another one
// precedes does not begin an escape.
func unescapeUnicode(s []byte) ([]byte, error) {
	out := make([]byte, 0, len(s))
	backslashes := 0
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			backslashes = 0
			out = utf8.AppendRune(out, rune(s[i]))
			continue
		}
		backslashes++
		r, width, err := unicodeEscape(s[i:])
		if err != nil {
			return nil, err
		}
		if width == 0 || backslashes%2 == 0 {
			out = append(out, '\\')
			continue
		}
		backslashes = 0
		out = utf8.AppendRune(out, r)
		i += width - 1
	}
	return out, nil
}

// unicodeEscape reads the escape at the start of s, a surrogate pair of a
// narrow Python 2 as the one character it is; width is 0 if there is none.
func unicodeEscape(s []byte) (r rune, width int, err error) {
	r, width = hexEscape(s)
	if width == 0 {
		return 0, 0, nil
	}
	if utf16.IsSurrogate(r) {
		low, more := hexEscape(s[width:])
		r, width = utf16.DecodeRune(r, low), width+more
		if r == utf8.RuneError {
			return 0, 0, fmt.Errorf("UNICODE %.40q holds half of a surrogate pair: %w", s, tensor.ErrUnsupported)
		}
	}
	if r > utf8.MaxRune {
		return 0, 0, fmt.Errorf("UNICODE %.40q is past the last character: %w", s, tensor.ErrCorrupt)
	}
	return r, width, nil
}

func hexEscape(s []byte) (r rune, width int) {
	if len(s) < 2 || s[0] != '\\' || s[1] != 'u' && s[1] != 'U' {
		return 0, 0
	}
	digits := 4
	if s[1] == 'U' {
		digits = 8
	}
	if len(s) < 2+digits {
		return 0, 0
	}
	n, err := strconv.ParseUint(string(s[2:2+digits]), 16, 31)
	if err != nil {
		return 0, 0
	}
	return rune(n), 2 + digits
}
