package pickle

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestScalarsOfACheckpointBecomeMetadata(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        any // nil: left out
	}{
		{"integer", pyInt(-5), int64(-5)},
		{"integer of nine bytes", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00", uint64(1 << 63)},
		{"large integer", "\x8a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "1208925819614629174706176"},
		{"float", pyFloat(0.1), 0.1},
		{"infinity", pyFloat(math.Inf(1)), math.Inf(1)},
		{"bool", "\x88", true},
		{"text", pyStr("ü\n🙂"), "ü\n🙂"},
		{"text that is not UTF-8", "U\x01\xff", `\xff`},
		{"None", "N", nil},
		{"bytes", pyBytes("ab"), nil},
		{"complex", pyCall("builtins.complex", pyFloat(1), pyFloat(-2)), "(1-2i)"},
		{"dtype", pyGlobal("torch.bfloat16"), "torch.bfloat16"},
		{"dtype by its other name", pyGlobal("torch.half"), "torch.float16"},
		{"device", pyCall("torch.device", pyStr("cuda"), pyInt(1)), "cuda:1"},
		{"layout", pyGlobal("torch.strided"), "torch.strided"},
		{"size", pyCall("torch.Size", pyInts(2, 3)), []int64{2, 3}},
		{"integers", pyList(pyInt(1), pyInt(2)), []int64{1, 2}},
		{"integers among floats", pyList(pyInt(1), pyFloat(0.5)), []float64{1, 0.5}},
		{"texts", pyTuple(pyStr("a"), pyStr("b")), []string{"a", "b"}},
		{"flags", pyList("\x88", "\x89"), []bool{true, false}},
		{"set", "\x8f(K\x01K\x02\x90", []int64{1, 2}},
		{"empty list", "]", nil},
		{"path", pyCall("pathlib.PosixPath", pyStr("a"), pyStr("b")), []string{"a", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustRead(t, shared(t, pyDict(pyStr("w"), pyVector("0", 6), pyStr("v"), c.value)), Options{})
			if got, _ := m.Meta.Get("v"); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%#v, want %#v", got, c.want)
			}
		})
	}
}

func TestScalarsHaveDottedKeys(t *testing.T) {
	value := pyDict(
		pyStr("w"), pyVector("0", 6),
		pyStr("dims"), pyDict(pyStr("n_mels"), pyInt(80)),
		pyStr("args"), pyBuild(pyNew("argparse.Namespace"), pyDict(pyStr("lr"), pyFloat(0.5))),
		pyStr("mixed"), pyList(pyInt(1), pyStr("a")),
		pyStr("a"), pyDict(pyStr("b"), pyInt(1)), pyStr("a.b"), pyInt(2))
	m := mustRead(t, shared(t, value), Options{})
	for _, want := range []string{"{dims.n_mels 80}", "{args.lr 0.5}", "{mixed.0 1}", "{mixed.1 a}", "{a.b 1}", "{a.b#2 2}"} {
		if got := fmt.Sprint(m.Meta.All()); !strings.Contains(got, want) {
			t.Errorf("metadata %s, want %s", got, want)
		}
	}
}

func TestCheckpointCannotReplaceFactsOfTheContainer(t *testing.T) {
	m := mustRead(t, shared(t, pyDict(pyStr("w"), pyVector("0", 6), pyStr("pytorch.container"), pyStr("mine"))), Options{})
	if got, other := m.Meta.Text("pytorch.container"), m.Meta.Text("pytorch.container#2"); got != "zip" || other != "mine" {
		t.Errorf("pytorch.container = %q and %q, want zip and mine", got, other)
	}
}

func TestOneListUnderTwoNamesIsTwoEntries(t *testing.T) {
	m := mustRead(t, shared(t, pyDict(pyStr("w"), pyVector("0", 6), pyStr("a"), pyList(pyInt(1))+"q\x01", pyStr("b"), "h\x01", pyStr("c"), pyDict(pyStr("x"), pyInt(1))+"q\x02", pyStr("d"), "h\x02")), Options{})
	if got := fmt.Sprint(m.Meta.All()); !strings.Contains(got, "{a [1]} {b [1]} {c.x 1} {d.x 1}") {
		t.Errorf("metadata %s", got)
	}
}

func TestMetadataIsBounded(t *testing.T) {
	many := make([]string, 0, 2*(maxScalars+5))
	for i := range maxScalars + 5 {
		many = append(many, pyStr(fmt.Sprint(i)), pyInt(int64(i)))
	}
	for _, c := range []struct {
		name, value string
		dropped     int
	}{
		{"many", pyDict(many...), 5},
		{"a long text", pyStr(strings.Repeat("x", maxText+1)), 1},
		{"texts that are long together", pyList(pyInt(1), pyList(pyStr(strings.Repeat("x", maxText))+"q\x01"), strings.Repeat("h\x01", 40)), 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustRead(t, shared(t, pyDict(pyStr("w"), pyVector("0", 6), pyStr("v"), c.value)), Options{})
			wantNote(t, m, fmt.Sprintf("%d values are too many or too large", c.dropped))
			var bytes int64
			for _, kv := range m.Meta.All() {
				bytes += sizeOf(kv.Value)
			}
			if m.Meta.Len() > maxScalars+20 || bytes > maxScalarBytes+maxText {
				t.Errorf("%d entries of %d bytes", m.Meta.Len(), bytes)
			}
		})
	}
}
