"""Quantizes with the library that llama.cpp releases, without llama.cpp.

ggml_quantize.py LIBRARY TYPE ID ROWS COLUMNS BLOCK_ELEMENTS BLOCK_BYTES MODE...

reads ROWS*COLUMNS float32 from standard input, then the importance of the
columns, COLUMNS more. For each MODE, plain or importance, it writes the blocks
and what the library decodes them to, float32. TYPE is the lower-case name
(q4_k), ID that of enum ggml_type.
"""

import ctypes
import re
import sys


def main():
    library, name = sys.argv[1], sys.argv[2]
    ident, rows, columns, elements, size = map(int, sys.argv[3:8])
    modes = sys.argv[8:]
    data = sys.stdin.buffer.read()
    want = 4 * columns * (rows + 1)
    if len(data) != want:
        sys.exit(f"{len(data)} bytes on standard input, want {want}")
    ggml = ctypes.CDLL(library, mode=1)  # RTLD_LAZY: some of its symbols are in other libraries
    quantize = ggml.ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p] + 3 * [ctypes.c_int64] + [ctypes.c_char_p]
    decode = getattr(ggml, "dequantize_row_" + re.sub(r"^(q\d)_k$", r"\1_K", name))
    decode.restype = None
    decode.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int64]
    importance = {"plain": None, "importance": data[4 * rows * columns :]}
    for mode in modes:
        blocks = ctypes.create_string_buffer(rows * columns // elements * size)
        written = quantize(ident, data, blocks, 0, rows, columns, importance[mode])
        if written != len(blocks):
            sys.exit(f"{written} bytes written, want {len(blocks)}")
        decoded = ctypes.create_string_buffer(4 * rows * columns)
        decode(blocks, decoded, rows * columns)
        sys.stdout.buffer.write(blocks.raw + decoded.raw)


if __name__ == "__main__":
    main()
