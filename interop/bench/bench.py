#!/usr/bin/env python3
"""Convert a checkpoint of large-v2's dimensions and copy it with cp on the same disk, in turns; compare.

  bench.py [--smelt FILE] [--dir DIR] [--rounds N] [--warm] [--only WORDS]

Prints, for each conversion, the medians of the source bytes read per second by cp and by smelt (both including the
fsync of what they wrote), their ratio, and the peak of smelt's private memory (RssAnon: mapped pages apart). Exits 1
where the ratio is below 0.80 or the memory reaches 200 MB. The page cache of the source is dropped before each run;
--warm reads it in instead. Uses about 16 GB in DIR and leaves the two checkpoints there for the next time.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(
    os.environ.get("SMELT_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "smelt"
)
MIN_RATIO, MAX_PRIVATE = 0.80, 200e6
POLL = 0.002  # seconds between two looks at the memory

# name, kind of the checkpoint, extension, flags
CONVERSIONS = [
    ("f16 copied to .bin", "f16", ".bin", []),
    ("f16 copied to .gguf", "f16", ".gguf", ["--type", "f16"]),
    ("f32 to f16 .bin", "f32", ".bin", []),
    ("f32 to f16 .gguf", "f32", ".gguf", ["--type", "f16"]),
]


def checkpoint(folder, kind):
    path = folder / f"large-{kind}.pt"
    if not path.exists():
        part = path.with_suffix(".part")
        print(f"making {path.name}", flush=True)
        subprocess.run([CACHE / "py/bin/python", HERE / "make_large_checkpoint.py", part, kind], check=True)
        part.rename(path)
    return path


def prepare(source, warm):
    os.sync()
    with open(source, "rb") as f:
        if not warm:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return
        while f.read(1 << 24):
            pass


def copy(source, destination):
    """Seconds that cp takes until the copy is on disk."""
    began = time.perf_counter()
    subprocess.run(["cp", "--reflink=never", source, destination], check=True)
    with open(destination, "rb") as f:
        os.fsync(f.fileno())
    return time.perf_counter() - began


def convert(command):
    """Seconds that command takes, and its peak private memory in bytes."""
    began, peak = time.perf_counter(), 0
    with subprocess.Popen(command) as p:
        while p.poll() is None:
            peak = max(peak, private(p.pid))
            time.sleep(POLL)
    if p.returncode:
        sys.exit(f"{command} exited {p.returncode}")
    return time.perf_counter() - began, peak


def private(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:")), 0)


def compare(args, name, kind, extension, flags):
    source = checkpoint(args.dir, kind)
    copied, output = args.dir / "copy", args.dir / ("out" + extension)
    copies, conversions, peaks = [], [], []
    for _ in range(args.rounds):
        copied.unlink(missing_ok=True)
        prepare(source, args.warm)
        copies.append(copy(source, copied))
        copied.unlink()
        output.unlink(missing_ok=True)
        prepare(source, args.warm)
        seconds, peak = convert([args.smelt, "convert", source, output, "--quiet", *flags])
        conversions.append(seconds)
        peaks.append(peak)
    wrote = output.stat().st_size
    output.unlink()
    size = source.stat().st_size
    ratio = statistics.median(copies) / statistics.median(conversions)
    ok = ratio >= MIN_RATIO and max(peaks) < MAX_PRIVATE
    rates = [
        f"{size / statistics.median(s) / 1e6:.0f} MB/s [{' '.join(f'{x:.1f}' for x in s)} s]"
        for s in (copies, conversions)
    ]
    print(
        f"{name}: {size / 1e9:.2f} GB to {wrote / 1e9:.2f} GB; cp {rates[0]}, smelt {rates[1]}, ratio {ratio:.2f}, "
        f"private memory {max(peaks) / 1e6:.0f} MB: {'ok' if ok else 'MISSED'}",
        flush=True,
    )
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smelt", type=pathlib.Path, default=HERE.parent.parent / "bin" / "smelt")
    parser.add_argument("--dir", type=pathlib.Path, default=CACHE / "bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--only", default="", help="just the conversions whose name holds this")
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    results = [compare(args, *c) for c in CONVERSIONS if args.only in c[0]]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
