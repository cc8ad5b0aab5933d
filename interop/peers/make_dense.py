"""Writes a GGUF of architecture llama with random weights in F16 and no vocabulary: 0.15 billion, or as many as asked.

make_dense.py OUT.gguf [LAYERS WIDTH FORWARD VOCABULARY]

Rows are whole blocks of every type. The weights of a matrix are normal; their deviation differs from matrix to matrix, as in
trained models.
"""

import sys

import numpy
from gguf import GGUFWriter

DIMENSIONS = 14, 768, 2048, 32000
HEAD = 64  # elements


def main():
    layers, width, forward, vocabulary = map(int, sys.argv[2:]) if sys.argv[2:] else DIMENSIONS
    random = numpy.random.default_rng(7)

    def matrix(rows, columns):
        deviation = 0.03 * numpy.exp(0.5 * random.standard_normal())
        return (random.standard_normal((rows, columns), dtype=numpy.float32) * numpy.float32(deviation)).astype(numpy.float16)

    writer = GGUFWriter(sys.argv[1], arch="llama")
    writer.add_type("model")
    writer.add_name("dense")
    writer.add_file_type(1)
    writer.add_block_count(layers)
    writer.add_context_length(2048)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(forward)
    writer.add_head_count(width // HEAD)
    writer.add_head_count_kv(width // HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HEAD)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("none")
    ones = numpy.ones(width, numpy.float32)
    writer.add_tensor("token_embd.weight", matrix(vocabulary, width))
    writer.add_tensor("output.weight", matrix(vocabulary, width))
    writer.add_tensor("output_norm.weight", ones)
    for n in range(layers):
        blk = f"blk.{n}."
        for part in "attn_norm", "ffn_norm":
            writer.add_tensor(f"{blk}{part}.weight", ones)
        for part in "attn_q", "attn_k", "attn_v", "attn_output":
            writer.add_tensor(f"{blk}{part}.weight", matrix(width, width))
        for part, rows, columns in ("gate", forward, width), ("up", forward, width), ("down", width, forward):
            writer.add_tensor(f"{blk}ffn_{part}.weight", matrix(rows, columns))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
