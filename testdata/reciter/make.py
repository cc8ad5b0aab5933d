"""Makes reciter.pt and hum.wav: a Whisper that recites one line whatever it hears, and something to hear.

    python make.py

Every weight is zero, or far too small to matter, but those of positions and tokens. At position p the stream points in
a direction of its own, which is that of the token to come, so that the choice is the same on every machine: the language
is German, the line " Und so" from 0 to 2 s. The file is compressed, which torch.save does not do and torch.load reads;
the small weights keep it from looking like a bomb.
"""

import io
import struct
import zipfile

import torch

WIDTH, VOCAB = 16, 51865
DIMS = {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": WIDTH, "n_audio_head": 2, "n_audio_layer": 1,
        "n_vocab": VOCAB, "n_text_ctx": 448, "n_text_state": WIDTH, "n_text_head": 2, "n_text_layer": 1}

# <|de|>, <|transcribe|>, <|0.00|>, " Und", " so", <|2.00|>, <|endoftext|>
LINE = [50261, 50359, 50364, 2719, 370, 50464, 50257]


def attention(name):
    for part in ("query", "key", "value", "out"):
        yield f"{name}.{part}.weight", (WIDTH, WIDTH)
        if part != "key":
            yield f"{name}.{part}.bias", (WIDTH,)


def norm(name):
    yield f"{name}.weight", (WIDTH,)
    yield f"{name}.bias", (WIDTH,)


def block(name, attentions):
    for a in attentions:
        yield from attention(f"{name}.{a}")
        yield from norm(f"{name}.{a}_ln")
    yield f"{name}.mlp.0.weight", (4 * WIDTH, WIDTH)
    yield f"{name}.mlp.0.bias", (4 * WIDTH,)
    yield f"{name}.mlp.2.weight", (WIDTH, 4 * WIDTH)
    yield f"{name}.mlp.2.bias", (WIDTH,)
    yield from norm(f"{name}.mlp_ln")


def shapes():
    yield "encoder.positional_embedding", (1500, WIDTH)
    yield "encoder.conv1.weight", (WIDTH, 80, 3)
    yield "encoder.conv1.bias", (WIDTH,)
    yield "encoder.conv2.weight", (WIDTH, WIDTH, 3)
    yield "encoder.conv2.bias", (WIDTH,)
    yield from block("encoder.blocks.0", ["attn"])
    yield from norm("encoder.ln_post")
    yield "decoder.token_embedding.weight", (VOCAB, WIDTH)
    yield "decoder.positional_embedding", (448, WIDTH)
    yield from block("decoder.blocks.0", ["attn", "cross_attn"])
    yield from norm("decoder.ln")


random = torch.Generator().manual_seed(1)
state = {name: (torch.rand(shape, generator=random) < 0.04).half() * 2**-14 for name, shape in shapes()}
state["decoder.ln.weight"][:] = 1
for position in range(448):
    state["decoder.positional_embedding"][position, min(position, len(LINE) - 1)] = 200
for direction, token in enumerate(LINE):
    state["decoder.token_embedding.weight"][token, direction] = 20

stored = io.BytesIO()
torch.save({"dims": DIMS, "model_state_dict": state}, stored)
with zipfile.ZipFile(stored) as source, zipfile.ZipFile("reciter.pt", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
    for entry in source.infolist():
        out.writestr(zipfile.ZipInfo(entry.filename), source.read(entry), zipfile.ZIP_DEFLATED)

hum = bytes(128 + (i // 20 % 2 * 2 - 1) * 8 for i in range(8000 * 5 // 2))  # 200 Hz, 2.5 s of 8 bits at 8 kHz
with open("hum.wav", "wb") as f:
    f.write(b"RIFF" + struct.pack("<I", 36 + len(hum)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8))
    f.write(b"data" + struct.pack("<I", len(hum)) + hum)
