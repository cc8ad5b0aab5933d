"""Writes small.safetensors with the original library."""
import torch
from safetensors.torch import save_file
save_file({"half": torch.tensor([[0, 2, -0.0], [-3, 4, -5]], dtype=torch.float16), "scalar": torch.tensor(42), "empty": torch.zeros(0, 4),
           "flags": torch.tensor([True, False, True]), "brain": torch.tensor([1.0], dtype=torch.bfloat16)}, "small.safetensors", {"format": "pt"})
