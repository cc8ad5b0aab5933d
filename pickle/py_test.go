package pickle

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// Pickles are written here as expressions: py… returns the instructions that
// push one value.

func pyStr(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func pyBytes(s string) string {
	return "B" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func pyInt(n int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func pyFloat(f float64) string {
	return "G" + string(binary.BigEndian.AppendUint64(nil, math.Float64bits(f)))
}

func pyInts(n ...int64) string {
	s := "("
	for _, v := range n {
		s += pyInt(v)
	}
	return s + "t"
}

func pyTuple(items ...string) string { return "(" + strings.Join(items, "") + "t" }
func pyList(items ...string) string  { return "](" + strings.Join(items, "") + "e" }

// pyDict takes keys and values in turn.
func pyDict(items ...string) string { return "}(" + strings.Join(items, "") + "u" }

func pyGlobal(dotted string) string {
	i := strings.LastIndexByte(dotted, '.')
	return "c" + dotted[:i] + "\n" + dotted[i+1:] + "\n"
}

func pyCall(dotted string, args ...string) string { return pyGlobal(dotted) + pyTuple(args...) + "R" }
func pyNew(dotted string) string                  { return pyGlobal(dotted) + ")\x81" }
func pyBuild(object, state string) string         { return object + state + "b" }

// pyStorage is a persistent id of torch.save.
func pyStorage(class, key string, numel int64) string {
	return pyTuple(pyStr("storage"), pyGlobal(class), pyStr(key), pyStr("cpu"), pyInt(numel)) + "Q"
}

// pyTensor is a tensor over a storage.
func pyTensor(storage string, offset int64, size, stride []int64) string {
	return pyCall("torch._utils._rebuild_tensor_v2", storage, pyInt(offset), pyInts(size...), pyInts(stride...), "\x89", pyCall("collections.OrderedDict"))
}

// pyVector is a float32 vector that is all of a storage.
func pyVector(key string, n int64) string {
	return pyTensor(pyStorage("torch.FloatStorage", key, n), 0, []int64{n}, []int64{1})
}

func pyPickle(v string) string { return "\x80\x02" + v + "." }

// A part is one member of an archive.
type zipPart struct{ name, data string }

// torchZip is a checkpoint as torch.save writes it: a value, and storages.
func torchZip(t testing.TB, value string, storages ...zipPart) []byte {
	t.Helper()
	parts := []zipPart{{"data.pkl", pyPickle(value)}}
	for _, s := range storages {
		parts = append(parts, zipPart{"data/" + s.name, s.data})
	}
	return zipOf(t, append(parts, zipPart{"version", "3\n"})...)
}

func zipOf(t testing.TB, parts ...zipPart) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, p := range parts {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "m/" + p.name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(p.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readBytes(b []byte, opt Options) (*tensor.Model, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "file.pt", opt)
}

func mustRead(t testing.TB, b []byte, opt Options) *tensor.Model {
	t.Helper()
	m, err := readBytes(b, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// f32s is the bytes of float32 numbers.
func f32s(v ...float32) string {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return string(b)
}

// count is 0, 1, 2 … as float32.
func counting(n int) string {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i)
	}
	return f32s(v...)
}

// wantTensor compares a tensor with its expected elements in bytes.
func wantTensor(t *testing.T, m *tensor.Model, name string, dtype tensor.DType, shape tensor.Shape, data string) {
	t.Helper()
	x := m.Tensor(name)
	if x == nil {
		t.Errorf("no tensor %q among %v", name, namesOf(m))
		return
	}
	b, err := x.ReadAll()
	if err != nil {
		t.Error(err)
		return
	}
	if x.DType != dtype || !x.Shape.Equal(shape) || string(b) != data {
		t.Errorf("%s = %v %v %x, want %v %v %x", name, x.DType, x.Shape, b, dtype, shape, data)
	}
}

func namesOf(m *tensor.Model) []string {
	var names []string
	for _, t := range m.Tensors() {
		names = append(names, t.Name)
	}
	return names
}

func wantNames(t *testing.T, m *tensor.Model, want ...string) {
	t.Helper()
	if got := namesOf(m); !slices.Equal(got, want) {
		t.Errorf("tensors %q, want %q", got, want)
	}
}

func wantNote(t *testing.T, m *tensor.Model, part string) {
	t.Helper()
	if !strings.Contains(strings.Join(m.Notes, "\n"), part) {
		t.Errorf("notes %q, want one with %q", m.Notes, part)
	}
}

// wantError requires an error of a class that names the file and says parts.
func wantError(t *testing.T, err, class error, parts ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("error %v, want one of class %q", err, class)
		return
	}
	for _, p := range append(parts, "file.pt") {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}

func digestOf(t *testing.T, x *tensor.Tensor) string {
	t.Helper()
	sum, err := x.Digest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum)
}

func asDanger(err error, to **DangerError) bool { return errors.As(err, to) }

func asError(err error, to **tensor.Error) bool { return errors.As(err, to) }

var errNotExist = os.ErrNotExist
