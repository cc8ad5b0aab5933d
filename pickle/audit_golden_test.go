package pickle

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// golden is testdata/pickles.json, which testdata/make_pickles.py writes.
type golden struct {
	Opcodes []struct {
		Name  string
		Code  byte
		Proto uint8
		Arg   string
	}
	Pickles []goldenPickle
}

type goldenPickle struct {
	Name    string
	Proto   int
	Pickle  packed
	Ops     packed
	Globals [][2]string
}

// packed is zlib-compressed bytes in base64.
type packed []byte

func (p *packed) UnmarshalText(text []byte) error {
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		return err
	}
	z, err := zlib.NewReader(bytes.NewReader(b[:n]))
	if err != nil {
		return err
	}
	*p, err = io.ReadAll(z)
	return err
}

func readGolden(tb testing.TB) golden {
	tb.Helper()
	b, err := os.ReadFile("testdata/pickles.json")
	if err != nil {
		tb.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		tb.Fatal(err)
	}
	return g
}

// pythonOperands are the operand kinds of pickletools by their names there.
var pythonOperands = map[string]operand{
	"": none, "uint1": fixed1, "uint2": fixed2, "int4": fixed4, "uint4": fixed4, "uint8": fixed8, "float8": fixed8,
	"stringnl": line, "stringnl_noescape": line, "unicodestringnl": line, "decimalnl_short": line, "decimalnl_long": line, "floatnl": line,
	"stringnl_noescape_pair": lines2,
	"string1":                count1, "bytes1": count1, "unicodestring1": count1, "long1": count1,
	"bytes4": count4, "unicodestring4": count4, "string4": signed4, "long4": signed4,
	"bytes8": count8, "unicodestring8": count8, "bytearray8": count8,
}

func TestOpcodesAreThoseOfPython(t *testing.T) {
	g := readGolden(t)
	left := map[byte]bool{}
	for i, o := range opcodes {
		if o.run != nil {
			left[byte(i)] = true
		}
	}
	for _, want := range g.Opcodes {
		got := opcodes[want.Code]
		arg, ok := pythonOperands[want.Arg]
		if got.name != want.Name || got.proto != want.Proto || !ok || got.arg != arg {
			t.Errorf("opcodes[0x%02x] = %s, protocol %d, operand %d; want %s, protocol %d, operand %q", want.Code, got.name, got.proto, got.arg, want.Name, want.Proto, want.Arg)
		}
		delete(left, want.Code)
	}
	if len(left) > 0 {
		t.Errorf("opcodes that Python does not have: %v", left)
	}
}

func TestAuditAcceptsWhatPythonWrites(t *testing.T) {
	for _, p := range readGolden(t).Pickles {
		t.Run(fmt.Sprintf("%s/%d", p.Name, p.Proto), func(t *testing.T) {
			tail := append(slices.Clone(p.Pickle), "behind"...)
			a := audit(tail, Limits{})
			if a.Err != nil {
				t.Fatal(a.Err)
			}
			if a.Size != int64(len(p.Pickle)) {
				t.Errorf("Size = %d, want %d", a.Size, len(p.Pickle))
			}
			if ops := strings.Fields(string(p.Ops)); a.Opcodes != len(ops) {
				t.Errorf("Opcodes = %d, want %d", a.Opcodes, len(ops))
			}
			var asked [][2]string
			for _, g := range a.Globals {
				if g.Kind != Dynamic {
					asked = append(asked, [2]string{g.Module, g.Name})
				}
			}
			if !slices.Equal(asked, p.Globals) {
				t.Errorf("Globals = %v, want %v", asked, p.Globals)
			}
		})
	}
}

func TestAuditReadsInstructionsAsPythonDoes(t *testing.T) {
	for _, p := range readGolden(t).Pickles {
		w := newAuditor(p.Pickle, Limits{}.withDefaults())
		var got []string
		for !w.stopped {
			o, err := w.next()
			if err != nil {
				t.Errorf("%s/%d: %v", p.Name, p.Proto, err)
				break
			}
			got = append(got, fmt.Sprintf("%d:%s", o.start, opcodes[o.code].name))
			if err := opcodes[o.code].run(w, o); err != nil {
				t.Errorf("%s/%d: %v", p.Name, p.Proto, err)
				break
			}
		}
		if want := strings.Fields(string(p.Ops)); !slices.Equal(got, want) {
			t.Errorf("%s/%d: read %.300q, want %.300q", p.Name, p.Proto, got, want)
		}
	}
}

func TestOperandEndFindsTheNextInstruction(t *testing.T) {
	for _, p := range readGolden(t).Pickles {
		ops := strings.Fields(string(p.Ops))
		at := 0
		for i := range ops {
			at = operandEnd(p.Pickle, at)
			next := len(p.Pickle)
			if i+1 < len(ops) {
				if _, err := fmt.Sscanf(ops[i+1], "%d:", &next); err != nil {
					t.Fatal(err)
				}
			}
			if at != next {
				t.Fatalf("%s/%d: operandEnd of %s = %d, want %d", p.Name, p.Proto, ops[i], at, next)
			}
		}
	}
}

// Every prefix of a pickle lacks at least its STOP.
func TestAuditRefusesEveryPrefix(t *testing.T) {
	for _, p := range readGolden(t).Pickles {
		step := 1 + len(p.Pickle)/200
		for n := 0; n < len(p.Pickle); n += step {
			a := audit(p.Pickle[:n], Limits{})
			if a.Err == nil {
				t.Errorf("%s/%d: the first %d of %d bytes pass", p.Name, p.Proto, n, len(p.Pickle))
			}
			if a.Size > int64(n) {
				t.Errorf("%s/%d: Size = %d of %d bytes", p.Name, p.Proto, a.Size, n)
			}
		}
	}
}
