#!/usr/bin/env python3
"""Make the GGUF files of this folder with the gguf package, version 0.19.0 (gguf-py of ggml-org/llama.cpp).

  make.py        writes into the script's folder; needs gguf==0.19.0 and numpy

keys_le.gguf, keys_be.gguf    every value type, alone and in an array; every unpacked tensor type
blocks_le.gguf, blocks_be.gguf  block types; the second is the first through gguf's own convert-endian script
align64.gguf                  general.alignment other than 32
set-0000N-of-00003.gguf       one model in three shards
v1.gguf, v2.gguf              older versions, packed here as ggml/docs/gguf.md describes them
"""
import pathlib
import struct
import subprocess
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T, GGUFEndian, GGUFValueType as V, GGUFWriter

HERE = pathlib.Path(__file__).parent
SCALARS = {V.UINT8: 250, V.INT8: -100, V.UINT16: 65000, V.INT16: -30000, V.UINT32: 4000000000, V.INT32: -2000000000,
           V.FLOAT32: 1.5, V.BOOL: True, V.STRING: "grüße", V.UINT64: 2**63 + 5, V.INT64: -2**62 - 7, V.FLOAT64: 0.1}
ARRAYS = {V.UINT8: [0, 255], V.INT8: [-128, 127], V.UINT16: [1, 65535], V.INT16: [-32768, 5], V.UINT32: [7, 4294967295],
          V.INT32: [-2147483648, 9], V.FLOAT32: [0.25, -3.0], V.BOOL: [True, False, True], V.STRING: ["a", "", "ü€"],
          V.UINT64: [1, 2**64 - 1], V.INT64: [-2**63, 2**63 - 1], V.FLOAT64: [1e300, -0.0]}


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def keys(name, endian):
    w = GGUFWriter(HERE / name, "smelt-test", endianess=endian)
    for t, v in SCALARS.items():
        w.add_key_value(f"one.{t.name.lower()}", v, t)
    for t, v in ARRAYS.items():
        w.add_key_value(f"many.{t.name.lower()}", v, V.ARRAY, sub_type=t)
    for d in (np.float32, np.float16, np.float64, np.int8, np.int16, np.int32, np.int64):
        w.add_tensor(f"t.{np.dtype(d).name}", np.arange(6, dtype=d).reshape(2, 3) * 20)
    order = "<" if endian == GGUFEndian.LITTLE else ">"
    w.add_tensor("t.bfloat16", np.array([[0x3F80, 0xC000, 0x7F80]], dtype=order + "u2").view(np.uint8), raw_dtype=T.BF16, tensor_endianess=endian)
    w.add_tensor("t.rank1", np.array([7], dtype=np.float32))
    w.add_tensor("t.rank4", np.arange(24, dtype=np.float32).reshape(4, 3, 2, 1))
    finish(w)


def blocks(name):
    w = GGUFWriter(HERE / name, "smelt-test")
    rng = np.random.default_rng(1)
    for t in (T.Q4_0, T.Q8_0, T.Q4_K, T.Q6_K, T.MXFP4, T.NVFP4):
        elems, size = gguf.GGML_QUANT_SIZES[t]
        row = 512 // elems * size
        w.add_tensor(f"t.{t.name.lower()}", rng.integers(0, 256, (3, row), dtype=np.uint8), raw_dtype=t)
    finish(w)


def to_big(src, dst):
    (HERE / dst).write_bytes((HERE / src).read_bytes())
    subprocess.run([sys.executable, "-m", "gguf.scripts.gguf_convert_endian", str(HERE / dst), "big"], input=b"YES\n", check=True)


def align64(name):
    w = GGUFWriter(HERE / name, "smelt-test")
    w.add_custom_alignment(64)
    w.add_tensor("a", np.arange(3, dtype=np.float32))
    w.add_tensor("b", np.arange(5, dtype=np.float32))
    finish(w)


def split():
    w = GGUFWriter(HERE / "set.gguf", "smelt-test", split_max_tensors=2)
    w.add_name("in three")
    for i in range(5):
        w.add_tensor(f"t.{i}", np.full((2, 2), i, dtype=np.float32))
    finish(w)


def old(name, version):
    count = "<I" if version == 1 else "<Q"
    n = lambda v: struct.pack(count, v)
    text = lambda s: n(len(s)) + s.encode()
    b = b"GGUF" + struct.pack("<I", version) + n(2) + n(3)
    b += text("general.architecture") + struct.pack("<I", 8) + text("smelt-test")
    b += text("test.words") + struct.pack("<II", 9, 8) + n(2) + text("one") + text("two")
    b += text("test.count") + struct.pack("<II", 4, 7)
    b += text("x") + struct.pack("<I", 2) + n(3) + n(2) + struct.pack("<IQ", 0, 0)
    b += text("y") + struct.pack("<I", 1) + n(4) + struct.pack("<IQ", 1, 32)
    b += bytes(-len(b) % 32)
    b += np.arange(6, dtype="<f4").tobytes().ljust(32, b"\0") + np.arange(4, dtype="<f2").tobytes().ljust(32, b"\0")
    (HERE / name).write_bytes(b)


if __name__ == "__main__":
    keys("keys_le.gguf", GGUFEndian.LITTLE)
    keys("keys_be.gguf", GGUFEndian.BIG)
    blocks("blocks_le.gguf")
    to_big("blocks_le.gguf", "blocks_be.gguf")
    align64("align64.gguf")
    split()
    old("v1.gguf", 1)
    old("v2.gguf", 2)
