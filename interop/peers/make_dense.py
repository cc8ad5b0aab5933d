"""Writes a GGUF of architecture llama with 0.15 billion random weights in F16 and no vocabulary.

make_dense.py OUT.gguf

Rows are whole blocks of every type. The weights of a matrix are normal; their deviation differs from matrix to matrix, as in
trained models.
"""

import sys

import numpy
from gguf import GGUFWriter

LAYERS, WIDTH, FORWARD, HEADS, VOCABULARY = 14, 768, 2048, 12, 32000


def main():
    random = numpy.random.default_rng(7)

    def matrix(rows, columns):
        deviation = 0.03 * numpy.exp(0.5 * random.standard_normal())
        return (random.standard_normal((rows, columns), dtype=numpy.float32) * numpy.float32(deviation)).astype(numpy.float16)

    writer = GGUFWriter(sys.argv[1], arch="llama")
    writer.add_type("model")
    writer.add_name("dense")
    writer.add_file_type(1)
    writer.add_block_count(LAYERS)
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("none")
    ones = numpy.ones(WIDTH, numpy.float32)
    writer.add_tensor("token_embd.weight", matrix(VOCABULARY, WIDTH))
    writer.add_tensor("output.weight", matrix(VOCABULARY, WIDTH))
    writer.add_tensor("output_norm.weight", ones)
    for n in range(LAYERS):
        blk = f"blk.{n}."
        for part in "attn_norm", "ffn_norm":
            writer.add_tensor(f"{blk}{part}.weight", ones)
        for part in "attn_q", "attn_k", "attn_v", "attn_output":
            writer.add_tensor(f"{blk}{part}.weight", matrix(WIDTH, WIDTH))
        for part, rows, columns in ("gate", FORWARD, WIDTH), ("up", FORWARD, WIDTH), ("down", WIDTH, FORWARD):
            writer.add_tensor(f"{blk}ffn_{part}.weight", matrix(rows, columns))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
