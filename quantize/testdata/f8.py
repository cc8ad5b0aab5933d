"""Writes f8.json: the float32 bits of all 256 codes of each 8-bit float, as PyTorch 2.11 decodes them."""
import json, torch
names = {"f8_e4m3fn": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2, "f8_e4m3fnuz": torch.float8_e4m3fnuz,
         "f8_e5m2fnuz": torch.float8_e5m2fnuz, "f8_e8m0fnu": torch.float8_e8m0fnu}
codes = torch.arange(256, dtype=torch.uint8)
out = {n: [f"{b & 0xffffffff:08x}" for b in codes.view(d).to(torch.float32).view(torch.int32).tolist()] for n, d in names.items()}
json.dump(out, open("f8.json", "w"), indent=0)
