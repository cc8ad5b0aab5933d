package ggmlbin

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestEveryTensorIsReadAsItWasWritten(t *testing.T) {
	var want [][4]any
	if err := json.Unmarshal(fixture(t, "small.json"), &want); err != nil {
		t.Fatal(err)
	}
	m, err := readBytes(fixture(t, "small.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Tensors()) != len(want)+1 || m.Tensors()[len(want)].Name != MelFilters {
		t.Fatalf("%d tensors, want %d and the filters", len(m.Tensors()), len(want))
	}
	for i, w := range want {
		x := m.Tensors()[i]
		sum, err := x.Digest(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(x.Name, float64(x.DType), x.Shape, hex.EncodeToString(sum[:]))
		if want := fmt.Sprint(w[0], w[1], w[2], w[3]); got != want {
			t.Errorf("tensor %d is\n%s, want\n%s", i, got, want)
		}
	}
	filters, err := m.Tensor(MelFilters).ReadAll()
	if err != nil || !reflect.DeepEqual(floats(filters), smallHeader().Filters) {
		t.Errorf("filters %v, %v; want %v", floats(filters), err, smallHeader().Filters)
	}
}

func TestMetadataHasTheKeysOfTheGGUFSpecification(t *testing.T) {
	m, err := readBytes(fixture(t, "small.bin"))
	if err != nil {
		t.Fatal(err)
	}
	want := []tensor.KV{
		{Key: "general.architecture", Value: "whisper"},
		{Key: "whisper.vocab_size", Value: uint32(20)},
		{Key: "whisper.encoder.context_length", Value: uint32(6)},
		{Key: "whisper.encoder.embedding_length", Value: uint32(8)},
		{Key: "whisper.encoder.attention.head_count", Value: uint32(2)},
		{Key: "whisper.encoder.block_count", Value: uint32(1)},
		{Key: "whisper.decoder.context_length", Value: uint32(5)},
		{Key: "whisper.decoder.embedding_length", Value: uint32(8)},
		{Key: "whisper.decoder.attention.head_count", Value: uint32(2)},
		{Key: "whisper.decoder.block_count", Value: uint32(1)},
		{Key: "whisper.encoder.mels_count", Value: uint32(4)},
		{Key: "ggml.ftype", Value: int32(1)},
		{Key: "ggml.tokens", Value: []string{"a", "", "\xff\xfe", " grüße", "\x00"}},
	}
	if got := m.Meta.All(); !reflect.DeepEqual(got, want) {
		t.Errorf("metadata\n got %v\nwant %v", got, want)
	}
}

func TestHeaderComesBackFromItsMetadata(t *testing.T) {
	b := fixture(t, "small.bin")
	m, err := readBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := HeaderOf(m.Meta, m.Tensor(MelFilters), nil)
	if err != nil || !reflect.DeepEqual(got, smallHeader()) {
		t.Errorf("HeaderOf = %+v, %v; want %+v", got, err, smallHeader())
	}
	if got, err = ReadHeader(bytes.NewReader(b), int64(len(b)), "m.bin"); err != nil || !reflect.DeepEqual(got, smallHeader()) {
		t.Errorf("ReadHeader = %+v, %v; want %+v", got, err, smallHeader())
	}
}

func TestHeaderOfNamesEveryKeyThatIsMissing(t *testing.T) {
	_, err := HeaderOf(tensor.NewMeta(tensor.KV{Key: "whisper.vocab_size", Value: uint32(1 << 31)}), nil, nil)
	if err == nil {
		t.Fatal("HeaderOf makes a header of nothing")
	}
	for _, want := range []string{"whisper.vocab_size", "whisper.encoder.mels_count", "whisper.decoder.block_count", tokensKey, MelFilters} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}

func TestDataIsASectionOfTheFile(t *testing.T) {
	r := bytes.NewReader(fixture(t, "small.bin"))
	m, err := Read(r, r.Size(), "small.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range m.Tensors() {
		s, ok := x.Data.(*io.SectionReader)
		if !ok {
			t.Fatalf("%s: Data is %T, want *io.SectionReader", x.Name, x.Data)
		}
		if outer, off, n := s.Outer(); outer != io.ReaderAt(r) || off != x.Origin.Offset || n != x.Size() || x.Origin.File != "small.bin" {
			t.Errorf("%s: section of %T at %d of %d bytes; want the file at %d of %d", x.Name, outer, off, n, x.Origin.Offset, x.Size())
		}
	}
}

// whisper.cpp's test files are a header alone (models/for-tests-ggml-*.bin).
func TestFileWithoutTensorsIsReadWithANote(t *testing.T) {
	b := smallHeader().bytes()
	m, err := readBytes(b)
	if err != nil || len(m.Tensors()) != 1 || len(m.Notes) != 1 {
		t.Errorf("%+v, %v; want the filters and a note", m, err)
	}
}

// large builds a header and the headers of all tensors of large-v2, without data.
func large() (*Header, []tensor.Info) {
	h := &Header{Vocab: 51865, AudioCtx: 1500, AudioState: 1280, AudioHead: 20, AudioLayer: 32, TextCtx: 448, TextState: 1280, TextHead: 20, TextLayer: 32,
		Mels: 80, FType: 1, FFT: 201, Filters: make([]float32, 80*201)}
	for i := range 50257 {
		h.Tokens = append(h.Tokens, []byte(fmt.Sprintf("t%d", i)))
	}
	return h, smallInfos(h, tensor.F16)
}

// A sparse file holds the pieces and is zero elsewhere.
type sparse []tensor.Piece

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for _, piece := range s {
		if lo, hi := max(off, piece.Off), min(off+int64(len(p)), piece.Off+int64(len(piece.Bytes))); lo < hi {
			copy(p[lo-off:hi-off], piece.Bytes[lo-piece.Off:])
		}
	}
	return len(p), nil
}

func BenchmarkReadLarge(b *testing.B) {
	h, infos := large()
	p, err := Place(h, infos)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(sparse(p.Pieces), p.Size, "large.bin"); err != nil {
			b.Fatal(err)
		}
	}
}
