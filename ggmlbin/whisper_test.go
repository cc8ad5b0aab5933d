package ggmlbin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// tinyEn is the header of OpenAI's tiny.en without vocabulary.
func tinyEn(ftype int32) *Header {
	return &Header{Vocab: 51864, AudioCtx: 1500, AudioState: 384, AudioHead: 6, AudioLayer: 4, TextCtx: 448, TextState: 384, TextHead: 6, TextLayer: 4,
		Mels: 80, FType: ftype, FFT: 201, Filters: make([]float32, 80*201)}
}

// golden returns name, type and shape of the tensors that whisper.cpp's
// converter made of tiny.en, as "name type dims".
func golden(tb testing.TB) []string {
	tb.Helper()
	lines := strings.Split(strings.TrimSpace(string(fixture(tb, "tiny.en.txt"))), "\n")
	return lines[1:]
}

func TestTensorsAndTypesAreThoseOfTheOriginalConverter(t *testing.T) {
	var got []string
	for info := range tinyEn(1).expected() {
		d, _ := TypeOf(info, tensor.F16)
		got = append(got, fmt.Sprintf("%s %v %s", info.Name, d, strings.Trim(info.Shape.String(), "[]")))
	}
	want := golden(t)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("got %s, want %s", got[i], want[i])
			}
		}
		t.Errorf("%d tensors, want %d", len(got), len(want))
	}
}

func TestTypesThatWhisperCppNeeds(t *testing.T) {
	tests := []struct {
		name string
		info tensor.Info
		ask  tensor.DType
		want tensor.DType
		why  string // "" if the asked type stands
	}{
		{"matrix", tensor.Info{Name: "encoder.blocks.0.mlp.0.weight", Shape: tensor.Shape{32, 8}}, tensor.Q5_0, tensor.Q5_0, ""},
		{"embedding", tensor.Info{Name: "decoder.token_embedding.weight", Shape: tensor.Shape{20, 8}}, tensor.F32, tensor.F32, ""},
		{"vector", tensor.Info{Name: "encoder.blocks.0.mlp.0.bias", Shape: tensor.Shape{32}}, tensor.F16, tensor.F32, "vectors"},
		{"positions", tensor.Info{Name: "encoder.positional_embedding", Shape: tensor.Shape{6, 8}}, tensor.F16, tensor.F32, "positions"},
		{"convolution", tensor.Info{Name: "encoder.conv1.weight", Shape: tensor.Shape{8, 4, 3}}, tensor.Q8_0, tensor.F16, "im2col"},
		{"convolution in f32", tensor.Info{Name: "encoder.conv2.weight", Shape: tensor.Shape{8, 8, 3}}, tensor.F32, tensor.F16, "im2col"},
		{"bias of a convolution", tensor.Info{Name: "encoder.conv2.bias", Shape: tensor.Shape{8, 1}}, tensor.Q8_0, tensor.F32, "biases"},
	}
	for _, tt := range tests {
		got, why := TypeOf(tt.info, tt.ask)
		if got != tt.want || !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%s: TypeOf(%v) = %v, %q; want %v, %q", tt.name, tt.ask, got, why, tt.want, tt.why)
		}
	}
}

func TestShapesAreSqueezedButForConvolutionBiases(t *testing.T) {
	tests := []struct {
		info tensor.Info
		want tensor.Shape
	}{
		{tensor.Info{Name: "encoder.conv1.bias", Shape: tensor.Shape{8}}, tensor.Shape{8, 1}},
		{tensor.Info{Name: "encoder.conv2.bias", Shape: tensor.Shape{8, 1}}, tensor.Shape{8, 1}},
		{tensor.Info{Name: "encoder.ln_post.bias", Shape: tensor.Shape{8, 1}}, tensor.Shape{8}},
		{tensor.Info{Name: "encoder.positional_embedding", Shape: tensor.Shape{1, 6, 8}}, tensor.Shape{6, 8}},
		{tensor.Info{Name: "encoder.conv1.weight", Shape: tensor.Shape{8, 4, 3}}, tensor.Shape{8, 4, 3}},
	}
	for _, tt := range tests {
		if got := StoredShape(tt.info); !got.Equal(tt.want) {
			t.Errorf("StoredShape(%s %v) = %v, want %v", tt.info.Name, tt.info.Shape, got, tt.want)
		}
	}
}

func TestFileTypesAreThoseOfGGML(t *testing.T) {
	tests := []struct {
		dtype tensor.DType
		want  int32 // -1: none
	}{
		{tensor.F32, 0}, {tensor.F16, 1}, {tensor.BF16, 24}, {tensor.Q8_0, 2007}, {tensor.Q5_0, 2008}, {tensor.Q6K, 2014}, {tensor.F64, -1}, {tensor.C64, -1},
	}
	for _, tt := range tests {
		got, err := FileType(tt.dtype)
		if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
			t.Errorf("FileType(%v) = %d, %v; want %d", tt.dtype, got, err, tt.want)
		}
		if err != nil {
			continue
		}
		if d, err := (&Header{FType: got}).DType(); d != tt.dtype || err != nil {
			t.Errorf("ftype %d is %v, %v; want %v", got, d, err, tt.dtype)
		}
	}
	if d, err := (&Header{FType: 4}).DType(); err == nil {
		t.Errorf("ftype 4 is %v; ggml has given it up", d)
	}
}

func TestOnlyFilesThatWhisperCppRunsAreLoadable(t *testing.T) {
	infos := func(ftype int32, d tensor.DType, change func([]tensor.Info) []tensor.Info) (*Header, []tensor.Info) {
		h := tinyEn(ftype)
		out := smallInfos(h, d)
		if change != nil {
			out = change(out)
		}
		return h, out
	}
	set := func(name string, d tensor.DType) func([]tensor.Info) []tensor.Info {
		return func(in []tensor.Info) []tensor.Info {
			for i := range in {
				if in[i].Name == name {
					in[i].DType = d
				}
			}
			return in
		}
	}
	tests := []struct {
		name   string
		ftype  int32
		dtype  tensor.DType
		change func([]tensor.Info) []tensor.Info
		want   string // "" if it loads
	}{
		{"f16", 1, tensor.F16, nil, ""},
		{"q5_0", 2008, tensor.Q5_0, nil, ""},
		{"f32", 0, tensor.F32, nil, "cannot run a file of type f32"},
		{"f32 convolution", 1, tensor.F16, set("encoder.conv1.weight", tensor.F32), `"encoder.conv1.weight" is f32, want f16`},
		{"f16 matrix among q8_0", 2007, tensor.Q8_0, set("decoder.blocks.3.attn.out.weight", tensor.F16), "is f16, want q8_0 (ftype 2007)"},
		{"missing", 1, tensor.F16, func(in []tensor.Info) []tensor.Info { return in[1:] }, `"encoder.positional_embedding" [1500 384] is missing`},
		{"unknown", 1, tensor.F16, func(in []tensor.Info) []tensor.Info {
			return append(in, tensor.Info{Name: "proj_out.weight", Shape: tensor.Shape{2, 2}})
		}, `"proj_out.weight" is not one of Whisper's`},
		{"misshapen", 1, tensor.F16, func(in []tensor.Info) []tensor.Info { in[2].Shape = tensor.Shape{384}; return in }, `"encoder.conv1.bias" is [384], the header calls for [384 1]`},
	}
	for _, tt := range tests {
		err := Loadable(infos(tt.ftype, tt.dtype, tt.change))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
