"""What losses are checked with: batches, ends of the searched ranges, a loss that is built anew."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from harness.training.embeddings import unit_length

N_CLASSES, DIM = 12, 16
# Neither from 0 on nor in order: a loss must take labels as the numbers of classes that they are.
CLASSES = (11, 2, 7, 5)
MORE_CLASSES, MORE_DIM = 40, 24
OF_MORE = (37, 4, 21, 11, 30, 2, 39, 8)
RAW_NORM = 64.0  # mean initial norm of raw embeddings over ResNet50, for ranges without a reference


def points(module: ModuleType) -> list[tuple[str, dict[str, Any]]]:
    """Where in the space a loss is tried: its defaults, and all ranges at one end, or the other."""
    ends = (
        ("with every parameter at the low end", 0.0),
        ("with every parameter at the high end", 1.0),
    )
    return [("with its defaults", {})] + [
        (where, {name: at(space, share) for name, space in module.SPACE.items()})
        for where, share in (ends if module.SPACE else ())
    ]


def at(space: Any, share: float) -> Any:
    """The value of a distribution at a share of its range, 0 to 1, on its own scale."""
    if isinstance(space, CategoricalDistribution):
        return space.choices[round(share * (len(space.choices) - 1))]
    low, high = float(space.low), float(space.high)
    if space.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    value = min(max(value, low), high)
    return round(value) if isinstance(space, IntDistribution) else value


def defaults(module: ModuleType) -> dict[str, Any]:
    """The values of the parameters of `Loss` besides n_classes and dim."""
    parameters = inspect.signature(module.Loss).parameters
    return {k: p.default for k, p in parameters.items() if k not in ("n_classes", "dim")}


def built(
    module: ModuleType,
    params: Mapping[str, Any],
    *,
    n_classes: int = N_CLASSES,
    dim: int = DIM,
    seed: int = 0,
) -> nn.Module:
    """A loss, whose first values come from the seed."""
    torch.manual_seed(seed)
    build: Callable[..., nn.Module] = module.Loss
    return build(n_classes=n_classes, dim=dim, **params)


def scale(module: ModuleType) -> float:
    """The norm of embeddings that the loss's ranges are meant for."""
    if module.EMBEDDING == "unit":
        return 1.0
    return float(max(module.REFERENCE_NORM.values(), default=RAW_NORM))


def batch(
    module: ModuleType,
    images: int,
    *,
    classes: Sequence[int] = CLASSES,
    dim: int = DIM,
    spread: float = 1.0,
    seed: int = 3,
) -> tuple[Tensor, Tensor]:
    """Raw embeddings [B, dim] and labels [B], class after class, with so many images of each.

    `spread` 0 makes all embeddings the same.
    """
    labels = torch.tensor(classes).repeat_interleave(images)
    embeddings = torch.randn(len(labels), dim, generator=torch.Generator().manual_seed(seed))
    embeddings = embeddings[:1] + spread * (embeddings - embeddings[:1])
    return scale(module) * unit_length(embeddings), labels


def value_of(loss: nn.Module, embeddings: Tensor, labels: Tensor) -> Any:
    """The loss of a batch, whose draws from torch come from a fixed seed."""
    torch.manual_seed(1)
    return loss(embeddings, labels)
