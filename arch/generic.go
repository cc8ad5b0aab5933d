package arch

import (
	"fmt"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// Limits of a GGUF file (ggml/include/ggml.h, GGML_MAX_NAME and GGML_MAX_DIMS;
// ggml/docs/gguf.md).
const (
	maxName = 63
	maxDims = 4
	maxKey  = 1<<16 - 1
)

// genericName is the value of general.architecture of a model that no table
// describes.
const genericName = "generic"

// genericNotes say what a file of an unknown architecture is good for.
var genericNotes = []string{
	"This file keeps every tensor's name, shape and values and every scalar of the checkpoint (under \"" + genericName + ".\"); programs that read GGUF can load the weights from it.",
	"No runtime can run it by itself: llama.cpp and whisper.cpp refuse an architecture that they do not know, and what the tensors mean is not in the file.",
}

// as says how a dtype that GGUF lacks is stored: the type and how many of its
// elements one source element takes.
type as struct {
	dtype tensor.DType
	per   int
	why   string
}

// reinterpreted lists the source types that keep their bytes under another
// type. Unsigned integers have none of their size, and float8 values are
// converted like other floats, so neither is here.
var reinterpreted = map[tensor.DType]as{
	tensor.C32:        {tensor.F16, 2, pairs},
	tensor.C64:        {tensor.F32, 2, pairs},
	tensor.C128:       {tensor.F64, 2, pairs},
	tensor.Bool:       {tensor.I8, 1, "false and true stored as 0 and 1"},
	tensor.F4E2M1FNx2: {tensor.I8, 1, packedBytes},
	tensor.QUInt4x2:   {tensor.I8, 1, packedBytes},
	tensor.QUInt2x4:   {tensor.I8, 1, packedBytes},
	tensor.Bits8:      {tensor.I8, 1, packedBytes},
	tensor.Bits16:     {tensor.I8, 2, packedBytes},
	tensor.Bits1x8:    {tensor.I8, 1, packedBytes},
	tensor.Bits2x4:    {tensor.I8, 1, packedBytes},
	tensor.Bits4x2:    {tensor.I8, 1, packedBytes},
}

const (
	pairs       = "complex numbers stored as pairs, real part first"
	packedBytes = "packed bits stored as their bytes"
)

// Generic keeps the names and shapes of src's tensors and writes each of its
// scalars under "generic.". Complex tensors get a last dimension of 2, packed
// ones are stored as bytes. The notes of the result's model say what such a
// file can be used for. Everything that GGUF cannot hold is reported together
// in an *UnmappedError.
func Generic(src *tensor.Model) (*Result, error) {
	bad := &UnmappedError{Arch: genericName}
	r := &Result{Sources: map[string]string{}, Why: map[string]string{}}
	kvs := []tensor.KV{{Key: "general.architecture", Value: genericName}}
	for _, kv := range src.Meta.All() {
		p := Param{genericName + "." + kv.Key, kv.Value, checkpoint + " " + kv.Key}
		if len(p.Key) > maxKey {
			bad.add(&bad.Unfit, "key %.40q… has %d bytes, at most %d fit", p.Key, len(p.Key), maxKey)
			continue
		}
		kvs = append(kvs, tensor.KV{Key: p.Key, Value: p.Value})
		r.Params = append(r.Params, p)
	}
	var tensors []*tensor.Tensor
	for _, t := range src.Tensors() {
		kept, why, err := keep(t)
		if err != nil {
			return nil, err
		}
		check(bad, t, kept)
		tensors = append(tensors, kept)
		r.Sources[t.Name], r.Why[t.Name] = t.Name, why
	}
	if len(tensors) == 0 {
		bad.add(&bad.Missing, "any tensor")
	}
	if !bad.empty() {
		return nil, &tensor.Error{Op: "keep as generic", File: fileOf(src), Err: bad}
	}
	var err error
	if r.Model, err = tensor.NewModel(src.Format, tensor.NewMeta(kvs...), tensors); err != nil {
		return nil, err
	}
	r.Model.Notes = append(append([]string(nil), src.Notes...), genericNotes...)
	return r, nil
}

// keep returns t in a type that GGUF has, if there is one of the same bytes.
func keep(t *tensor.Tensor) (*tensor.Tensor, string, error) {
	to, ok := reinterpreted[t.DType]
	if !ok {
		return t, "as it is", nil
	}
	shape := append(tensor.Shape(nil), t.Shape...)
	from, _ := t.DType.Layout()
	switch {
	case from.Kind == tensor.Complex:
		shape = append(shape, to.per)
	case len(shape) > 0:
		shape[len(shape)-1] = shape[len(shape)-1] / from.Elems * to.per
	case to.per > 1:
		shape = tensor.Shape{to.per}
	}
	kept, err := tensor.New(tensor.Info{Name: t.Name, DType: to.dtype, Shape: shape}, t.Data, t.Origin)
	return kept, to.why, err
}

// check notes what keeps a tensor out of a GGUF file.
func check(bad *UnmappedError, src, kept *tensor.Tensor) {
	var why []string
	if len(kept.Name) > maxName {
		why = append(why, fmt.Sprintf("its name has %d bytes, at most %d fit", len(kept.Name), maxName))
	}
	if len(kept.Shape) > maxDims {
		why = append(why, fmt.Sprintf("it has %d dimensions, at most %d fit", len(kept.Shape), maxDims))
	}
	if l, _ := kept.DType.Layout(); !kept.DType.IsGGML() && l.Kind != tensor.Float {
		why = append(why, "GGUF has no "+kept.DType.String())
	}
	if len(why) > 0 {
		bad.add(&bad.Unfit, "%s %v %v: %s", src.Name, src.DType, src.Shape, strings.Join(why, ", "))
	}
}
