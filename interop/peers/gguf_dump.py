#!/usr/bin/env python3
"""Describe a GGUF file as the gguf package (ggml-org/llama.cpp, gguf-py) reads it.

  gguf_dump.py FILE

Prints {"metadata": [{"key", "type", "value"}], "tensors": [{"name", "dtype", "shape" outermost first, "bytes",
"offset", "sha256"}]} in file order. An array's type is "ARRAY:" and its items' type.
"""

import hashlib
import json
import math
import sys

from gguf import GGUFReader, GGUFValueType


def metadata(field):
    kinds = [GGUFValueType(t).name for t in field.types]
    value = field.contents()
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    return {"key": field.name, "type": ":".join(kinds), "value": value}


def tensor(t):
    return {
        "name": t.name,
        "dtype": t.tensor_type.name.lower(),
        "shape": [int(d) for d in reversed(t.shape)],
        "bytes": int(t.n_bytes),
        "offset": int(t.data_offset),
        "sha256": hashlib.sha256(t.data.tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    reader = GGUFReader(sys.argv[1])
    fields = [metadata(f) for f in reader.fields.values() if not f.name.startswith("GGUF.")]
    json.dump({"metadata": fields, "tensors": [tensor(t) for t in reader.tensors]}, sys.stdout)
