"""What the tests over every file of losses/ share: modules, parameters and batches."""

from __future__ import annotations

import importlib
import inspect
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from torch import Tensor, nn
from torch.nn.functional import normalize

import losses

FOLDER = Path(losses.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
N_CLASSES, DIM = 12, 16
DRAWS = 3
RAW_NORM = 64.0  # mean initial norm of a LayerNorm + Kaiming head over ResNet50
# (classes, images of each) of the batches that every loss must survive
BATCHES = {
    "ordinary": (4, 3),
    "one_class": (1, 12),
    "no_positives": (12, 1),
    "duplicated": (4, 3),
    "zero": (4, 3),
}

# One's own losses lean on what the harness promises; the published ones are also used elsewhere.
PUBLISHED = [name for name in NAMES if 'STATUS = "own"' not in (FOLDER / f"{name}.py").read_text()]

every_loss = pytest.mark.parametrize("name", NAMES)
every_published_loss = pytest.mark.parametrize("name", PUBLISHED)


def module_of(name: str) -> ModuleType:
    return importlib.import_module(f"losses.{name}")


def parameters_of(module: ModuleType) -> dict[str, inspect.Parameter]:
    """The constructor's parameters besides `n_classes` and `dim`."""
    parameters = inspect.signature(module.Loss.__init__).parameters
    return {
        key: parameter
        for key, parameter in parameters.items()
        if key not in ("self", "n_classes", "dim")
    }


def defaults_of(module: ModuleType) -> dict[str, Any]:
    return {key: parameter.default for key, parameter in parameters_of(module).items()}


def build(module: ModuleType, n_classes: int = N_CLASSES, **params: Any) -> nn.Module:
    torch.manual_seed(0)
    loss: nn.Module = module.Loss(n_classes=n_classes, dim=DIM, **params)
    return loss


def drawn(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    """One value of a distribution, uniform on its own scale."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(rng.integers(len(distribution.choices)))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    if distribution.log:
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    else:
        value = float(rng.uniform(low, high))
    if isinstance(distribution, IntDistribution):
        return int(np.clip(round(value), low, high))
    return float(np.clip(value, low, high))


def draws_of(module: ModuleType) -> list[dict[str, Any]]:
    """A few sets of parameters from SPACE, the same every time."""
    rng = np.random.default_rng(7)
    return [{key: drawn(value, rng) for key, value in module.SPACE.items()} for _ in range(DRAWS)]


def followup_of(module: ModuleType, params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a follow-up phase after a normal phase with `params`, as the contract says."""
    rng, changed = np.random.default_rng(11), dict(params)
    for key, distribution in module.FOLLOWUP.items():
        value = drawn(distribution, rng)
        if key in module.SPACE:
            changed[key] = value
        else:
            parameter = key.removesuffix("_ratio")
            changed[parameter] = value * params[parameter]
    return changed


def scale_of(module: ModuleType) -> float:
    """The norm of the embeddings that the loss's defaults and ranges are meant for."""
    if module.EMBEDDING == "unit":
        return 1.0
    return float(max(module.REFERENCE_NORM.values(), default=RAW_NORM))


def batch_of(module: ModuleType, kind: str) -> tuple[Tensor, Tensor]:
    """One of BATCHES, class after class as the contract promises."""
    n_classes, images = BATCHES[kind]
    labels = torch.arange(n_classes).repeat_interleave(images)
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(len(labels), DIM, generator=generator)
    embeddings = scale_of(module) * normalize(embeddings)
    if kind == "duplicated":
        embeddings = embeddings[:1].repeat(len(labels), 1)
    if kind == "zero":
        embeddings = torch.zeros_like(embeddings)
    return embeddings, labels


def value_of(loss: nn.Module, embeddings: Tensor, labels: Tensor) -> Tensor:
    """The loss of a batch, with the same random draws in it every time."""
    torch.manual_seed(1)
    value: Tensor = loss(embeddings, labels)
    return value


def backward(value: Tensor) -> None:
    typing.cast(Any, value).backward()
