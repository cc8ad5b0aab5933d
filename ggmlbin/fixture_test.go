package ggmlbin

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// fixture returns a file of testdata.
func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func readBytes(b []byte) (*tensor.Model, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "m.bin")
}

// smallHeader is what testdata/make.py writes.
func smallHeader() *Header {
	h := &Header{Vocab: 20, AudioCtx: 6, AudioState: 8, AudioHead: 2, AudioLayer: 1, TextCtx: 5, TextState: 8, TextHead: 2, TextLayer: 1, Mels: 4,
		FType: 1, FFT: 3, Tokens: [][]byte{[]byte("a"), {}, {0xff, 0xfe}, []byte(" grüße"), {0}}}
	for i := range 12 {
		h.Filters = append(h.Filters, float32(i)/8)
	}
	return h
}

// smallInfos lists the tensors of h in the types of a file of type d.
func smallInfos(h *Header, d tensor.DType) []tensor.Info {
	var infos []tensor.Info
	for info := range h.expected() {
		info.DType, _ = TypeOf(info, d)
		infos = append(infos, info)
	}
	return infos
}

// write makes the file that p describes, with data as the tensors' bytes.
func write(p *tensor.Placement, data [][]byte) []byte {
	b := make([]byte, p.Size)
	for _, piece := range p.Pieces {
		copy(b[piece.Off:], piece.Bytes)
	}
	for i, d := range data {
		copy(b[p.Offsets[i]:], d)
	}
	return b
}

// rewrite lays m, which Read returned, out anew and writes it.
func rewrite(tb testing.TB, m *tensor.Model) []byte {
	tb.Helper()
	h, err := HeaderOf(m.Meta, m.Tensor(MelFilters), nil)
	if err != nil {
		tb.Fatal(err)
	}
	tensors := slices.DeleteFunc(slices.Clone(m.Tensors()), func(t *tensor.Tensor) bool { return t.Name == MelFilters })
	var infos []tensor.Info
	var data [][]byte
	for _, t := range tensors {
		b, err := t.ReadAll()
		if err != nil {
			tb.Fatal(err)
		}
		infos, data = append(infos, t.Info), append(data, b)
	}
	p, err := Place(h, infos)
	if err != nil {
		tb.Fatal(err)
	}
	b := write(p, data)
	if err := Check(bytes.NewReader(b), int64(len(b)), h, infos); err != nil {
		tb.Fatalf("Check of what Place laid out: %v", err)
	}
	return b
}
