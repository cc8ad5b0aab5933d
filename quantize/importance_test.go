package quantize

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// An entry is one tensor of an imatrix.dat.
type entry struct {
	name   string
	calls  int32
	values []float32
}

// dat returns an imatrix.dat; trailer is what follows the entries.
func dat(trailer []byte, entries ...entry) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(entries)))
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.name)))
		b = append(b, e.name...)
		b = binary.LittleEndian.AppendUint32(b, uint32(e.calls))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.values)))
		for _, v := range e.values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return append(b, trailer...)
}

// datTrailer is the end of newer files: chunks and the name of the text.
func datTrailer(chunks uint32, dataset string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, chunks)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(dataset)))
	return append(b, dataset...)
}

func readDat(b []byte) (*Importance, error) {
	return ReadImportance(bytes.NewReader(b), int64(len(b)), "m.dat")
}

func TestOldImportanceIsSumsOverCalls(t *testing.T) {
	m, err := readDat(dat(datTrailer(7, "wiki.txt"), entry{"a", 4, []float32{8, 0, 3}}, entry{"b", 0, []float32{5}}))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.matrices["a"]; !slices.Equal(got, []float32{2, 0, 0.75}) {
		t.Errorf("a = %v, want [2 0 0.75]", got)
	}
	if got := m.matrices["b"]; !slices.Equal(got, []float32{5}) {
		t.Errorf("b without calls = %v, want [5]", got)
	}
	if m.Len() != 2 || m.Chunks != 7 || m.Dataset != "wiki.txt" || !slices.Equal(m.Names(), []string{"a", "b"}) {
		t.Errorf("%d entries, %d chunks of %q; want 2, 7, wiki.txt", m.Len(), m.Chunks, m.Dataset)
	}
	if m, err := readDat(dat(nil, entry{"a", 1, []float32{1}})); err != nil || m.Chunks != 0 || m.Dataset != "" {
		t.Errorf("without trailer: %+v, %v", m, err)
	}
}

// Every file that is cut short says where, but for the places between which
// older files end.
func TestOldImportanceCutAnywhereIsRefused(t *testing.T) {
	whole := dat(datTrailer(7, "wiki.txt"), entry{"a", 4, []float32{8, 0, 3}}, entry{"bc", 1, []float32{5}})
	old := len(whole) - len(datTrailer(7, "wiki.txt"))
	for n := range whole {
		_, err := readDat(whole[:n])
		if n == old {
			if err != nil {
				t.Errorf("cut before the trailer: %v", err)
			}
			continue
		}
		var e *tensor.Error
		if !errors.As(err, &e) || e.File != "m.dat" || !errors.Is(err, tensor.ErrCorrupt) {
			t.Errorf("cut to %d of %d bytes: %v, want ErrCorrupt in m.dat", n, len(whole), err)
		}
	}
}

func TestHostileOldImportanceIsRefused(t *testing.T) {
	word := func(v ...uint32) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, x)
		}
		return b
	}
	const huge = math.MaxInt32
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "file ends at 0"},
		{"no entries", word(0), "number of entries is 0"},
		{"negative entries", word(1 << 31), "number of entries is -2147483648"},
		{"more entries than bytes", append(word(huge), make([]byte, 64)...), "number of entries is 2147483647, want 1 to 3"},
		{"endless name", append(word(1, huge), make([]byte, 64)...), "length of a name is 2147483647"},
		{"endless values", append(append(word(1, 1), 'a'), append(word(1, huge), make([]byte, 64)...)...), "number of values is 2147483647, want 1 to 16"},
		{"no values", append(append(word(1, 1), 'a'), append(word(1, 0), make([]byte, 64)...)...), "number of values is 0"},
		{"a name twice", dat(nil, entry{"a", 1, []float32{1}}, entry{"a", 1, []float32{1}}), `"a" occurs twice`},
		{"endless dataset", append(dat(nil, entry{"a", 1, []float32{1}}), word(1, huge)...), "length of the dataset's name is 2147483647, want 0 to 0"},
	} {
		_, err := readDat(c.data)
		if !errors.Is(err, tensor.ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrCorrupt with %q", c.name, err, c.want)
		}
	}
}

func FuzzReadImportance(f *testing.F) {
	f.Add(dat(datTrailer(7, "wiki.txt"), entry{"a", 4, []float32{8, 0, 3}}, entry{"bc", 1, []float32{5}}))
	f.Add(dat(datTrailer(0, ""), entry{"a", 0, []float32{float32(math.NaN())}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readDat(b)
		if err != nil {
			return
		}
		n := 0
		for _, name := range m.Names() {
			n += len(m.matrices[name])
			info := tensor.Info{Name: name, DType: tensor.F32, Shape: tensor.Shape{1, len(m.matrices[name])}}
			columns, _, err := m.Columns(info)
			for _, v := range columns {
				if err == nil && !(v >= 0 && v <= math.MaxFloat32) {
					t.Errorf("%s has importance %v", name, v)
				}
			}
		}
		if 4*n > len(b) {
			t.Errorf("%d values from %d bytes", n, len(b))
		}
	})
}

// floatsTensor is an F32 tensor in memory.
func floatsTensor(t *testing.T, name string, shape tensor.Shape, x ...float32) *tensor.Tensor {
	t.Helper()
	b := make([]byte, 4*len(x))
	encodeF32(b, x, nil)
	w, err := tensor.New(tensor.Info{Name: name, DType: tensor.F32, Shape: shape}, bytes.NewReader(b), tensor.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func imatrixModel(t *testing.T, meta tensor.Meta, tensors ...*tensor.Tensor) *tensor.Model {
	t.Helper()
	m, err := tensor.NewModel("GGUF", meta, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestImportanceIsMeansOfSums(t *testing.T) {
	meta := tensor.NewMeta(tensor.KV{Key: "imatrix.datasets", Value: []string{"a.txt", "b.txt"}}, tensor.KV{Key: "imatrix.chunk_count", Value: uint32(9)})
	m, err := ImportanceOf(imatrixModel(t, meta,
		floatsTensor(t, "x.in_sum2", tensor.Shape{3, 2}, 8, 4, 1, 2, 0, 6), floatsTensor(t, "x.counts", tensor.Shape{3, 1}, 4, 0, 2)), "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.matrices["x"]; !slices.Equal(got, []float32{2, 1, 1, 1, 0, 3}) {
		t.Errorf("x = %v, want [2 1 1 1 0 3]: a count of 0 is ones", got)
	}
	want := []tensor.KV{{Key: "quantize.imatrix.file", Value: "m.gguf"}, {Key: "quantize.imatrix.dataset", Value: "a.txt"},
		{Key: "quantize.imatrix.entries_count", Value: uint32(1)}, {Key: "quantize.imatrix.chunks_count", Value: uint32(9)}}
	if got := m.Meta(); !slices.Equal(got, want) {
		t.Errorf("metadata %v, want %v", got, want)
	}
	m.File = strings.Repeat("x", 200)
	if got := m.Meta()[0].Value.(string); len(got) != 127 {
		t.Errorf("a path of 200 bytes is stored in %d, want 127", len(got))
	}
}

func TestImportanceThatContradictsItselfIsRefused(t *testing.T) {
	sums := func(n ...float32) *tensor.Tensor { return floatsTensor(t, "x.in_sum2", tensor.Shape{1, len(n)}, n...) }
	counts := func(n ...float32) *tensor.Tensor { return floatsTensor(t, "x.counts", tensor.Shape{len(n), 1}, n...) }
	wide := counts(1)
	wide.DType = tensor.I32
	for _, c := range []struct {
		name    string
		tensors []*tensor.Tensor
		want    string
	}{
		{"a model", []*tensor.Tensor{floatsTensor(t, "x.weight", tensor.Shape{1, 1}, 1)}, "x.weight"},
		{"nothing", nil, "in_sum2"},
		{"no counts", []*tensor.Tensor{sums(1)}, "no counts"},
		{"counts alone", []*tensor.Tensor{counts(1)}, "x.counts"},
		{"too many counts", []*tensor.Tensor{sums(1, 2), counts(1, 2)}, "one count a row"},
		{"counts of another type", []*tensor.Tensor{sums(1), wide}, "i32"},
		{"no columns", []*tensor.Tensor{floatsTensor(t, "x.in_sum2", tensor.Shape{2, 0}), counts(1, 2)}, "one count a row"},
	} {
		_, err := ImportanceOf(imatrixModel(t, tensor.Meta{}, c.tensors...), "m.gguf")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "m.gguf") {
			t.Errorf("%s: %v, want an error with m.gguf and %q", c.name, err, c.want)
		}
	}
}

func TestColumnsAreCheckedAgainstTheTensor(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name   string
		tensor string
		shape  tensor.Shape
		have   []float32
		want   []float32
		note   string
		fails  string
	}{
		{"fits", "x", tensor.Shape{5, 2}, []float32{1, 2}, []float32{1, 2}, "", ""},
		{"a stack", "x", tensor.Shape{2, 5, 2}, []float32{1, 2, 3, 4}, []float32{1, 2, 3, 4}, "", ""},
		{"a matrix that was not used", "x", tensor.Shape{2, 5, 2}, []float32{0, 0, 3, 0}, []float32{1, 1, 3, 0}, "all zero for 1 of the 2 matrices of x", ""},
		{"unknown", "y", tensor.Shape{5, 2}, []float32{1, 2}, nil, "", ""},
		{"too short", "x", tensor.Shape{5, 3}, []float32{1, 2}, nil, "", "2 values for the tensor, 1 matrices of 3 columns want 3"},
		{"too long", "x", tensor.Shape{5, 2}, []float32{1, 2, 3, 4}, nil, "", "want 2"},
		{"one more", "x", tensor.Shape{5, 2}, []float32{1, 2, 3}, nil, "", "want 2"},
		{"embedding of another size", "token_embd.weight", tensor.Shape{5, 2}, []float32{1, 2, 3}, nil, "is not used for token_embd.weight", ""},
		{"not a number", "x", tensor.Shape{2, 5, 2}, []float32{1, 2, 3, nan}, nil, "", "column 1 of matrix 1 is NaN"},
		{"infinite", "x", tensor.Shape{5, 2}, []float32{inf, 2}, nil, "", "column 0 of matrix 0 is +Inf"},
		{"negative", "x", tensor.Shape{5, 2}, []float32{1, -2}, nil, "", "column 1 of matrix 0 is -2"},
		{"no columns", "x", tensor.Shape{5, 0}, []float32{1}, nil, "", ""},
		{"no matrices", "x", tensor.Shape{0, 5, 1}, []float32{1}, nil, "", ""},
	} {
		name := "x"
		if c.tensor != "y" {
			name = c.tensor
		}
		m := &Importance{File: "m.dat", matrices: map[string][]float32{name: c.have}}
		before := slices.Clone(c.have)
		got, note, err := m.Columns(tensor.Info{Name: c.tensor, DType: tensor.F32, Shape: c.shape})
		if c.fails != "" {
			if !errors.Is(err, tensor.ErrCorrupt) || !strings.Contains(err.Error(), c.fails) || !strings.Contains(err.Error(), "m.dat") {
				t.Errorf("%s: %v, want ErrCorrupt with m.dat and %q", c.name, err, c.fails)
			}
			continue
		}
		if err != nil || !slices.Equal(got, c.want) || !strings.Contains(note, c.note) || (note == "") != (c.note == "") {
			t.Errorf("%s: %v, %q, %v; want %v, %q", c.name, got, note, err, c.want, c.note)
		}
		if !slices.Equal(before, c.have) {
			t.Errorf("%s: the entry itself was changed", c.name)
		}
	}
}
