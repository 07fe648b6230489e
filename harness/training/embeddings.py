"""Embeddings as they are compared: at unit length or not, and finite in any case.

A loss file says both: `EMBEDDING` is what its formula takes, `RETRIEVAL` is how its paper searches.
Nothing else decides it.
"""

from __future__ import annotations

from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.schema import BASELINES, Diverged, Part, Run
from harness.training import network
from harness.training.loss_files import loss_file


def unit_length(embeddings: Tensor) -> Tensor:
    """Embeddings [n, D], each divided by its Euclidean norm."""
    return F.normalize(embeddings, dim=1)


def for_loss(raw: Tensor, loss: ModuleType) -> Tensor:
    """A batch of raw embeddings [B, D] as the loss's formula takes them."""
    return unit_length(raw) if loss.EMBEDDING == "unit" else raw


def for_retrieval(
    model: network.Network, part: Part, run: Run, device: torch.device, *, classes: str
) -> Tensor:
    """Embeddings [n, D] of a part's images as the run's loss compares them in a search.

    `classes` says in a failure whose embeddings they are. Diverged if one is NaN or infinite.
    """
    raw = _finite(model, part, run, device, classes)
    by_cosine = run.loss in BASELINES or loss_file(run.study, run.loss).RETRIEVAL == "cosine"
    return unit_length(raw) if by_cosine else raw


def for_proxies(model: network.Network, part: Part, run: Run, device: torch.device) -> Tensor:
    """Embeddings [n, D] of training images as the run's loss takes them, to compare with proxies.

    Diverged if one is NaN or infinite.
    """
    raw = _finite(model, part, run, device, "training")
    return for_loss(raw, loss_file(run.study, run.loss))


def _finite(
    model: network.Network, part: Part, run: Run, device: torch.device, classes: str
) -> Tensor:
    """Raw embeddings [n, D] of a part's images; Diverged if one is NaN or infinite."""
    raw = network.embed(model, part, run.study, device)
    if not bool(torch.isfinite(raw).all()):
        raise Diverged(f"embeddings of the {classes} classes are NaN or infinite")
    return raw
