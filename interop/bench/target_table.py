#!/usr/bin/env python3
"""Quantize models by a type, and by types that smelt chooses for the size of that file; compare the errors.

  target_table.py [--smelt FILE] [--write FILE]

Prints a table in Markdown: the bytes of the file of the type, its squared error over all tensors, that of the file whose
types are chosen for those bytes (--target-size), and of the one for its bits per weight (--target-bpw). --write puts the
table into FILE between its markers. Exits 1 where a chosen file is larger or not better. Needs what .ci/setup installs.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from bench import CACHE
from bench_quantize import PEERS, PYTHON
from document import fill, table

HERE = pathlib.Path(__file__).resolve().parent
MODELS = CACHE / "models"

HEAD = ["model", "type", "bytes", "squared error", "chosen for its bytes", "chosen for its bits per weight", "error left"]


def smollm2(smelt, folder):
    out = folder / "smollm2.gguf"
    subprocess.run([smelt, "convert", MODELS / "smollm2-bin", out, "--type", "f16", "--quiet"], check=True)
    return out


def dense(_, folder):
    out = folder / "dense.gguf"
    subprocess.run([PYTHON, "-P", PEERS / "make_dense.py", out], check=True)
    return out


def whisper(*_):
    return MODELS / "whisper-base.pt"


# name, what makes the source, type, extension
CASES = [
    ("SmolLM2-135M-Instruct", smollm2, "Q4_K_M", ".gguf"),
    ("0.15 B random weights (`interop/peers/make_dense.py`)", dense, "Q4_K_M", ".gguf"),
    ("Whisper base, GGUF", whisper, "Q4_K_M", ".gguf"),
    ("Whisper base, `.bin`", whisper, "Q5_0", ".bin"),
]


def quantize(smelt, source, target, *args):
    done = subprocess.run(
        [smelt, "quantize", source, target, *args, "--json", "--force"], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def compare(smelt, folder, name, make, kind, extension):
    """Returns a row of the table, and whether the chosen files keep what they promise."""
    source, out = make(smelt, folder), folder / ("out" + extension)
    ruled = quantize(smelt, source, out, kind)
    size, bits = ruled["bytes"], ruled["bits_per_weight"]
    by_size = quantize(smelt, source, out, "--target-size", str(size))
    by_bits = quantize(smelt, source, out, "--target-bpw", repr(bits))
    worst, of_size, of_bits = (r["loss"]["squared_error"] for r in (ruled, by_size, by_bits))
    ok = by_size["bytes"] <= size and by_bits["bits_per_weight"] <= bits and max(of_size, of_bits) < worst
    return [name, kind, f"{size:,}", *(f"{e:.5g}" for e in (worst, of_size, of_bits)), f"{100 * of_size / worst:.3g} %"], ok


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smelt", type=pathlib.Path, default=HERE.parent.parent / "bin" / "smelt")
    parser.add_argument("--write", type=pathlib.Path, help="a document with the markers of the table")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [compare(args.smelt, pathlib.Path(folder), *case) for case in CASES]
    text = table(HEAD, [row for row, _ in found])
    print(text)
    if args.write:
        fill(args.write, "target-table", text)
    sys.exit(0 if all(ok for _, ok in found) else 1)


if __name__ == "__main__":
    main()
