package ggmlbin

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A part is a tensor of one block; its dimensions are multiples of the width.
type part struct {
	name string
	rows int
	cols int // 0: one dimension
}

// encoderParts and decoderParts list the tensors of a block (whisper.cpp
// src/whisper.cpp, ASR_TENSOR_NAMES and whisper_model_load).
var (
	encoderParts = append(attention("attn"), feedForward...)
	decoderParts = append(append(attention("attn"), attention("cross_attn")...), feedForward...)

	feedForward = []part{
		{"mlp_ln.weight", 1, 0}, {"mlp_ln.bias", 1, 0},
		{"mlp.0.weight", 4, 1}, {"mlp.0.bias", 4, 0},
		{"mlp.2.weight", 1, 4}, {"mlp.2.bias", 1, 0},
	}
)

// attention lists an attention's tensors; its keys have no bias.
func attention(name string) []part {
	return []part{
		{name + "_ln.weight", 1, 0}, {name + "_ln.bias", 1, 0},
		{name + ".query.weight", 1, 1}, {name + ".query.bias", 1, 0},
		{name + ".key.weight", 1, 1},
		{name + ".value.weight", 1, 1}, {name + ".value.bias", 1, 0},
		{name + ".out.weight", 1, 1}, {name + ".out.bias", 1, 0},
	}
}

// expected gives name and shape of each tensor that whisper.cpp looks for.
func (h *Header) expected() iter.Seq[tensor.Info] {
	a, t := int(h.AudioState), int(h.TextState)
	single := []tensor.Info{
		{Name: "encoder.positional_embedding", Shape: tensor.Shape{int(h.AudioCtx), a}},
		{Name: "encoder.conv1.weight", Shape: tensor.Shape{a, int(h.Mels), 3}},
		{Name: "encoder.conv1.bias", Shape: tensor.Shape{a, 1}},
		{Name: "encoder.conv2.weight", Shape: tensor.Shape{a, a, 3}},
		{Name: "encoder.conv2.bias", Shape: tensor.Shape{a, 1}},
		{Name: "encoder.ln_post.weight", Shape: tensor.Shape{a}},
		{Name: "encoder.ln_post.bias", Shape: tensor.Shape{a}},
		{Name: "decoder.positional_embedding", Shape: tensor.Shape{int(h.TextCtx), t}},
		{Name: "decoder.token_embedding.weight", Shape: tensor.Shape{int(h.Vocab), t}},
		{Name: "decoder.ln.weight", Shape: tensor.Shape{t}},
		{Name: "decoder.ln.bias", Shape: tensor.Shape{t}},
	}
	return func(yield func(tensor.Info) bool) {
		for _, info := range single {
			if !yield(info) {
				return
			}
		}
		_ = eachPart("encoder", h.AudioLayer, a, encoderParts, yield) && eachPart("decoder", h.TextLayer, t, decoderParts, yield)
	}
}

// eachPart yields the tensors of all blocks and reports whether yield wants more.
func eachPart(side string, layers int32, width int, parts []part, yield func(tensor.Info) bool) bool {
	for i := range layers {
		for _, p := range parts {
			shape := tensor.Shape{p.rows * width}
			if p.cols > 0 {
				shape = append(shape, p.cols*width)
			}
			if !yield(tensor.Info{Name: fmt.Sprintf("%s.blocks.%d.%s", side, i, p.name), Shape: shape}) {
				return false
			}
		}
	}
	return true
}

// maxReports bounds how many tensors an error lists; a wrong header makes all
// of them wrong.
const maxReports = 10

// checkSet joins what is missing from infos and what has another shape than h
// calls for.
func checkSet(h *Header, infos []tensor.Info) error {
	held := make(map[string]tensor.Info, len(infos))
	for _, info := range infos {
		held[info.Name] = info
	}
	var errs []error
	for want := range h.expected() {
		got, ok := held[want.Name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("tensor %q %v is missing: %w", want.Name, want.Shape, tensor.ErrNotFound))
		case !got.Shape.Equal(want.Shape):
			errs = append(errs, fmt.Errorf("tensor %q is %v, the header calls for %v: %w", want.Name, got.Shape, want.Shape, tensor.ErrCorrupt))
		}
		if len(errs) == maxReports {
			errs = append(errs, errors.New("and perhaps more; the file may be cut short"))
			break
		}
	}
	return errors.Join(errs...)
}

// unknown lists the names in infos that whisper.cpp does not know. It costs no
// more than infos is long, whatever h claims, if checkSet has passed.
func unknown(h *Header, infos []tensor.Info) []string {
	if len(infos) == 0 {
		return nil
	}
	known := make(map[string]bool, len(infos))
	for want := range h.expected() {
		known[want.Name] = true
	}
	var names []string
	for _, info := range infos {
		if !known[info.Name] {
			names = append(names, info.Name)
		}
	}
	return names
}

// A rule says which type a kind of tensor must have for whisper.cpp to work.
type rule struct {
	match func(tensor.Info) bool
	dtype tensor.DType
	why   string
}

// rules are tried in order; a tensor that matches none has the file's type.
// (whisper.cpp src/whisper.cpp, whisper_model_load; ggml-cpu, im2col)
var rules = []rule{
	{isConvWeight, tensor.F16, "whisper.cpp convolves with f16 weights only (its im2col refuses others), whatever the type of the file"},
	{isConvBias, tensor.F32, "whisper.cpp keeps biases in f32"},
	{isPosition, tensor.F32, "whisper.cpp adds positions in f32"},
	{func(i tensor.Info) bool { return len(i.Shape) < 2 }, tensor.F32, "whisper.cpp keeps vectors in f32"},
}

func isConvWeight(i tensor.Info) bool {
	return i.Name == "encoder.conv1.weight" || i.Name == "encoder.conv2.weight"
}

func isConvBias(i tensor.Info) bool {
	return i.Name == "encoder.conv1.bias" || i.Name == "encoder.conv2.bias"
}

func isPosition(i tensor.Info) bool { return strings.HasSuffix(i.Name, ".positional_embedding") }

// TypeOf returns the type that info must have in a file whose matrices are of
// type want, and why it is not want; why is "" for matrices.
func TypeOf(info tensor.Info, want tensor.DType) (d tensor.DType, why string) {
	for _, r := range rules {
		if r.match(info) {
			return r.dtype, r.why
		}
	}
	return want, ""
}

// StoredShape returns the shape that whisper.cpp wants for info: without
// dimensions of 1, except that biases of convolutions are [n, 1]. The elements
// stay as they are (models/convert-pt-to-ggml.py@233fe1fc).
func StoredShape(info tensor.Info) tensor.Shape {
	s := info.Shape.Squeeze()
	if isConvBias(info) && len(s) == 1 {
		return append(s, 1)
	}
	return s
}

// Loadable joins the reasons for which whisper.cpp would not load or not run a
// file of h and infos: tensors that are missing, unknown, misshapen, or of
// another type than the file type calls for.
//
// No file of type f32 is loadable: whisper.cpp takes f32 convolutions in it and
// aborts on the first use of them, and refuses f16 ones.
func Loadable(h *Header, infos []tensor.Info) error {
	want, err := h.DType()
	if err != nil {
		return err
	}
	if want == tensor.F32 {
		return fmt.Errorf("whisper.cpp cannot run a file of type f32: it expects f32 convolutions there, which its im2col refuses; use f16 or a quantized type: %w", tensor.ErrUnsupported)
	}
	if err := checkSet(h, infos); err != nil {
		return err
	}
	var errs []error
	for _, name := range unknown(h, infos) {
		errs = append(errs, fmt.Errorf("tensor %q is not one of Whisper's: %w", name, tensor.ErrUnsupported))
	}
	for _, info := range infos {
		if d, why := TypeOf(info, want); info.DType != d {
			if why == "" {
				why = fmt.Sprintf("ftype %d", h.FType)
			}
			errs = append(errs, fmt.Errorf("tensor %q is %v, want %v (%s): %w", info.Name, info.DType, d, why, tensor.ErrUnsupported))
		}
	}
	return errors.Join(errs...)
}
