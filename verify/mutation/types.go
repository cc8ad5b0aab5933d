package mutation

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A Type is a quantized type and how a model is converted to it.
type Type struct {
	Name    string
	Options convert.Options
}

// Types lists the quantized types that smelt writes. importance is the path of an
// importance matrix.
func Types(importance string) []Type {
	var out []Type
	seen := map[tensor.DType]bool{}
	for _, r := range quantize.Recipes() {
		if r.Quantizes() && !seen[r.Default] {
			seen[r.Default] = true
			out = append(out, newType(r.Default, r.Name, importance))
		}
	}
	nv := newType(tensor.NVFP4, "Q4_0", "") // has no recipe of its own
	nv.Options.Quantize.Tensors = []string{".=nvfp4"}
	return append(out, nv)
}

// weighed are types that are made with an importance matrix: most of them are
// refused without one.
var weighed = []string{"iq1", "iq2", "iq3"}

func newType(d tensor.DType, recipe, importance string) Type {
	t := Type{Name: d.String(), Options: convert.Options{To: "gguf", Type: recipe}}
	if slices.ContainsFunc(weighed, func(prefix string) bool { return strings.HasPrefix(t.Name, prefix) }) {
		t.Options.Quantize.Importance = importance
	}
	return t
}

// WriteImportance writes an importance matrix for the matrices of a result into
// dir, uneven and the same each time, and returns its path. The format is
// imatrix.dat (llama.cpp common/imatrix-loader.cpp@3f545becc).
func WriteImportance(s *Subject, dir string) (string, error) {
	var entries bytes.Buffer
	n := int32(0)
	put := func(v any) { _ = binary.Write(&entries, binary.LittleEndian, v) } // a Buffer takes everything
	for _, t := range s.Pair.Result.Model.Tensors() {
		if len(t.Shape) != 2 {
			continue
		}
		n++
		put(int32(len(t.Name))) //nolint:gosec // a name
		entries.WriteString(t.Name)
		put(int32(1))             // call
		put(int32(t.Shape.Row())) //nolint:gosec // a row of a model in memory
		for c := range t.Shape.Row() {
			put(0.5 + float32(c%13)/8)
		}
	}
	path := filepath.Join(dir, "imatrix.dat")
	head := binary.LittleEndian.AppendUint32(nil, uint32(n))
	return path, os.WriteFile(path, slices.Concat(head, entries.Bytes()), 0o644)
}
