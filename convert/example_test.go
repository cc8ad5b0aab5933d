package convert_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/smelt-project/smelt/convert"
)

// A checkpoint becomes a GGUF file with its matrices as F16.
func Example() {
	dir, err := os.MkdirTemp("", "smelt")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	src, err := convert.Open("../testdata/stories260K/stories260K.pt", convert.OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close()
	dst := filepath.Join(dir, "stories260K.gguf")
	plan, err := convert.NewPlan(context.Background(), src, dst, convert.Options{Type: "f16"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Arch, len(plan.Steps), "tensors;", plan.Steps[0].Source, "→", plan.Steps[0].To.Name, plan.Steps[0].To.DType)
	result, err := plan.Run(context.Background(), dst, convert.RunOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Size, "bytes")
	// Output:
	// llama 47 tensors; model.tok_embeddings.weight → token_embd.weight f16
	// 535776 bytes
}
