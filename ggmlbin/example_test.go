package ggmlbin_test

import (
	"fmt"
	"log"
	"os"

	"github.com/smelt-project/smelt/ggmlbin"
	"github.com/smelt-project/smelt/tensor"
)

func ExampleRead() {
	f, err := os.Open("testdata/small.bin")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	m, err := ggmlbin.Read(f, st.Size(), f.Name())
	if err != nil {
		log.Fatal(err)
	}
	width, _ := m.Meta.Int("whisper.encoder.embedding_length")
	conv := m.Tensor("encoder.conv1.weight")
	fmt.Println(len(m.Tensors()), "tensors, width", width)
	fmt.Println(conv.Name, conv.DType, conv.Shape)
	// Output:
	// 51 tensors, width 8
	// encoder.conv1.weight f16 [8 4 3]
}

// Whatever type a file is to have, whisper.cpp needs some tensors in another.
func ExampleTypeOf() {
	for _, info := range []tensor.Info{
		{Name: "encoder.blocks.0.mlp.0.weight", Shape: tensor.Shape{1536, 384}},
		{Name: "encoder.blocks.0.mlp.0.bias", Shape: tensor.Shape{1536}},
		{Name: "encoder.conv1.weight", Shape: tensor.Shape{384, 80, 3}},
	} {
		d, _ := ggmlbin.TypeOf(info, tensor.Q8_0)
		fmt.Println(info.Name, d)
	}
	// Output:
	// encoder.blocks.0.mlp.0.weight q8_0
	// encoder.blocks.0.mlp.0.bias f32
	// encoder.conv1.weight f16
}
