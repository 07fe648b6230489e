"""What the tests of several families of losses build and measure."""

from __future__ import annotations

import importlib
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


def build(name: str, n_classes: int, dim: int, **params: Any) -> nn.Module:
    loss: nn.Module = importlib.import_module(f"losses.{name}").Loss(
        n_classes=n_classes, dim=dim, **params
    )
    return loss.double()


def unequal_batch(name: str = "", seed: int = 0) -> tuple[Tensor, Tensor]:
    """Eleven embeddings of five dimensions in classes of 2, 3, 4 and 2, not class after class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 1, 2, 3, 1, 2, 0, 3, 2, 1, 2])
    centres = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    noise = torch.randn(11, 5, generator=generator, dtype=torch.float64)
    embeddings = centres[labels] + 0.8 * noise
    unbounded = name in ("npair", "lifted_structure")
    return embeddings if unbounded else normalize(embeddings), labels


def value_and_gradient(loss: Any, embeddings: Tensor, labels: Any) -> tuple[float, Tensor]:
    embeddings = embeddings.clone().requires_grad_()
    value = loss(embeddings, labels)
    cast(Any, value).backward()
    assert embeddings.grad is not None
    return float(value.detach()), embeddings.grad
