"""Proxy and classification losses with random parameters, and a batch for them."""

from __future__ import annotations

import importlib
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

N_IMAGES, N_CLASSES, DIM = 12, 5, 7


def build(name: str, seed: int = 0, **params: Any) -> nn.Module:
    """The loss for N_CLASSES classes of DIM dimensions, in float64, its parameters from N(0, 1)."""
    torch.manual_seed(seed)
    arguments = {"n_classes": N_CLASSES, "dim": DIM} | params
    loss = cast(nn.Module, importlib.import_module(f"losses.{name}").Loss(**arguments).double())
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.normal_()
    return loss


def batch(seed: int = 1, norm: float | None = None) -> tuple[Tensor, Tensor]:
    """Embeddings [N_IMAGES, DIM] in float64 and labels of four classes.

    The embeddings are about 3 long, or exactly `norm`.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N_IMAGES, DIM, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    return (x if norm is None else norm * normalize(x)).requires_grad_(), labels


def gradients(value: Tensor, *inputs: Tensor) -> list[Tensor]:
    """The gradients of `value` with respect to each of the inputs."""
    return list(torch.autograd.grad(value, inputs, retain_graph=True))


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """The norm of the difference over the norm of what is expected."""
    return float((actual - expected).norm() / expected.norm())
