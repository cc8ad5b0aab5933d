#!/usr/bin/env python3
"""Describe a whisper.cpp model file, read as whisper_model_load in whisper.cpp's src/whisper.cpp reads it.

  whisper_bin.py FILE

Prints {"hparams", "mel": [rows, columns], "mel_sha256", "vocab": n, "vocab_sha256_len_prefixed",
"tensors": [[name, ggml type, ne fastest first, sha256]], "file_sha256", "size"}.
"""

import hashlib
import json
import math
import pathlib
import struct
import sys

ITEM = {0: 4, 1: 2}  # bytes an element: F32, F16


def sha256(b):
    return hashlib.sha256(b).hexdigest()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n < 0 or self.at + n > len(self.data):
            sys.exit(f"{n} bytes wanted at {self.at}, the file has {len(self.data)}")
        self.at += n
        return self.data[self.at - n : self.at]

    def ints(self, n):
        return list(struct.unpack(f"<{n}i", self.take(4 * n)))


def describe(data):
    r = Reader(data)
    (magic,) = struct.unpack("<I", r.take(4))
    if magic != 0x67676D6C:
        sys.exit(f"magic {magic:#x}, want 0x67676d6c")
    hparams, mel = r.ints(11), r.ints(2)
    filters = r.take(4 * mel[0] * mel[1])
    (n,) = r.ints(1)
    first = r.at
    for _ in range(n):
        r.take(*r.ints(1))
    vocabulary = bytes(r.data[first : r.at])
    tensors = []
    while r.at < len(data):
        dims, length, kind = r.ints(3)
        ne = r.ints(dims)
        name = bytes(r.take(length)).decode()
        tensors.append([name, kind, ne, sha256(r.take(ITEM[kind] * math.prod(ne)))])
    return {
        "hparams": hparams,
        "mel": mel,
        "mel_sha256": sha256(filters),
        "vocab": n,
        "vocab_sha256_len_prefixed": sha256(vocabulary),
        "tensors": tensors,
        "file_sha256": sha256(data),
        "size": len(data),
    }


if __name__ == "__main__":
    json.dump(describe(memoryview(pathlib.Path(sys.argv[1]).read_bytes())), sys.stdout)
