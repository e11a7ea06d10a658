"""In which numbers a network learns: bfloat16 where the device multiplies in it, else single precision.

A processor without such instructions imitates each product, and trains EfficientNet-Lite0 more than ten times slower
than in single precision. What is kept (weights, sums, the optimiser's state) is single precision on either.
"""

import torch

INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")
"""Of x86 processors and of ARM's, as torch names them, that multiply in bfloat16."""


def half(device: torch.device) -> bool:
    """Whether the device itself multiplies in bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in INSTRUCTIONS)


def name(device: torch.device) -> str:
    """What a network multiplies in while it learns."""
    return "bfloat16" if half(device) else "float32"


def learning(device: torch.device) -> torch.autocast:
    """A context in which a network computes as it does while it learns."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half(device))
