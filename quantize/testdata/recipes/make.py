"""Makes the fixtures from llama.cpp's own expectations.

make.py tests/snapshots/*.schema, from llama.cpp@3f545becc, writes one text file
a model beside this script. A snapshot lists, for each file type, the tensors
whose type is not the default. Every matrix of a model is in one of its lists
(MXFP4_MOE names all that are not stacked, the others the experts), but for the
gates and ups of experts in the first and last layers, which are added here, and
for matrices that always have the default.

A snapshot has no shapes. Stacks are as deep as the model has experts or heads.
Rows are as long as the fallbacks tell; those of whole blocks only are taken as
1,024.
"""

import re
import sys
from pathlib import Path

ARCHITECTURES = {
    "deepseek-v3.1": "deepseek2",
    "gemma-3-4b-it": "gemma3",
    "gpt-oss-120b": "gpt-oss",
    "meta-llama-3.1-70b-instruct": "llama",
    "qwen3-0.6b": "qwen3",
    "qwen3-coder-next": "qwen3next",
    "qwen3.5-397b-a17b": "qwen35moe",
    "qwen3.6-27b": "qwen35",
    "step-3.5-flash": "step35",
}
ROWS = {("deepseek-v3.1", "attn_k_b"): 128, ("gpt-oss-120b", "attn_output"): 4096}
# Smallest multiple of 256 that stands for rows of unknown length.
WHOLE = 1024


def split(name):
    """Returns the name with N for its layer, and the layer or None."""
    m = re.match(r"blk\.(\d+)\.(.*)", name)
    return (f"blk.N.{m[2]}", int(m[1])) if m else (name, None)


def ranges(layers):
    out = []
    for n in sorted(layers):
        if out and out[-1][1] == n - 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ",".join(f"{a}-{b}" if a != b else str(a) for a, b in out)


def main():
    for path in map(Path, sys.argv[1:]):
        sections, facts = [], {}
        for line in path.read_text().splitlines():
            if line.startswith("#"):
                facts.update((k, int(v)) for k, v in re.findall(r"(\w+)=(\d+)", line))
            elif line.startswith("["):
                name, default = re.match(r"\[(\w+)\] (\w+)", line).groups()
                sections.append((name, default.lower(), {}))
            elif line:
                name, dtype = line.split()
                kind, layer = split(name)
                sections[-1][2].setdefault((kind, dtype.lower()), []).append(layer)
        tensors = {}
        for _, _, exceptions in sections:
            for (kind, _), layers in exceptions.items():
                tensors.setdefault(kind, set()).update(layers)
        for part in "gate", "up":
            if f"blk.N.ffn_{part}_exps.weight" in tensors:
                tensors[f"blk.N.ffn_{part}_exps.weight"] |= tensors["blk.N.ffn_down_exps.weight"]
        write(path.stem, facts, tensors, sections)


def write(model, facts, tensors, sections):
    n_embd = facts["n_embd"]
    lines = [
        f"model {ARCHITECTURES[model]} layers {facts['n_layer']} heads {facts['n_head']} kv {facts['n_head_kv']} experts {facts.get('n_expert', 0)}",
        "",
        "# tensor, row length, depth of the stack, layers",
    ]
    for kind in sorted(tensors):
        part = kind.removeprefix("blk.N.").removesuffix(".weight")
        depth = facts["n_expert"] if part.endswith("_exps") else facts["n_head"] if part == "attn_k_b" else 1
        row = ROWS.get((model, part), n_embd if n_embd % 256 else WHOLE)
        layers = ranges(tensors[kind]) if kind.startswith("blk.") else "-"
        lines.append(f"{kind} {row} {depth} {layers}")
    for name, default, exceptions in sections:
        lines += ["", f"[{name}] {default}"]
        for (kind, dtype), layers in exceptions.items():
            lines.append(f"{kind} {dtype} {ranges(layers) if layers[0] is not None else '-'}")
    (Path(__file__).parent / f"{model}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
