#!/usr/bin/env python3
"""Write an openai/whisper checkpoint with the dimensions of large-v2.pt and random weights.

  make_large_checkpoint.py OUT.pt {f16,f32}

The weights go to a scratch file beside OUT first and are saved from there as mapped storages, so memory does not grow
with the model. f16 gives 3.1 GB, f32 6.2 GB; names and shapes are those of whisper/model.py.
"""

import math
import pathlib
import sys

import numpy
import torch

DIMS = {
    "n_mels": 80,
    "n_vocab": 51865,
    "n_audio_ctx": 1500,
    "n_audio_state": 1280,
    "n_audio_head": 20,
    "n_audio_layer": 32,
    "n_text_ctx": 448,
    "n_text_state": 1280,
    "n_text_head": 20,
    "n_text_layer": 32,
}
BLOCK = 1 << 24  # elements made at a time


def linear(name, outputs, inputs, bias=True):
    yield name + ".weight", (outputs, inputs)
    if bias:
        yield name + ".bias", (outputs,)


def norm(name, width):
    yield name + ".weight", (width,)
    yield name + ".bias", (width,)


def attention(name, width):
    yield from linear(name + ".query", width, width)
    yield from linear(name + ".key", width, width, bias=False)
    yield from linear(name + ".value", width, width)
    yield from linear(name + ".out", width, width)


def block(name, width, attentions):
    for a in attentions:
        yield from attention(f"{name}.{a}", width)
        yield from norm(f"{name}.{a}_ln", width)
    yield from linear(name + ".mlp.0", 4 * width, width)
    yield from linear(name + ".mlp.2", width, 4 * width)
    yield from norm(name + ".mlp_ln", width)


def shapes(d):
    audio, text = d["n_audio_state"], d["n_text_state"]
    yield "encoder.positional_embedding", (d["n_audio_ctx"], audio)
    yield "encoder.conv1.weight", (audio, d["n_mels"], 3)
    yield "encoder.conv1.bias", (audio,)
    yield "encoder.conv2.weight", (audio, audio, 3)
    yield "encoder.conv2.bias", (audio,)
    for i in range(d["n_audio_layer"]):
        yield from block(f"encoder.blocks.{i}", audio, ["attn"])
    yield from norm("encoder.ln_post", audio)
    yield "decoder.positional_embedding", (d["n_text_ctx"], text)
    yield "decoder.token_embedding.weight", (d["n_vocab"], text)
    for i in range(d["n_text_layer"]):
        yield from block(f"decoder.blocks.{i}", text, ["attn", "cross_attn"])
    yield from norm("decoder.ln", text)


def fill(path, n, dtype):
    """Write n normally distributed elements of the size that weights have."""
    random = numpy.random.default_rng(0)
    with open(path, "wb") as f:
        for done in range(0, n, BLOCK):
            block = random.standard_normal(min(BLOCK, n - done), dtype=numpy.float32)
            block *= numpy.float32(0.02)
            f.write(block.astype(dtype).tobytes())


def main(out, kind):
    out, dtype = pathlib.Path(out), {"f16": torch.float16, "f32": torch.float32}[kind]
    item, scratch = dtype.itemsize, out.with_name(out.name + ".weights")
    total = sum(math.prod(s) for _, s in shapes(DIMS))
    try:
        fill(scratch, total, {"f16": "<f2", "f32": "<f4"}[kind])
        mapped = torch.UntypedStorage.from_file(str(scratch), shared=True, nbytes=total * item)
        weights, at = {}, 0
        for name, shape in shapes(DIMS):
            n = math.prod(shape) * item
            weights[name] = torch.empty(0, dtype=dtype).set_(mapped[at : at + n]).view(shape)
            at += n
        torch.save({"dims": DIMS, "model_state_dict": weights}, out)
    finally:
        scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
