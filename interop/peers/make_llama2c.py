"""Writes a llama2.c checkpoint of 0.15 billion random weights in float16.

make_llama2c.py OUT.pt
"""

import sys

import torch

WIDTH, LAYERS, FORWARD, HEADS, VOCABULARY = 768, 14, 2048, 12, 32000


def main():
    torch.manual_seed(7)

    def matrix(rows, columns):
        return (torch.randn(rows, columns) * 0.03).half()

    state = {"tok_embeddings.weight": matrix(VOCABULARY, WIDTH), "output.weight": matrix(VOCABULARY, WIDTH)}
    state["norm.weight"] = torch.ones(WIDTH)
    for layer in range(LAYERS):
        prefix = f"layers.{layer}."
        for norm in "attention_norm", "ffn_norm":
            state[f"{prefix}{norm}.weight"] = torch.ones(WIDTH)
        for part in "wq", "wk", "wv", "wo":
            state[f"{prefix}attention.{part}.weight"] = matrix(WIDTH, WIDTH)
        for part, rows, columns in ("w1", FORWARD, WIDTH), ("w3", FORWARD, WIDTH), ("w2", WIDTH, FORWARD):
            state[f"{prefix}feed_forward.{part}.weight"] = matrix(rows, columns)
    arguments = dict(dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, n_kv_heads=HEADS, vocab_size=VOCABULARY, max_seq_len=2048, norm_eps=1e-5)
    torch.save({"model": state, "model_args": arguments}, sys.argv[1])


if __name__ == "__main__":
    main()
