"""Losses in float64 and small batches for the tests of single losses."""

from __future__ import annotations

import importlib
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

# of ten_images: four of the six classes have images, and not equally many
LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 4, 4])
N_CLASSES, DIM = 6, 4


def build(name: str, n_classes: int, dim: int, **params: Any) -> nn.Module:
    """The loss of a name in float64, with parameters as it starts them."""
    loss: nn.Module = importlib.import_module(f"losses.{name}").Loss(
        n_classes=n_classes, dim=dim, **params
    )
    return loss.double()


def unequal_batch(name: str = "", seed: int = 0) -> tuple[Tensor, Tensor]:
    """Eleven embeddings of five dimensions in classes of 2, 3, 4 and 2, not class after class.

    They have unit length, except for the losses of unbounded embeddings.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 1, 2, 3, 1, 2, 0, 3, 2, 1, 2])
    centres = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    noise = torch.randn(11, 5, generator=generator, dtype=torch.float64)
    embeddings = centres[labels] + 0.8 * noise
    unbounded = name in ("npair", "lifted_structure")
    return embeddings if unbounded else normalize(embeddings), labels


def ten_images(seed: int = 0, dim: int = DIM) -> Tensor:
    """Embeddings [10, dim] in float64 of any length, for the classes LABELS."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(LABELS), dim, generator=generator, dtype=torch.float64)


def value_and_gradient(loss: Any, embeddings: Tensor, labels: Any) -> tuple[float, Tensor]:
    """The value of a batch, and its gradient [B, D] with respect to the embeddings."""
    embeddings = embeddings.clone().requires_grad_()
    value = loss(embeddings, labels)
    cast(Any, value).backward()
    assert embeddings.grad is not None
    return float(value.detach()), embeddings.grad


def assert_close(value: Tensor, expected: Tensor | float) -> None:
    """Equality within torch's tolerances for the dtype of `value`."""
    torch.testing.assert_close(value, torch.as_tensor(expected, dtype=value.dtype))
