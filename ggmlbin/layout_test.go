package ggmlbin

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// testdata/make.py packs as whisper.cpp's converter does; laying its contents
// out again gives the same bytes.
func TestPlaceWritesTheBytesOfTheConverter(t *testing.T) {
	want := fixture(t, "small.bin")
	m, err := readBytes(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := rewrite(t, m); !bytes.Equal(got, want) {
		t.Errorf("%d bytes that differ from the %d read", len(got), len(want))
	}
}

func TestPlaceKeepsTheOrderItIsGiven(t *testing.T) {
	h := smallHeader()
	infos := smallInfos(h, tensor.F16)
	infos[0], infos[len(infos)-1] = infos[len(infos)-1], infos[0]
	p, err := Place(h, infos)
	if err != nil {
		t.Fatal(err)
	}
	b := write(p, nil)
	m, err := readBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	for i, info := range infos {
		if x := m.Tensors()[i]; x.Name != info.Name || x.Origin.Offset != p.Offsets[i] {
			t.Errorf("tensor %d is %s at %d, want %s at %d", i, x.Name, x.Origin.Offset, info.Name, p.Offsets[i])
		}
	}
	last := m.Tensors()[len(infos)-1]
	if end := last.Origin.Offset + last.Size(); end != p.Size || p.Size != int64(len(b)) {
		t.Errorf("data ends at %d, file at %d; the format has no padding", end, p.Size)
	}
}

func TestPlaceRefusesWhatTheFormatCannotHold(t *testing.T) {
	change := func(f func(*Header, []tensor.Info) []tensor.Info) (*Header, []tensor.Info) {
		h := smallHeader()
		return h, f(h, smallInfos(h, tensor.F16))
	}
	tests := []struct {
		name   string
		change func(*Header, []tensor.Info) []tensor.Info
		want   string
	}{
		{"no tokens over n_vocab", func(h *Header, in []tensor.Info) []tensor.Info { h.Tokens = make([][]byte, 21); return in }, "21 tokens, n_vocab is 20"},
		{"filters of other rows", func(h *Header, in []tensor.Info) []tensor.Info { h.FFT = 2; return in }, "n_mels is 4"},
		{"negative width", func(h *Header, in []tensor.Info) []tensor.Info { h.TextState = -8; return in }, "n_text_state is -8"},
		{"ftype of nothing", func(h *Header, in []tensor.Info) []tensor.Info { h.FType = 5; return in }, "ftype 5"},
		{"tensor missing", func(_ *Header, in []tensor.Info) []tensor.Info { return in[1:] }, "is missing"},
		{"name twice", func(_ *Header, in []tensor.Info) []tensor.Info { return append(in, in[0]) }, "name occurs twice"},
		{"no name", func(_ *Header, in []tensor.Info) []tensor.Info { return append(in, tensor.Info{}) }, "name of 0 bytes"},
		{"filterbank as tensor", func(_ *Header, in []tensor.Info) []tensor.Info {
			return append(in, tensor.Info{Name: MelFilters, Shape: tensor.Shape{4, 3}})
		}, "belongs into the header"},
		{"type of PyTorch's", func(_ *Header, in []tensor.Info) []tensor.Info { in[1].DType = tensor.C64; return in }, "c64 does not exist in ggml"},
		{"row of part of a block", func(_ *Header, in []tensor.Info) []tensor.Info { in[1].DType = tensor.Q4K; return in }, "multiple of q4_k's block of 256"},
		{"five dimensions", func(_ *Header, in []tensor.Info) []tensor.Info { in[1].Shape = tensor.Shape{1, 1, 1, 1, 1}; return in }, "5 dimensions"},
		{"more than int32 counts", func(_ *Header, in []tensor.Info) []tensor.Info {
			in[1].Shape = tensor.Shape{math.MaxInt32, 2}
			return in
		}, "more elements than whisper.cpp can count"},
	}
	for _, tt := range tests {
		if _, err := Place(change(tt.change)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestCheckNamesEveryDifference(t *testing.T) {
	h := smallHeader()
	infos := smallInfos(h, tensor.F16)
	p, err := Place(h, infos)
	if err != nil {
		t.Fatal(err)
	}
	file := write(p, nil)
	header := func(f func(*Header)) *Header { h := smallHeader(); f(h); return h }
	other := append([]tensor.Info(nil), infos...)
	other[3].DType = tensor.F32
	tests := []struct {
		name  string
		file  []byte
		h     *Header
		infos []tensor.Info
		want  string // "" for no difference
	}{
		{"as laid out", file, h, infos, ""},
		{"other heads", file, header(func(h *Header) { h.AudioHead = 4 }), infos, "n_audio_head is 2, want 4"},
		{"other token", file, header(func(h *Header) { h.Tokens[3] = []byte("b") }), infos, "tokens differ"},
		{"other sign of zero in the filters", file, header(func(h *Header) { h.Filters[0] = float32(math.Copysign(0, -1)) }), infos, "mel filters differ"},
		{"other type", file, h, other, `"encoder.conv2.weight" f16 [8 8 3], want "encoder.conv2.weight" f32`},
		{"tensor fewer", file, h, infos[1:], "50 tensors, want 49"},
		{"cut", file[:len(file)-1], h, infos, "incomplete"},
		{"longer", append(bytes.Clone(file), 0), h, infos, "needs 4 bytes, file has 1"},
	}
	for _, tt := range tests {
		err := Check(bytes.NewReader(tt.file), int64(len(tt.file)), tt.h, tt.infos)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
