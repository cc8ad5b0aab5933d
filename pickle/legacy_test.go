package pickle

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// A legacyStorage is what follows the five pickles.
type legacyStorage struct {
	key   string
	numel int64
	data  string
}

const pyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

// legacyFile is a file as PyTorch before 1.6 writes it.
func legacyFile(value string, storages ...legacyStorage) []byte {
	return legacyOf(pyDict(pyStr("little_endian"), "\x88"), value, storages...)
}

func legacyOf(system, value string, storages ...legacyStorage) []byte {
	var keys []string
	tail := ""
	for _, s := range storages {
		keys = append(keys, pyStr(s.key))
		tail += string(binary.LittleEndian.AppendUint64(nil, uint64(s.numel))) + s.data
	}
	return []byte(pyMagic + pyPickle("M\xe9\x03") + pyPickle(system) + pyPickle(value) + pyPickle(pyList(keys...)) + tail)
}

// pyViewStorage is the persistent id of a part of a storage.
func pyViewStorage(numel int64, view ...string) string {
	return pyTuple(pyStr("storage"), pyGlobal("torch.FloatStorage"), pyStr("0"), pyStr("cpu"), pyInt(numel), pyTuple(view...)) + "Q"
}

func TestLegacyFileIsRead(t *testing.T) {
	value := pyDict(
		pyStr("b"), pyTensor(pyStorage("torch.DoubleStorage", "7", 1), 0, []int64{1}, []int64{1}),
		pyStr("a"), pyVector("0", 3),
		pyStr("part"), pyTensor(pyViewStorage(3, pyStr("9"), pyInt(1), pyInt(2)), 1, []int64{1}, []int64{1}))
	b := legacyFile(value, legacyStorage{"0", 3, counting(3)}, legacyStorage{"7", 1, "12345678"})
	m := mustRead(t, b, Options{Strict: true})
	wantNames(t, m, "b", "a", "part")
	wantTensor(t, m, "b", tensor.F64, tensor.Shape{1}, "12345678")
	wantTensor(t, m, "a", tensor.F32, tensor.Shape{3}, counting(3))
	wantTensor(t, m, "part", tensor.F32, tensor.Shape{1}, f32s(2))
	if o := m.Tensor("b").Origin.Offset; string(b[o:o+8]) != "12345678" {
		t.Errorf("offset %d holds %q", o, b[o:o+8])
	}
	if m.Format != "PyTorch legacy" || m.Meta.Text("pytorch.container") != "legacy" {
		t.Errorf("format %q, container %q", m.Format, m.Meta.Text("pytorch.container"))
	}
}

func TestBigEndianLegacyFileIsSwapped(t *testing.T) {
	b := legacyOf(pyDict(pyStr("little_endian"), "\x89"), pyDict(pyStr("a"), pyVector("0", 1)), legacyStorage{"0", 1, "\x3f\x80\x00\x00"})
	wantTensor(t, mustRead(t, b, Options{}), "a", tensor.F32, tensor.Shape{1}, f32s(1))
}

func TestDamagedLegacyFileIsRefused(t *testing.T) {
	value := pyDict(pyStr("a"), pyVector("0", 3))
	good := string(legacyFile(value, legacyStorage{"0", 3, counting(3)}))
	for _, c := range []struct {
		name  string
		file  string
		class error
		says  string
	}{
		{"last storage cut off", good[:len(good)-1], tensor.ErrCorrupt, "storage 0 takes 12 bytes, the file has 11 more"},
		{"no storage", good[:len(good)-20], tensor.ErrCorrupt, "got 0 of 8 bytes"},
		{"bytes behind", good + "x", tensor.ErrCorrupt, "1 bytes follow the end"},
		{"numel differs", string(legacyFile(value, legacyStorage{"0", 4, counting(4)})), tensor.ErrCorrupt, "has 4 elements in the file and 3 in the pickle"},
		{"numel negative", string(legacyFile(value, legacyStorage{"0", -3, counting(3)})), tensor.ErrCorrupt, "count -3"},
		{"key missing", string(legacyFile(value)), tensor.ErrCorrupt, "uses 1 storages, the list of keys has 0"},
		{"key twice", string(legacyFile(value, legacyStorage{"0", 3, counting(3)}, legacyStorage{"0", 3, counting(3)})), tensor.ErrCorrupt, "not one that the object uses once"},
		{"key unknown", string(legacyFile(value, legacyStorage{"1", 3, counting(3)})), tensor.ErrCorrupt, "not one that the object uses"},
		{"key with two types", string(legacyFile(pyDict(pyStr("a"), pyVector("0", 2), pyStr("b"), pyTensor(pyStorage("torch.DoubleStorage", "0", 1), 0, []int64{1}, []int64{1})), legacyStorage{"0", 2, counting(2)})), tensor.ErrCorrupt, "and also 1 of 8"},
		{"view outside", string(legacyFile(pyDict(pyStr("a"), pyTensor(pyViewStorage(3, pyStr("9"), pyInt(2), pyInt(2)), 0, []int64{1}, []int64{1})), legacyStorage{"0", 3, counting(3)})), tensor.ErrCorrupt, "takes elements 2 and 2 more of 3"},
		{"tensor outside its view", string(legacyFile(pyDict(pyStr("a"), pyTensor(pyViewStorage(3, pyStr("9"), pyInt(1), pyInt(1)), 0, []int64{2}, []int64{1})), legacyStorage{"0", 3, counting(3)})), tensor.ErrCorrupt, "storage holds 1"},
		{"another version", strings.Replace(good, "M\xe9\x03", "M\xea\x03", 1), tensor.ErrUnsupported, "int 1002, want 1001"},
		{"byte order that is no bool", string(legacyOf(pyDict(pyStr("little_endian"), pyInt(1)), value, legacyStorage{"0", 3, counting(3)})), tensor.ErrCorrupt, "little_endian is a int"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readBytes([]byte(c.file), Options{})
			wantError(t, err, c.class, c.says)
		})
	}
}

func TestLegacyFileCutAnywhereIsRefused(t *testing.T) {
	good := legacyFile(pyDict(pyStr("a"), pyVector("0", 3)), legacyStorage{"0", 3, counting(3)})
	for n := range good {
		if m, err := readBytes(good[:n], Options{}); err == nil {
			t.Errorf("%d of %d bytes are read as %v", n, len(good), namesOf(m))
		}
	}
}
