package pickle

import (
	"fmt"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestBuildersMakeTheValueOfPython(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"tuple", pyCall("builtins.tuple", pyList(pyInt(1), pyInt(2))), "{v [1 2]}"},
		{"empty tuple", pyDict(pyStr("x"), pyCall("builtins.tuple"), pyStr("y"), pyInt(1)), "{v.y 1}"},
		{"list", pyCall("builtins.list", pyTuple(pyInt(1))), "{v [1]}"},
		{"set of Python 2", pyCall("__builtin__.set", pyList(pyInt(1))), "{v [1]}"},
		{"deque", pyCall("collections.deque", pyTuple(), "N") + "(" + pyInt(1) + pyInt(2) + "e", "{v [1 2]}"},
		{"dict of a dict", pyCall("builtins.dict", pyDict(pyStr("a"), pyInt(1))), "{v.a 1}"},
		{"Counter", pyCall("collections.Counter", pyDict(pyStr("a"), pyInt(2))), "{v.a 2}"},
		{"defaultdict", pyCall("collections.defaultdict", pyGlobal("builtins.list")) + "(" + pyStr("a") + pyInt(1) + "u", "{v.a 1}"},
		{"int of an int", pyCall("builtins.int", pyInt(7)), "{v 7}"},
		{"bytes of text", pyList(pyCall("_codecs.encode", pyStr("é"), pyStr("latin1")), pyCall("builtins.bytearray", pyStr("a"), pyStr("latin-1")), pyCall("builtins.bytes"), pyInt(1)), "{v.3 1}"},
		{"type tag", pyCall("torch.jit._pickle.restore_type_tag", pyDict(pyStr("a"), pyInt(1)), pyStr("Dict[str, int]")), "{v.a 1}"},
		{"int list", pyCall("torch.jit._pickle.build_intlist", pyList(pyInt(1))), "{v [1]}"},
		{"device without a number", pyCall("torch.device", pyStr("cpu")), "{v cpu}"},
		{"dtype class of numpy", pyCall("numpy.dtypes.Float32DType"), "{v f4}"},
		{"memory format", pyGlobal("torch.channels_last"), "{v torch.channels_last}"},
		{"quantization scheme", pyGlobal("torch.per_tensor_affine"), "{v torch.per_tensor_affine}"},
		{"extension code", pyBuild("\x82\x05)R", pyDict(pyStr("a"), pyInt(1))), "{v.a 1}"},
		{"what an unknown call returned is called", pyCall("my.factory") + pyTuple(pyInt(5)) + "R", "{v.1 5}"},
		{"OBJ", "(" + pyGlobal("my.Thing") + pyInt(5) + "o", "{v [5]}"},
		{"NEWOBJ_EX", pyGlobal("my.Thing") + pyTuple(pyInt(5)) + pyDict(pyStr("k"), pyInt(6)) + "\x92", "{v.1.k 6}"},
		{"NEWOBJ_EX twice over one tuple", "(" + pyInt(5) + "tq\x010" + pyList(pyGlobal("my.Thing")+"h\x01"+pyDict(pyStr("k"), pyInt(6))+"\x92", pyGlobal("my.Thing")+"h\x01"+pyDict(pyStr("k"), pyInt(7))+"\x92"), "{v.0.0 5} {v.0.1.k 6} {v.1.0 5} {v.1.1.k 7}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustRead(t, shared(t, pyDict(pyStr("w"), pyVector("0", 6), pyStr("v"), c.value)), Options{ForceInert: true})
			if got := fmt.Sprint(m.Meta.All()); !strings.Contains(got, c.want+"]") {
				t.Errorf("metadata %s, want %s at the end", got, c.want)
			}
		})
	}
}

func TestTensorSubclassIsNamedInTheNote(t *testing.T) {
	args := pyTuple(pyStorage("torch.FloatStorage", "0", 6), pyInt(0), pyInts(6), pyInts(1), "\x89", "N")
	value := pyCall("torch._tensor._rebuild_from_type_v2", pyGlobal("torch._utils._rebuild_tensor_v2"), pyGlobal("my.Tensor"), args, pyTuple(pyDict(pyStr("scale"), pyFloat(0.5)), "N"))
	m := mustRead(t, shared(t, pyDict(pyStr("w"), value)), Options{})
	wantTensor(t, m, "w", tensor.F32, tensor.Shape{6}, counting(6))
	if note := m.Tensor("w").Origin.Note; note != "tensor subclass my.Tensor" {
		t.Errorf("note %q", note)
	}
	if scale, ok := m.Meta.Float("w.scale"); !ok || scale != 0.5 {
		t.Errorf("w.scale = %v, %v; want 0.5", scale, ok)
	}
}

func TestWholeModuleOfTheLegacyContainerIsRead(t *testing.T) {
	class := pyTuple(pyStr("module"), pyGlobal("my.Net"), pyStr("net.py"), pyStr("class Net: pass")) + "Q"
	value := pyBuild(class+")\x81", pyDict(pyStr("_parameters"), pyDict(pyStr("w"), pyVector("0", 3))))
	m := mustRead(t, legacyFile(value, legacyStorage{"0", 3, counting(3)}), Options{})
	wantTensor(t, m, "w", tensor.F32, tensor.Shape{3}, counting(3))
}

func TestLargeValuesCannotBeUsedWithoutEnd(t *testing.T) {
	numbers := "(" + strings.Repeat("K\x01", 100_000) + "tq\x010"
	view := func(size string) string {
		return pyGlobal("torch._utils._rebuild_tensor") + "(h\x03K\x00" + size + size + "tR"
	}
	for _, c := range []struct{ name, value string }{
		{"sizes", numbers + pyStorage("torch.FloatStorage", "0", 6) + "q\x030](" + strings.Repeat(view("h\x01"), 20_000) + "e"},
		{"copies of a list", numbers + "](" + strings.Repeat(pyGlobal("builtins.list")+"h\x01\x85R", 20_000) + "e"},
		{"copies of a dict", "}q\x01(" + strings.Repeat("K\x01K\x02", 100_000) + "u0](" + strings.Repeat(pyGlobal("collections.Counter")+"h\x01\x85R", 20_000) + "e"},
		{"bytes of text", pyStr(strings.Repeat("x", 1<<20)) + "q\x010](" + strings.Repeat(pyGlobal("builtins.bytes")+"h\x01\x85R", 20_000) + "e"},
	} {
		_, err := readBytes(shared(t, c.value), Options{})
		if wantError(t, err, tensor.ErrTooLarge); t.Failed() {
			t.Fatal(c.name)
		}
	}
}

func TestEveryTorchTypeIsAValue(t *testing.T) {
	for alias, name := range dtypeAliases {
		v, ok := builders["torch."+alias].value.(*scalarType)
		if !ok || v.name != name {
			t.Errorf("torch.%s is %v, want %s", alias, v, name)
		}
	}
	for _, s := range scalarTypes {
		layout, ok := s.dtype.Layout()
		if !ok || int64(layout.Bytes) != s.item {
			t.Errorf("%s takes %d bytes, %v takes %d", s.name, s.item, s.dtype, layout.Bytes)
		}
		for _, mask := range [][]byte{s.sign, s.conj} {
			if mask != nil && int64(len(mask)) != s.item {
				t.Errorf("%s has a mask of %d bytes, want %d", s.name, len(mask), s.item)
			}
		}
	}
}
