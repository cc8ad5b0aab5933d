#!/usr/bin/env python3
"""Run models with smelt and with llama.cpp and whisper.cpp, in turns; compare.

  bench_infer.py [--smelt FILE] [--dir DIR] [--rounds N] [--threads N] [--write FILE]

Reading a prompt of 512 tokens with a generated llama of 0.15 billion weights in F16, and encoding 30 seconds with Whisper
base in F16. All programs have the weights in the page cache and use the same number of threads; the time to load a model is
not counted. Prints a table in Markdown: the medians of the turns and their ratio; --write puts it into FILE between its
markers. Exits 1 where the ratio is below 0.8. Needs 1 GB in DIR and leaves the models there for the next time.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys

from bench import CACHE
from document import fill, table

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = HERE.parent / "peers"
PYTHON = CACHE / "py/bin/python"
COMMAND = "make bench-infer"
MIN_RATIO = 0.8
PROMPT, VOCABULARY = 512, 32000
HEAD = ["what", "peer, s", "smelt, s", "peer ÷ smelt", "bar"]


class Asked:
    """A program that does one thing for each line it is given, and answers with the seconds that it took."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args[0]} ended")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def made(path, make):
    if not path.exists():
        print(f"making {path.name}", flush=True)
        part = path.with_name("part-" + path.name)
        make(part)
        part.rename(path)
    return path


def convert(smelt, source, *flags):
    return lambda target: subprocess.run([smelt, "convert", source, target, "--quiet", "--force", *flags], check=True)


def llama(args):
    """The two ways to read the prompt."""
    folder = args.dir / "llama2c"
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "testdata/stories260K/tokenizer.model", folder)  # llama.cpp refuses models without a vocabulary
    checkpoint = made(folder / "model.pt", lambda part: subprocess.run([PYTHON, PEERS / "make_llama2c.py", part], check=True))
    model = made(args.dir / "llama-0.15b-f16.gguf", convert(args.smelt, checkpoint, "--type", "f16"))
    ids = random.Random(1).choices(range(VOCABULARY), k=PROMPT)
    peer = Asked("node", PEERS / "llama_time.mjs", CACHE / "node", model, str(args.threads))

    def smelt():
        command = [args.smelt, "run", model, "--ids", ",".join(map(str, ids)), "--n", "0", "--workers", str(args.threads), "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["timings"]["prompt_seconds"]

    return peer, lambda: peer.ask(json.dumps(ids)), smelt


def whisper(args):
    """The two ways to encode; smelt's is its Go benchmark."""
    model = made(args.dir / "whisper-base-f16.bin", convert(args.smelt, CACHE / "models/whisper-base.pt"))
    binary = args.dir / "infer.test"
    subprocess.run(["go", "test", "-c", "-o", binary, "./infer"], check=True, cwd=ROOT)
    peer = Asked(PYTHON, PEERS / "whispercpp_encode.py", model, str(args.threads))

    def smelt():
        command = [binary, "-test.run", "^$", "-test.bench", "^BenchmarkWhisperEncode$", "-test.benchtime", "1x"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT / "infer",
                              env={**os.environ, "GOMAXPROCS": str(args.threads)})
        return float(re.search(r"([\d.]+) ns/op", done.stdout)[1]) / 1e9

    return peer, lambda: peer.ask(""), smelt


CASES = [
    (f"prompt of {PROMPT} tokens, llama of 0.15 B in F16, beside llama.cpp", llama),
    ("30 s of sound, encoder of Whisper base in F16, beside whisper.cpp", whisper),
]


def turns(args, prepare):
    process, peer, smelt = prepare(args)
    peer(), smelt()  # what is made once is made now
    pairs = [(peer(), smelt()) for _ in range(args.rounds)]
    process.close()
    theirs, ours = (statistics.median(times) for times in zip(*pairs))
    return theirs, ours, statistics.median(a / b for a, b in pairs)


def machine(args):
    names = re.findall(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    cpu = os.environ.get("SMELT_CPU", "the fastest vector path")
    return f"{names[0]}, {args.threads} threads, {cpu}; medians of {args.rounds} turns; `{COMMAND}`."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smelt", type=pathlib.Path, default=ROOT / "bin" / "smelt")
    parser.add_argument("--dir", type=pathlib.Path, default=CACHE / "bench")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=pathlib.Path, help="a document with the markers of the table")
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    rows, ok = [], True
    for what, prepare in CASES:
        theirs, ours, ratio = turns(args, prepare)
        ok = ok and ratio >= MIN_RATIO
        rows.append([what, f"{theirs:.3f}", f"{ours:.3f}", f"{ratio:.2f}", f"{MIN_RATIO}"])
        print(" ".join(rows[-1]), flush=True)
    text = f"{machine(args)}\n\n{table(HEAD, rows)}"
    print(text)
    if args.write:
        fill(args.write, "bench-infer", text)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
