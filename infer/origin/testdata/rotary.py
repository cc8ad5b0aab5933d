"""Writes rotary.json: the rotary frequencies that transformers computes for some configurations.

    python rotary.py > rotary.json      (transformers 5.24.0, torch 2.11.0)
"""
import json

from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

CASES = {
    "default": dict(rope_type="default"),
    "linear": dict(rope_type="linear", factor=4.0),
    "llama3": dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192),
    "llama3 of Llama 3.2": dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192),
    "yarn": dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=4096),
    "yarn with all": dict(rope_type="yarn", factor=16.0, original_max_position_embeddings=4096, beta_fast=16.0, beta_slow=2.0,
                          attention_factor=1.25, truncate=False),
}

out = []
for name, parameters in CASES.items():
    config = LlamaConfig(hidden_size=512, num_attention_heads=8, head_dim=64, max_position_embeddings=131072,
                         rope_parameters=dict(rope_theta=500000.0, **parameters))
    r = LlamaRotaryEmbedding(config)
    out.append(dict(name=name, parameters=dict(rope_theta=500000.0, **parameters), head_dim=64,
                    magnitude=float(r.attention_scaling), frequencies=[float(f) for f in r.inv_freq]))
print(json.dumps(out, indent=1))
