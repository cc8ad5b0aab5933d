#!/usr/bin/env python3
"""Make the files of this folder.

  make.py [WHISPERCPP_BIN_JSON]

small.bin     a Whisper model of one block each and width 8, packed as whisper.cpp's models/convert-pt-to-ggml.py@233fe1fc
              packs (its f16 form)
small.json    its tensors: name, ggml type, shape outermost first, SHA-256 of the bytes
tiny.en.txt   name, type and shape of each tensor in what that converter made of OpenAI's tiny.en; needs the list as JSON
"""
import hashlib
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent
HPARAMS = dict(n_vocab=20, n_audio_ctx=6, n_audio_state=8, n_audio_head=2, n_audio_layer=1, n_text_ctx=5, n_text_state=8,
               n_text_head=2, n_text_layer=1, n_mels=4, ftype=1)
TOKENS = [b"a", b"", b"\xff\xfe", " grüße".encode(), b"\x00"]
F32 = ("encoder.conv1.bias", "encoder.conv2.bias", "encoder.positional_embedding", "decoder.positional_embedding")


def tensors(h):
    a, t = h["n_audio_state"], h["n_text_state"]
    yield "encoder.positional_embedding", (h["n_audio_ctx"], a)
    yield "encoder.conv1.weight", (a, h["n_mels"], 3)
    yield "encoder.conv1.bias", (a, 1)
    yield "encoder.conv2.weight", (a, a, 3)
    yield "encoder.conv2.bias", (a, 1)
    yield from block("encoder.blocks.0.", a, ("attn",))
    yield from norm("encoder.ln_post", a)
    yield "decoder.positional_embedding", (h["n_text_ctx"], t)
    yield "decoder.token_embedding.weight", (h["n_vocab"], t)
    yield from block("decoder.blocks.0.", t, ("attn", "cross_attn"))
    yield from norm("decoder.ln", t)


def norm(name, n):
    yield name + ".weight", (n,)
    yield name + ".bias", (n,)


def block(prefix, n, attentions):
    for a in attentions:
        for part in ("query", "key", "value", "out"):
            yield f"{prefix}{a}.{part}.weight", (n, n)
            if part != "key":
                yield f"{prefix}{a}.{part}.bias", (n,)
        yield from norm(prefix + a + "_ln", n)
    yield prefix + "mlp.0.weight", (4 * n, n)
    yield prefix + "mlp.0.bias", (4 * n,)
    yield prefix + "mlp.2.weight", (n, 4 * n)
    yield prefix + "mlp.2.bias", (n,)
    yield from norm(prefix + "mlp_ln", n)


def small():
    b = struct.pack("i", 0x67676d6c) + struct.pack("11i", *HPARAMS.values())
    b += struct.pack("ii", HPARAMS["n_mels"], 3) + struct.pack("12f", *[i / 8 for i in range(12)])
    b += struct.pack("i", len(TOKENS)) + b"".join(struct.pack("i", len(t)) + t for t in TOKENS)
    listed = []
    for k, (name, shape) in enumerate(tensors(HPARAMS)):
        n = 1
        for d in shape:
            n *= d
        full = len(shape) < 2 or name in F32
        data = struct.pack(f"{n}{'f' if full else 'e'}", *[(i % 97 - k) / 16 for i in range(n)])
        b += struct.pack("iii", len(shape), len(name), 0 if full else 1) + struct.pack(f"{len(shape)}i", *reversed(shape)) + name.encode() + data
        listed.append([name, 0 if full else 1, shape, hashlib.sha256(data).hexdigest()])
    (HERE / "small.bin").write_bytes(b)
    (HERE / "small.json").write_text(json.dumps(listed, indent=0) + "\n")


def tiny(path):
    files = json.loads(pathlib.Path(path).read_text())
    lines = ["# name, type, shape outermost first; " + files["converter"]]
    for name, kind, ne, _ in files["f16"]["tensors"]:
        lines.append(" ".join([name, {0: "f32", 1: "f16"}[kind], *map(str, reversed(ne))]))
    (HERE / "tiny.en.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    small()
    if len(sys.argv) > 1:
        tiny(sys.argv[1])
