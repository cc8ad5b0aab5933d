"""Writes a small GGUF of architecture llama with eight experts, random weights and no vocabulary.

make_mixture.py OUT.gguf

Rows are 256 long, whole blocks of every type; weights are F32, but for F16 and BF16 queries and keys.
"""

import sys

import numpy
from gguf import GGMLQuantizationType, GGUFWriter

LAYERS, WIDTH, FORWARD, HEADS, KV_HEADS, EXPERTS, VOCABULARY = 8, 256, 256, 8, 2, 8, 512


def main():
    random = numpy.random.default_rng(3)

    def normal(*shape):
        return (random.standard_normal(shape) * 0.05).astype(numpy.float32)

    writer = GGUFWriter(sys.argv[1], arch="llama")
    writer.add_type("model")
    writer.add_name("mixture")
    writer.add_file_type(0)
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("none")
    writer.add_tensor("token_embd.weight", normal(VOCABULARY, WIDTH))
    writer.add_tensor("output.weight", normal(VOCABULARY, WIDTH))
    writer.add_tensor("output_norm.weight", normal(WIDTH))
    for n in range(LAYERS):
        blk = f"blk.{n}."
        writer.add_tensor(blk + "attn_norm.weight", normal(WIDTH))
        writer.add_tensor(blk + "attn_q.weight", normal(WIDTH, WIDTH).astype(numpy.float16))
        upper = (normal(KV_HEADS * WIDTH // HEADS, WIDTH).view(numpy.uint32) >> 16).astype(numpy.uint16)
        writer.add_tensor(blk + "attn_k.weight", upper.view(numpy.uint8), raw_dtype=GGMLQuantizationType.BF16)
        writer.add_tensor(blk + "attn_v.weight", normal(KV_HEADS * WIDTH // HEADS, WIDTH))
        writer.add_tensor(blk + "attn_output.weight", normal(WIDTH, WIDTH))
        writer.add_tensor(blk + "ffn_norm.weight", normal(WIDTH))
        writer.add_tensor(blk + "ffn_gate_inp.weight", normal(EXPERTS, WIDTH))
        for part, rows, columns in ("gate", FORWARD, WIDTH), ("up", FORWARD, WIDTH), ("down", WIDTH, FORWARD):
            writer.add_tensor(f"{blk}ffn_{part}_exps.weight", normal(EXPERTS, rows, columns))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
