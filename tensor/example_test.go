package tensor_test

import (
	"bytes"
	"fmt"

	"github.com/smelt-project/smelt/tensor"
)

// A transposed PyTorch view becomes a tensor whose bytes are gathered when they
// are read.
func ExampleStrided() {
	storage := []byte{1, 2, 3, 4, 5, 6} // [2, 3]
	t, err := tensor.Strided(bytes.NewReader(storage), 6,
		tensor.Info{Name: "w", DType: tensor.U8, Shape: tensor.Shape{3, 2}}, []int64{1, 3}, 0, tensor.Origin{})
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := t.ReadAll()
	fmt.Println(t.Shape, b, err)
	// Output: [3 2] [1 4 2 5 3 6] <nil>
}
