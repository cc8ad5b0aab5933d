package gguf_test

import (
	"bytes"
	"fmt"
	"log"
	"os"

	"github.com/smelt-project/smelt/gguf"
	"github.com/smelt-project/smelt/tensor"
)

func ExampleRead() {
	f, err := os.Open("testdata/align64.gguf")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	m, err := gguf.Read(f, st.Size(), f.Name())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Format, m.Meta.Text("general.architecture"))
	for _, t := range m.Tensors() {
		fmt.Println(t.Name, t.DType, t.Shape, "at byte", t.Origin.Offset)
	}
	// Output:
	// GGUF v3 smelt-test
	// a f32 [3] at byte 192
	// b f32 [5] at byte 256
}

// A placement says where every byte goes before the first is written, so that
// tensors can be written in any order and at once.
func ExamplePlace() {
	meta := tensor.NewMeta(tensor.KV{Key: "general.architecture", Value: "demo"})
	infos := []tensor.Info{{Name: "w", DType: tensor.F16, Shape: tensor.Shape{2, 3}}}
	p, err := gguf.Place(meta, infos)
	if err != nil {
		log.Fatal(err)
	}
	file := make([]byte, p.Size) // zero: padding needs no writing
	for _, piece := range p.Pieces {
		copy(file[piece.Off:], piece.Bytes)
	}
	copy(file[p.Offsets[0]:], "twelve bytes")

	if err := gguf.Check(bytes.NewReader(file), p.Size, meta, infos); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Size, "bytes, w at byte", p.Offsets[0])
	// Output:
	// 160 bytes, w at byte 128
}
