package quantize

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// An Importance says how much the columns of matrices matter: the mean square
// of each input that a matrix was multiplied with while a text was read
// (llama.cpp tools/imatrix).
type Importance struct {
	File    string // path as the user gave it
	Dataset string // the first text; "" if unknown
	Chunks  int    // pieces of text; 0 if unknown
	// matrices has, for each tensor, the columns of its matrices one after another.
	matrices map[string][]float32
}

// Len returns the number of tensors that m knows.
func (m *Importance) Len() int { return len(m.matrices) }

// Names lists the tensors that m knows, sorted.
func (m *Importance) Names() []string {
	names := make([]string, 0, len(m.matrices))
	for name := range m.matrices {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// maxNamed is what llama.cpp keeps of a path in metadata, in bytes
// (llama.h, llama_model_kv_override).
const maxNamed = 127

// Meta returns what llama-quantize writes into a file made with m.
// (llama.cpp tools/quantize/quantize.cpp@3f545becc)
func (m *Importance) Meta() []tensor.KV {
	kvs := []tensor.KV{{Key: "quantize.imatrix.file", Value: cut(m.File)}}
	if m.Dataset != "" {
		kvs = append(kvs, tensor.KV{Key: "quantize.imatrix.dataset", Value: cut(m.Dataset)})
	}
	kvs = append(kvs, tensor.KV{Key: "quantize.imatrix.entries_count", Value: uint32(m.Len())})
	if m.Chunks > 0 {
		kvs = append(kvs, tensor.KV{Key: "quantize.imatrix.chunks_count", Value: uint32(m.Chunks)})
	}
	return kvs
}

// cut shortens s to maxNamed bytes.
func cut(s string) string { return s[:min(len(s), maxNamed)] }

// Columns returns the importance of the columns of the matrices of a tensor, one
// after another. It is nil if m knows nothing about the tensor. note says what a
// person should know. It fails if what m knows does not fit the tensor.
//
// A matrix whose columns are all zero was never used while the text was read,
// and says nothing; its columns count as equal.
func (m *Importance) Columns(info tensor.Info) (columns []float32, note string, err error) {
	columns, ok := m.matrices[info.Name]
	if !ok {
		return nil, "", nil
	}
	n, row := depth(info.Shape), info.Shape.Row()
	if n == 0 || row == 0 {
		return nil, "", nil // no element to weigh
	}
	if len(columns)/row != n || len(columns)%row != 0 {
		how := fmt.Sprintf("it has %d values for the tensor, %d matrices of %d columns want %d", len(columns), n, row, n*row)
		if slices.Contains(embeddingNames, info.Name) { // llama.cpp leaves it aside, too
			return nil, fmt.Sprintf("The importance matrix %s is not used for %s: %s.", m.File, info.Name, how), nil
		}
		return nil, "", m.fail(info.Name, fmt.Errorf("%s; it was made with another model: %w", how, tensor.ErrCorrupt))
	}
	if err := m.check(info.Name, columns, row); err != nil {
		return nil, "", err
	}
	columns, unused := filled(columns, row)
	if unused > 0 {
		note = fmt.Sprintf("The importance matrix %s is all zero for %d of the %d matrices of %s; their columns count as equal.", m.File, unused, n, info.Name)
	}
	return columns, note, nil
}

func (m *Importance) fail(name string, err error) error {
	return &tensor.Error{Op: "importance matrix", File: m.File, Tensor: name, Err: err}
}

// check refuses importances that are no squares.
func (m *Importance) check(name string, columns []float32, row int) error {
	for i, v := range columns {
		if !(v >= 0) || v > math.MaxFloat32 {
			return m.fail(name, fmt.Errorf("the importance of column %d of matrix %d is %v, want a finite number that is not negative; make the importance matrix again: %w",
				i%row, i/row, v, tensor.ErrCorrupt))
		}
	}
	return nil
}

// filled returns columns with ones for each row that is all zero, and how many
// rows are.
func filled(columns []float32, row int) (full []float32, unused int) {
	full = columns
	for i := 0; i < len(columns); i += row {
		if slices.ContainsFunc(columns[i:i+row], func(v float32) bool { return v != 0 }) {
			continue
		}
		if unused == 0 {
			full = slices.Clone(columns)
		}
		unused++
		for k := range row {
			full[i+k] = 1
		}
	}
	return full, unused
}

const (
	sumSuffix   = ".in_sum2"
	countSuffix = ".counts"
)

// ImportanceOf takes the importance from a GGUF whose general.type is imatrix:
// for each tensor NAME sums NAME.in_sum2 [matrices, columns] and counts
// NAME.counts [matrices, 1], both F32. A count of 0 stands for columns that are
// equal. (llama.cpp common/imatrix-loader.cpp@3f545becc)
func ImportanceOf(model *tensor.Model, file string) (*Importance, error) {
	m := &Importance{File: file, matrices: map[string][]float32{}}
	if v, ok := model.Meta.Get("imatrix.datasets"); ok {
		if list, ok := v.([]string); ok && len(list) > 0 {
			m.Dataset = list[0]
		}
	}
	if n, ok := model.Meta.Int("imatrix.chunk_count"); ok && n > 0 && n <= math.MaxInt32 {
		m.Chunks = int(n)
	}
	for _, t := range model.Tensors() {
		name, ok := strings.CutSuffix(t.Name, sumSuffix)
		if !ok {
			if sums, ok := strings.CutSuffix(t.Name, countSuffix); !ok || model.Tensor(sums+sumSuffix) == nil {
				return nil, m.fail(t.Name, fmt.Errorf("the tensor belongs to no importance matrix: %w", tensor.ErrCorrupt))
			}
			continue
		}
		columns, err := m.means(t, model.Tensor(name+countSuffix))
		if err != nil {
			return nil, err
		}
		m.matrices[name] = columns
	}
	if m.Len() == 0 {
		return nil, m.fail("", fmt.Errorf("no tensor called NAME%s, as llama-imatrix writes; is it a model?: %w", sumSuffix, tensor.ErrNotFound))
	}
	return m, nil
}

// means divides sums by counts.
func (m *Importance) means(sums, counts *tensor.Tensor) ([]float32, error) {
	if counts == nil {
		return nil, m.fail(sums.Name, fmt.Errorf("there are sums, no counts: %w", tensor.ErrNotFound))
	}
	row := sums.Shape.Row()
	n, _ := sums.Shape.Elems() // New has checked them
	k, _ := counts.Shape.Elems()
	if sums.DType != tensor.F32 || counts.DType != tensor.F32 || row == 0 || n/int64(row) != k {
		return nil, m.fail(sums.Name, fmt.Errorf("sums are %v %v, counts %v %v; want f32, one count a row: %w", sums.DType, sums.Shape, counts.DType, counts.Shape, tensor.ErrCorrupt))
	}
	x, err := floatsOf(sums)
	if err != nil {
		return nil, err
	}
	c, err := floatsOf(counts)
	if err != nil {
		return nil, err
	}
	for j, count := range c {
		for i := j * row; i < (j+1)*row; i++ {
			if count > 0 {
				x[i] /= count
			} else {
				x[i] = 1
			}
		}
	}
	return x, nil
}

func floatsOf(t *tensor.Tensor) ([]float32, error) {
	b, err := t.ReadAll()
	if err != nil {
		return nil, err
	}
	x := make([]float32, len(b)/4)
	decodeF32(x, b)
	return x, nil
}

// ReadImportance reads the older format of importance matrices, llama.cpp's
// imatrix.dat, of size bytes; file names it in errors. The sums in it are divided
// by the number of calls. (llama.cpp common/imatrix-loader.cpp@3f545becc)
func ReadImportance(r io.ReaderAt, size int64, file string) (*Importance, error) {
	c := &datReader{r: r, size: size, file: file}
	n := c.count("number of entries", 1, minEntry)
	m := &Importance{File: file, matrices: map[string][]float32{}}
	for i := 0; i < n && c.err == nil; i++ {
		at := c.at
		name := string(c.take(int64(c.count("length of a name", 1, 1))))
		calls := c.i32()
		columns := c.floats(c.count("number of values", 1, 4))
		if _, twice := m.matrices[name]; twice && c.err == nil {
			c.fail(at, "the name %q occurs twice", name)
		}
		if calls > 0 {
			for i := range columns {
				columns[i] /= float32(calls)
			}
		}
		m.matrices[name] = columns
	}
	if c.err == nil && c.at < size { // files before 2024 end here
		m.Chunks = int(max(c.i32(), 0))
		m.Dataset = string(c.take(int64(c.count("length of the dataset's name", 0, 1))))
	}
	if c.err != nil {
		return nil, c.err
	}
	return m, nil
}

// minEntry is the least size of an entry in bytes: length, name, calls, number
// of values, one value.
const minEntry = 4 + 1 + 4 + 4 + 4

// A datReader reads one field after another and keeps the first failure.
type datReader struct {
	r        io.ReaderAt
	at, size int64
	file     string
	err      error
}

func (c *datReader) fail(at int64, format string, args ...any) {
	if c.err == nil {
		c.err = &tensor.Error{Op: "read importance matrix", File: c.file, Offset: at, Err: fmt.Errorf(format+": %w", append(args, tensor.ErrCorrupt)...)}
	}
}

// take returns the next n bytes, nil after a failure.
func (c *datReader) take(n int64) []byte {
	if c.err == nil && n > c.size-c.at {
		c.fail(c.at, "%d bytes from byte %d, the file ends at %d; it is incomplete, or no importance matrix", n, c.at, c.size)
	}
	if c.err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, err := c.r.ReadAt(b, c.at); err != nil && !(err == io.EOF && c.at+n == c.size) {
		c.err = &tensor.Error{Op: "read importance matrix", File: c.file, Offset: c.at, Err: err}
		return nil
	}
	c.at += n
	return b
}

func (c *datReader) i32() int32 {
	b := c.take(4)
	if b == nil {
		return 0
	}
	return int32(binary.LittleEndian.Uint32(b))
}

// count returns the next number, which is at least least and no more than what
// follows has room for in units of that many bytes.
func (c *datReader) count(what string, least int32, unit int64) int {
	at := c.at
	n := c.i32()
	if most := (c.size - c.at) / unit; c.err == nil && (n < least || int64(n) > most) {
		c.fail(at, "%s is %d, want %d to %d", what, n, least, most)
	}
	if c.err != nil {
		return 0
	}
	return int(n)
}

func (c *datReader) floats(n int) []float32 {
	b := c.take(4 * int64(n))
	x := make([]float32, len(b)/4)
	decodeF32(x, b)
	return x
}
