#!/usr/bin/env python3
"""Makes the files of this folder from the source release of openai-whisper.

    pip download --no-deps --no-binary :all: openai-whisper==20250625
    tar xzf openai_whisper-20250625.tar.gz
    python3 make.py openai_whisper-20250625/whisper/assets .      (needs numpy)

NAME.vocab.gz  every token in rank order as one length byte and its bytes
melN.f32.gz    the mel filter bank, [N, 201], little-endian float32
"""
import base64
import gzip
import pathlib
import sys

import numpy as np

src, dst = map(pathlib.Path, sys.argv[1:])


def store(name: str, data: bytes) -> None:
    (dst / name).write_bytes(gzip.compress(data, 9, mtime=0))


for name in ("gpt2", "multilingual"):
    out = bytearray()
    lines = (src / f"{name}.tiktoken").read_bytes().split(b"\n")
    for i, line in enumerate(filter(None, lines)):
        text, rank = line.split()
        assert int(rank) == i, (name, i, rank)
        token = base64.b64decode(text)
        out += bytes([len(token)]) + token
    store(f"{name}.vocab.gz", bytes(out))

with np.load(src / "mel_filters.npz", allow_pickle=False) as npz:
    for n in (80, 128):
        filters = npz[f"mel_{n}"]
        assert filters.shape == (n, 201) and filters.dtype == np.float32
        store(f"mel{n}.f32.gz", filters.astype("<f4").tobytes())
