"""Prints the bits of the rotary factors that llama.cpp's conversion writes for llama3 scaling.

The loop is LlamaModel.generate_extra_tensors of llama.cpp conversion/llama.py (0274f0fc7d7f). Needs torch.
"""
import math
import struct

import torch


def factors(base, dim, factor, low, high, ctx):
    freqs = 1.0 / (base ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    out = []
    for freq in freqs:
        wavelen = 2 * math.pi / freq
        if wavelen < ctx / high:
            out.append(1)
        elif wavelen > ctx / low:
            out.append(factor)
        else:
            smooth = (ctx / wavelen - low) / (high - low)
            out.append(1 / ((1 - smooth) / factor + smooth))
    return torch.tensor(out, dtype=torch.float32).tolist()


for name, dim, factor in (("Llama 3.1 8B", 128, 8.0), ("Llama 3.2 1B", 64, 32.0)):
    print(name, [struct.pack(">f", x).hex() for x in factors(500000.0, dim, factor, 1.0, 4.0, 8192)])
