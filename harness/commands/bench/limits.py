"""What the machine itself can do: the ceilings that shares are told against."""

from __future__ import annotations

import torch

from harness.commands.bench.timing import seconds

SIDE = 2048  # of the square matrices
COPIED = 2**28  # bytes, more than a processor's cache holds
ROUNDS = 3  # of which the fastest counts: a ceiling is what is reached without neighbours


def ceilings(device: torch.device) -> str:
    """The rate of float32 products and of copies in memory, in words."""
    return (
        f"{product_rate(device) / 1e9:.0f} GFLOP/s in float32 products, "
        f"{copy_rate(device) / 1e9:.1f} GB/s copied"
    )


def product_rate(device: torch.device) -> float:
    """Operations a second of a product of two square matrices, a product and a sum counted each."""
    a, b = torch.ones(2, SIDE, SIDE, device=device)
    out = torch.empty_like(a)
    fastest = min(seconds(lambda: torch.mm(a, b, out=out), device) for _ in range(ROUNDS + 1))
    return 2.0 * SIDE**3 / fastest


def copy_rate(device: torch.device) -> float:
    """Bytes a second that are read and written again."""
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    fastest = min(seconds(lambda: target.copy_(source), device) for _ in range(ROUNDS + 1))
    return COPIED / fastest
