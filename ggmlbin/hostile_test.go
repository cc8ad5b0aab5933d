package ggmlbin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// ints returns numbers as a file holds them.
func ints(v ...int32) []byte {
	var b []byte
	for _, n := range v {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// Offsets in small.bin: magic, eleven numbers, two of the filters, twelve
// filters, the number of tokens.
const (
	paramsAt  = 4
	filtersAt = paramsAt + 11*4
	tokensAt  = filtersAt + 8 + 12*4
)

func TestHostileFilesAreRefused(t *testing.T) {
	small := fixture(t, "small.bin")
	head := smallHeader().bytes()
	patch := func(at int, v int32) []byte {
		b := bytes.Clone(small)
		copy(b[at:], ints(v))
		return b
	}
	row := func(rank, length, typ int32, rest ...byte) []byte {
		return append(append(bytes.Clone(head), ints(rank, length, typ)...), rest...)
	}
	tests := []struct {
		name string
		file []byte
		want error
		says string
	}{
		{"empty", nil, tensor.ErrCorrupt, "needs 4 bytes, file has 0"},
		{"magic alone", []byte("lmgg"), tensor.ErrCorrupt, "file has 0"},
		{"web page", []byte("<!DOCTYPE html>"), tensor.ErrCorrupt, `"<!DO"`},
		{"GGUF", []byte("GGUF\x03\x00\x00\x00"), tensor.ErrUnsupported, "a GGUF file"},
		{"ggjt", append([]byte("tjgg"), small[4:]...), tensor.ErrUnsupported, "llama.cpp model of the ggjt format"},
		{"ggmf", append([]byte("fmgg"), small[4:]...), tensor.ErrUnsupported, "ggmf"},
		{"ggla", append([]byte("algg"), small[4:]...), tensor.ErrUnsupported, "adapter"},
		{"llama of the same magic", append([]byte("lmgg"), append(ints(32000, 4096, 256, 32, 32, 128, 2), make([]byte, 400)...)...), tensor.ErrUnsupported, "not of a Whisper model"},
		{"GPT-2 of the same magic", append([]byte("lmgg"), append(ints(50257, 1024, 768, 12, 12, 1, 50257, 1), []byte(strings.Repeat("!\x01\x00\x00\x00", 20))...)...), tensor.ErrUnsupported, "not of a Whisper model"},
		{"n_vocab of 0", patch(paramsAt, 0), tensor.ErrUnsupported, "not of a Whisper model"},
		{"n_audio_layer of -1", patch(paramsAt+16, -1), tensor.ErrUnsupported, "not of a Whisper model"},
		{"n_mels unlike the filters", patch(paramsAt+36, 80), tensor.ErrUnsupported, "n_mels is 80, filters are 4 by 3"},
		{"ftype 4", patch(paramsAt+40, 4), tensor.ErrUnsupported, "ftype 4"},
		{"2^31-1 frequencies", patch(filtersAt+4, math.MaxInt32), tensor.ErrCorrupt, "filters of 4 by 2147483647 numbers"},
		{"-1 frequencies", patch(filtersAt+4, -1), tensor.ErrUnsupported, "filters are 4 by -1"},
		{"2^31-1 tokens", patch(tokensAt, math.MaxInt32), tensor.ErrCorrupt, "claims 2147483647 tokens"},
		{"-1 tokens", patch(tokensAt, -1), tensor.ErrCorrupt, "claims -1 tokens"},
		{"token of 4 GB", patch(tokensAt+4, -1), tensor.ErrCorrupt, "needs 4294967295 bytes"},
		{"more layers than tensors", patch(paramsAt+16, math.MaxInt32), tensor.ErrNotFound, `"encoder.blocks.1.attn_ln.weight" [8] is missing`},
		{"wider than the tensors", patch(paramsAt+8, 16), tensor.ErrCorrupt, "the header calls for [6 16]"},
		{"token more than n_vocab", patch(paramsAt, 4), tensor.ErrCorrupt, "5 tokens, n_vocab is 4"},
		{"five dimensions", row(5, 1, 0, make([]byte, 40)...), tensor.ErrCorrupt, "5 dimensions"},
		{"-1 dimensions", row(-1, 1, 0, make([]byte, 40)...), tensor.ErrCorrupt, "-1 dimensions"},
		{"name of 2^31-1 bytes", row(0, math.MaxInt32, 0), tensor.ErrCorrupt, "name of 2147483647 bytes"},
		{"no name", row(0, 0, 0), tensor.ErrCorrupt, "name of 0 bytes"},
		{"name past the end", row(0, 9, 0, []byte("12345678")...), tensor.ErrCorrupt, "needs 9 bytes, file has 8"},
		{"removed type", row(1, 1, 4, append(ints(32), "x"...)...), tensor.ErrUnsupported, "type id 4"},
		{"type -1", row(1, 1, -1, append(ints(32), "x"...)...), tensor.ErrUnsupported, "type id -1"},
		{"negative dimension", row(1, 1, 0, append(ints(-4), "x"...)...), tensor.ErrCorrupt, "negative dimension"},
		{"elements overflow", row(4, 1, 0, append(ints(math.MaxInt32, math.MaxInt32, math.MaxInt32, math.MaxInt32), "x"...)...), tensor.ErrTooLarge, "overflows"},
		{"part of a block", row(1, 1, 2, append(ints(16), "x"...)...), tensor.ErrUnsupported, "block of 32"},
		{"data past the end", row(1, 1, 0, append(ints(4), "x123456789012345"...)...), tensor.ErrCorrupt, "f32 [4] takes 16 bytes, file has 15 left"},
		{"tensor twice", append(row(1, 1, 0, append(ints(1), "x1234"...)...), append(ints(1, 1, 0, 1), "x1234"...)...), tensor.ErrCorrupt, "name occurs twice, first at byte"},
		{"bytes at the end", append(bytes.Clone(small), 0, 0, 0), tensor.ErrCorrupt, "needs 4 bytes, file has 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := readBytes(tt.file)
			if err == nil {
				t.Fatalf("accepted: %v", m.Meta.All())
			}
			var te *tensor.Error
			if !errors.Is(err, tt.want) || !errors.As(err, &te) || te.File != "m.bin" || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v\nwant a *tensor.Error of m.bin, %v, that says %q", err, tt.want, tt.says)
			}
		})
	}
}

// Without a table, a file cut between two tensors is found out only by what
// its header calls for.
func TestFileCutAnywhereIsRefused(t *testing.T) {
	small := fixture(t, "small.bin")
	bare := len(smallHeader().bytes()) // a test file of whisper.cpp's
	for n := range small {
		if _, err := readBytes(small[:n]); (err == nil) != (n == bare) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(small), err)
		}
	}
}

func TestErrorsNameTensorAndOffset(t *testing.T) {
	b := fixture(t, "small.bin")
	_, err := readBytes(b[:len(b)-1])
	want := `ggmlbin: read tensor m.bin: tensor "decoder.ln.bias" at byte 0x`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v\nwant %s…", err, want)
	}
}

func TestUnknownTensorIsNoted(t *testing.T) {
	b := append(fixture(t, "small.bin"), append(ints(1, 5, 0, 1), "extra1234"...)...)
	m, err := readBytes(b)
	if err != nil || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], `"extra"`) {
		t.Errorf("%v, %v; want a note on the tensor that Whisper does not have", m, err)
	}
}

// A large sparse file backs every claim with room; memory must follow what is
// read, not what is claimed.
func TestClaimsAloneTakeNoMemory(t *testing.T) {
	h := smallHeader()
	h.AudioLayer, h.TextLayer = math.MaxInt32, math.MaxInt32
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Read(sparse{{Bytes: h.bytes()}}, 1<<40, "m.bin")
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Error("accepted")
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("%d bytes allocated", got)
	}
}
