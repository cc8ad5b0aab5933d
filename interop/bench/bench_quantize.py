#!/usr/bin/env python3
"""Quantize whole files with smelt and with the libraries that llama.cpp releases, in turns; compare.

  bench_quantize.py [--smelt FILE] [--dir DIR] [--rounds N] [--only TYPE,TYPE] [--write FILE]

Sources are generated GGUFs of architecture llama in F16, read into the page cache before each run. Both programs use two
threads, and their time ends when the result is on disk (fsync). smelt's is that of its process from start to end,
llama.cpp's that of llama_model_quantize in a process that has loaded the library and the importance matrix already.

Prints a table in Markdown: the medians of the turns, their ratio and its bar, elements per second of smelt, the peak of
its private memory (RssAnon: mapped pages apart), and its speed as a share of that of cp, which copies the source on the
same disk in the same turns. --write puts the table into FILE between its markers. Exits 1 where a bar is missed.
Needs about 3 GB in DIR and leaves the sources there for the next time.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from bench import CACHE, POLL, copy, prepare, private
from document import fill, table

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE.parent / "peers"
PYTHON = CACHE / "py/bin/python"
LIBRARIES = CACHE / "node/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64"
COMMAND = "make bench-quantize"
MAX_PRIVATE = 300e6
SAME_HEADER = 4096  # bytes that two files of the same tensors may differ by

# layers, width, feed-forward width, vocabulary: 322, 74 and 4 million elements. The slower a search, the smaller its source.
SOURCES = {"large": (20, 1024, 2816, 32000), "medium": (7, 768, 2048, 16000), "small": (1, 512, 1536, 1024)}

# What llama.cpp has to take at least, times smelt's seconds, by smelt's vector path.
BARS = {
    "Q4_K_M": {"avx2": 5, "avx512": 8},
    "Q6_K": {"avx2": 5, "avx512": 8},
    "Q8_0": {"avx2": 3, "avx512": 3},
    "Q4_0": {"avx2": 3, "avx512": 3},
}
OTHER_BAR = 1.5


class Type(NamedTuple):
    name: str
    number: int  # of enum llama_ftype
    source: str
    imatrix: bool = False  # llama.cpp does not make it without
    all: int = -1  # of enum ggml_type: all matrices get it, by name that of ALL
    barred: bool = True  # False: elements are copied or rounded, and nothing is quantized


# Types that no mix for a model without experts uses.
ALL = {39: "mxfp4", 40: "nvfp4"}

TYPES = [
    Type("Q4_0", 2, "large"),
    Type("Q4_1", 3, "medium"),
    Type("Q5_0", 8, "medium"),
    Type("Q5_1", 9, "medium"),
    Type("Q8_0", 7, "large"),
    Type("Q2_K", 10, "medium"),
    Type("Q2_K_S", 21, "medium", imatrix=True),
    Type("Q3_K_S", 11, "medium"),
    Type("Q3_K_M", 12, "medium"),
    Type("Q3_K_L", 13, "medium"),
    Type("Q4_K_S", 14, "medium"),
    Type("Q4_K_M", 15, "large"),
    Type("Q5_K_S", 16, "medium"),
    Type("Q5_K_M", 17, "medium"),
    Type("Q6_K", 18, "large"),
    Type("IQ1_S", 24, "small", imatrix=True),
    Type("IQ1_M", 31, "small", imatrix=True),
    Type("IQ2_XXS", 19, "small", imatrix=True),
    Type("IQ2_XS", 20, "small", imatrix=True),
    Type("IQ2_S", 28, "small", imatrix=True),
    Type("IQ2_M", 29, "small", imatrix=True),
    Type("IQ3_XXS", 23, "small", imatrix=True),
    Type("IQ3_XS", 22, "small", imatrix=True),
    Type("IQ3_S", 26, "small"),
    Type("IQ3_M", 27, "small"),
    Type("IQ4_NL", 25, "small"),
    Type("IQ4_XS", 30, "small"),
    Type("TQ1_0", 36, "medium"),
    Type("TQ2_0", 37, "medium"),
    Type("MXFP4_MOE", 38, "medium", all=39),
    Type("Q8_0", 7, "medium", all=40),
    Type("Q1_0", 40, "medium"),
    Type("Q2_0", 41, "medium"),
    Type("F16", 1, "medium", barred=False),
    Type("BF16", 32, "medium", barred=False),
    Type("F32", 0, "medium", barred=False),
]


class Source(NamedTuple):
    path: pathlib.Path
    imatrix: pathlib.Path
    elements: int


def source(folder, name, smelt):
    """Returns the source of that name, and makes it where it is missing."""
    dimensions = SOURCES[name]
    stem = f"dense-{'-'.join(map(str, dimensions))}"
    path, imatrix = folder / f"{stem}.gguf", folder / f"{stem}.imatrix.gguf"
    for made, script, args in (path, "make_dense.py", dimensions), (imatrix, "make_imatrix.py", None):
        if made.exists():
            continue
        part = made.with_suffix(".part")
        command = [part, *args] if args else [path, part]
        subprocess.run([PYTHON, "-P", PEERS / script, *map(str, command)], check=True)
        part.rename(made)
    told = subprocess.run([smelt, "inspect", path, "--json"], check=True, stdout=subprocess.PIPE)
    return Source(path, imatrix, json.loads(told.stdout)["parameters"])


class Turn(NamedTuple):
    cp: float  # seconds, as the next two
    llama: float
    smelt: float
    private: int  # bytes


def run_smelt(smelt, kind, src, target):
    """Returns smelt's seconds, the peak of its private memory in bytes, and its report."""
    command = [smelt, "quantize", src.path, target, kind.name, "--workers", "2", "--json"]
    command += ["--imatrix", src.imatrix] if kind.imatrix else []
    command += ["--tensor-type", f".*={ALL[kind.all]}"] if kind.all >= 0 else []
    began, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as p:
        while p.poll() is None:
            peak = max(peak, private(p.pid))
            time.sleep(POLL)
        seconds = time.perf_counter() - began
        report = p.stdout.read()
    if p.returncode:
        sys.exit(f"{' '.join(map(str, command))} exited {p.returncode}")
    return seconds, peak, json.loads(report)


def run_llama(kind, src, target):
    """Returns the seconds of llama_model_quantize, and of the fsync of what it wrote."""
    command = [PYTHON, "-P", PEERS / "llama_quantize.py", LIBRARIES, src.path, target, str(kind.number)]
    command += ["--imatrix", src.imatrix] if kind.imatrix else []
    command += ["--all", str(kind.all)] if kind.all >= 0 else []
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} exited {done.returncode}\n{done.stderr.decode(errors='replace')[-2000:]}")
    began = time.perf_counter()
    with open(target, "rb") as f:
        os.fsync(f.fileno())
    return float(done.stdout.split()[-1]) + time.perf_counter() - began


def turns(args, kind, src):
    """Runs cp, llama.cpp and smelt one after the other, as often as asked; returns the turns and smelt's vector path."""
    copied, theirs, ours = (args.dir / name for name in ("copy.gguf", "llama.gguf", "smelt.gguf"))
    found = []
    for _ in range(args.rounds):
        for path in copied, theirs, ours:
            path.unlink(missing_ok=True)
        prepare(src.path, warm=True)
        cp = copy(src.path, copied)
        copied.unlink()
        prepare(src.path, warm=True)
        llama = run_llama(kind, src, theirs)
        prepare(src.path, warm=True)
        smelt, peak, report = run_smelt(args.smelt, kind, src, ours)
        if abs(theirs.stat().st_size - ours.stat().st_size) > SAME_HEADER:
            sys.exit(f"{kind.name}: {theirs.stat().st_size} bytes of llama.cpp, {ours.stat().st_size} of smelt")
        found.append(Turn(cp, llama, smelt, peak))
    theirs.unlink()
    ours.unlink()
    return found, report["vector_path"]


class Row(NamedTuple):
    cells: list
    ok: bool


def row(kind, src, found, path):
    cp, llama, smelt = (statistics.median(t[i] for t in found) for i in range(3))
    peak = max(t.private for t in found)
    ratio, bar = llama / smelt, BARS.get(kind.name, {}).get(path, OTHER_BAR)
    if kind.all >= 0:
        bar = OTHER_BAR
    ok = peak < MAX_PRIVATE and (not kind.barred or ratio >= bar)
    return Row(
        [
            kind.name if kind.all < 0 else f"{ALL[kind.all].upper()} (all matrices)",
            f"{src.elements / 1e6:.0f} M",
            f"{llama:.2f}",
            f"{smelt:.2f}",
            f"{ratio:.1f}×",
            f"{bar}×" if kind.barred else "–",
            f"{src.elements / smelt / 1e6:.0f} M",
            f"{peak / 1e6:.0f} MB",
            f"{100 * cp / smelt:.0f} %",
            "ok" if ok else "MISSED",
        ],
        ok,
    )


HEAD = ["type", "elements", "llama.cpp s", "smelt s", "ratio", "bar", "elements/s", "private memory", "of cp's speed", ""]


def machine(args, path):
    """Describes where and how the table was made."""
    processor = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    disk = subprocess.run(["df", "--output=source,fstype", args.dir], check=True, stdout=subprocess.PIPE, text=True)
    version = subprocess.run([args.smelt, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
    library = next(LIBRARIES.glob("libllama.v*.so")).name
    return (
        f"Made by `{COMMAND}` on {time.strftime('%Y-%m-%d')}: {processor[1] if processor else platform.machine()}, "
        f"{os.cpu_count()} processors, 2 threads each program; smelt {version} with {path} kernels, {library} of npm's "
        f"@node-llama-cpp/linux-x64; disk {' '.join(disk.stdout.split()[2:])}, page cache of the source warm, results "
        f"synced; medians of {args.rounds} turns, load average {os.getloadavg()[0]:.1f} at the end."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smelt", type=pathlib.Path, default=HERE.parent.parent / "bin" / "smelt")
    parser.add_argument("--dir", type=pathlib.Path, default=CACHE / "bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="just these types, separated by commas")
    parser.add_argument("--write", type=pathlib.Path, help="a document with the markers of the table")
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    chosen = [t for t in TYPES if not args.only or t.name in args.only.split(",")]
    sources = {name: source(args.dir, name, args.smelt) for name in dict.fromkeys(t.source for t in chosen)}
    rows = []
    for kind in chosen:
        found, path = turns(args, kind, sources[kind.source])
        rows.append(row(kind, sources[kind.source], found, path))
        print(" ".join(rows[-1].cells), flush=True)
    text = f"{machine(args, path)}\n\n{table(HEAD, [r.cells for r in rows])}"
    print(text)
    if args.write:
        fill(args.write, "bench-quantize", text)
    sys.exit(0 if all(r.ok for r in rows) else 1)


if __name__ == "__main__":
    main()
