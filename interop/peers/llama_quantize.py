"""Quantizes a GGUF with the library that llama.cpp releases, as llama-quantize does.

llama_quantize.py LIBRARIES IN.gguf OUT.gguf FILE_TYPE [--imatrix FILE.gguf] [--all TYPE] [--keep-split]

Prints the seconds that the library took. FILE_TYPE is a number of enum llama_ftype;
--all gives every tensor of more than one dimension that of enum ggml_type. What llama-quantize itself does with an
importance matrix is done here: means of sums, ones where there is no count, the
keys quantize.imatrix.* (tools/quantize/quantize.cpp).
"""

import argparse
import ctypes
import sys
import time
from pathlib import Path

STRING = 128  # bytes of a key or text in llama_model_kv_override


class ImatrixData(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t)]


class Value(ctypes.Union):
    _fields_ = [("i64", ctypes.c_int64), ("text", ctypes.c_char * STRING)]


class Override(ctypes.Structure):
    _fields_ = [("tag", ctypes.c_int), ("key", ctypes.c_char * STRING), ("value", Value)]


class TensorOverride(ctypes.Structure):
    _fields_ = [("pattern", ctypes.c_char_p), ("type", ctypes.c_int)]


class Params(ctypes.Structure):
    """llama_model_quantize_params of include/llama.h."""

    _fields_ = [
        ("nthread", ctypes.c_int32),
        ("ftype", ctypes.c_int),
        ("output_tensor_type", ctypes.c_int),
        ("token_embedding_type", ctypes.c_int),
        ("allow_requantize", ctypes.c_bool),
        ("quantize_output_tensor", ctypes.c_bool),
        ("only_copy", ctypes.c_bool),
        ("pure", ctypes.c_bool),
        ("keep_split", ctypes.c_bool),
        ("dry_run", ctypes.c_bool),
        ("imatrix", ctypes.POINTER(ImatrixData)),
        ("kv_overrides", ctypes.POINTER(Override)),
        ("tt_overrides", ctypes.POINTER(TensorOverride)),
        ("prune_layers", ctypes.c_void_p),
    ]


def load(folder):
    mode = ctypes.RTLD_GLOBAL
    ctypes.CDLL(str(folder / "libggml-base.so"), mode=mode)
    ctypes.CDLL(str(next(folder.glob("libggml.v*.so"))), mode=mode)
    return ctypes.CDLL(str(next(folder.glob("libllama.v*.so"))), mode=mode)


def importance(path):
    """Returns the entries and overrides that llama-quantize makes of an imatrix."""
    import numpy
    from gguf import GGUFReader

    reader = GGUFReader(path)
    held = {t.name: t.data for t in reader.tensors}
    entries = []
    for name in sorted(held):
        if not name.endswith(".in_sum2"):
            continue
        sums = numpy.array(held[name], dtype=numpy.float32)
        sums = sums.reshape(-1, sums.shape[-1])
        counts = numpy.array(held[name.removesuffix(".in_sum2") + ".counts"], dtype=numpy.float32).reshape(-1)
        means = numpy.ones_like(sums)
        used = counts > 0
        means[used] = sums[used] / counts[used, None]
        entries.append((name.removesuffix(".in_sum2").encode(), numpy.ascontiguousarray(means).reshape(-1)))
    field = reader.fields["imatrix.datasets"]
    dataset = bytes(field.parts[field.data[0]]).decode()
    chunks = int(reader.fields["imatrix.chunk_count"].parts[-1][0])
    return entries, [
        (b"quantize.imatrix.file", str(path)),
        (b"quantize.imatrix.dataset", dataset),
        (b"quantize.imatrix.entries_count", len(entries)),
        (b"quantize.imatrix.chunks_count", chunks),
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("libraries", type=Path)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("file_type", type=int)
    parser.add_argument("--imatrix")
    parser.add_argument("--all", type=int)
    parser.add_argument("--keep-split", action="store_true", help="one shard of OUT for each of IN, the first of its shards")
    args = parser.parse_args()
    llama = load(args.libraries)
    llama.llama_model_quantize_default_params.restype = Params
    params = llama.llama_model_quantize_default_params()
    if params.output_tensor_type != params.token_embedding_type or not params.quantize_output_tensor:
        sys.exit("llama_model_quantize_params has another layout than this script knows")
    params.nthread, params.ftype, params.keep_split = 2, args.file_type, args.keep_split
    if args.all is not None:
        params.tt_overrides = (TensorOverride * 2)(TensorOverride(b".*", args.all))
    if args.imatrix:
        entries, pairs = importance(args.imatrix)
        data = (ImatrixData * (len(entries) + 1))()
        for i, (name, values) in enumerate(entries):
            data[i] = ImatrixData(name, values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), len(values))
        overrides = (Override * (len(pairs) + 1))()
        for o, (key, value) in zip(overrides, pairs):
            o.key = key
            if isinstance(value, int):
                o.tag, o.value.i64 = 0, value  # LLAMA_KV_OVERRIDE_TYPE_INT
            else:
                o.tag, o.value.text = 3, value.encode()[: STRING - 1]  # LLAMA_KV_OVERRIDE_TYPE_STR
        params.imatrix, params.kv_overrides = data, overrides
    began = time.perf_counter()
    code = llama.llama_model_quantize(args.source.encode(), args.target.encode(), ctypes.byref(params))
    print(time.perf_counter() - began)
    if code != 0:
        sys.exit(f"llama_model_quantize returned {code}")


if __name__ == "__main__":
    main()
