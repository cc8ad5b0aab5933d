package arch_test

import (
	"bytes"
	"fmt"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/tensor"
)

// A small Llama as llama2.c saves it gets the names of a GGUF file.
func Example() {
	var tensors []*tensor.Tensor
	for _, info := range []tensor.Info{
		{Name: "model.tok_embeddings.weight", Shape: tensor.Shape{16, 8}},
		{Name: "model.layers.0.attention_norm.weight", Shape: tensor.Shape{8}},
		{Name: "model.layers.0.attention.wq.weight", Shape: tensor.Shape{8, 8}},
		{Name: "model.layers.0.attention.wk.weight", Shape: tensor.Shape{4, 8}},
		{Name: "model.layers.0.attention.wv.weight", Shape: tensor.Shape{4, 8}},
		{Name: "model.layers.0.attention.wo.weight", Shape: tensor.Shape{8, 8}},
		{Name: "model.layers.0.ffn_norm.weight", Shape: tensor.Shape{8}},
		{Name: "model.layers.0.feed_forward.w1.weight", Shape: tensor.Shape{24, 8}},
		{Name: "model.layers.0.feed_forward.w2.weight", Shape: tensor.Shape{8, 24}},
		{Name: "model.layers.0.feed_forward.w3.weight", Shape: tensor.Shape{24, 8}},
		{Name: "model.norm.weight", Shape: tensor.Shape{8}},
	} {
		size, err := info.Size()
		if err != nil {
			fmt.Println(err)
			return
		}
		t, err := tensor.New(info, bytes.NewReader(make([]byte, size)), tensor.Origin{})
		if err != nil {
			fmt.Println(err)
			return
		}
		tensors = append(tensors, t)
	}
	scalars, err := arch.FlattenJSON([]byte(`{"model_args": {"dim": 8, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "max_seq_len": 64}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	src, err := tensor.NewModel("PyTorch zip", scalars, tensors)
	if err != nil {
		fmt.Println(err)
		return
	}
	match, err := arch.Detect(src, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := match.Canonical(src, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(match)
	for _, t := range result.Model.Tensors()[:3] {
		fmt.Println(result.Sources[t.Name], "→", t.Name, t.Shape)
	}
	for _, p := range result.Params[:3] {
		fmt.Println(p.Key, "=", p.Value, "from", p.From)
	}
	// Output:
	// llama (llama2.c checkpoint) under "model"
	// model.tok_embeddings.weight → token_embd.weight [16 8]
	// model.layers.0.attention_norm.weight → blk.0.attn_norm.weight [8]
	// model.layers.0.attention.wq.weight → blk.0.attn_q.weight [8 8]
	// llama.block_count = 1 from checkpoint model_args.n_layers
	// llama.context_length = 64 from checkpoint model_args.max_seq_len
	// llama.embedding_length = 8 from checkpoint model_args.dim
}
