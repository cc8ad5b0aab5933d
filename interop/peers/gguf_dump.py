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


def plain(value):
    """JSON has no numbers for what is not finite."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def metadata(field):
    types = [GGUFValueType(t).name for t in field.types]
    return {"key": field.name, "type": ":".join(types), "value": plain(field.contents())}


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
