"""What several losses need: checks of values and batches, distances, masks, a zero with a graph."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

L = TypeVar("L")


def check(name: str, value: float, domain: str, ok: bool) -> None:
    """Raise a ValueError that names the parameter, the value and the domain, unless `ok`."""
    if not ok or (isinstance(value, float) and math.isnan(value)):
        raise ValueError(f"{name} = {value!r} is outside its domain: {domain}")


def check_batch(embeddings: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Embeddings in float32 or wider, after checking shapes, labels and finiteness.

    embeddings [B, D] and labels [B] of integers in 0..n_classes-1; a ValueError says what is wrong.
    """
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"embeddings {tuple(embeddings.shape)} and labels {tuple(labels.shape)}: "
            "expected [B, D] and [B]"
        )
    known = ((labels >= 0) & (labels < n_classes)).all()
    if not bool(known & torch.isfinite(embeddings).all()):  # a GPU is waited for once
        if not bool(known):
            raise ValueError(
                f"labels from {int(labels.min())} to {int(labels.max())} are outside "
                f"0..{n_classes - 1} (n_classes = {n_classes})"
            )
        raise ValueError("embeddings hold NaN or infinite values: they must be finite")
    return embeddings.float() if embeddings.dtype in (torch.bfloat16, torch.float16) else embeddings


def attached_zero(*tensors: Tensor) -> Tensor:
    """A scalar zero with a gradient of zero for every given tensor."""
    return sum((tensor.sum() * 0.0 for tensor in tensors), tensors[0].new_zeros(()))


def euclidean_distance(x: Tensor, y: Tensor) -> Tensor:
    """Unsquared Euclidean distances [N, M] of rows x [N, D], y [M, D]; squares clamped at 1e-12.

    The clamp keeps the gradient finite (zero) where two rows coincide.
    """
    squared = x.square().sum(1, keepdim=True) + y.square().sum(1) - 2.0 * x @ y.T
    return squared.clamp_min(1e-12).sqrt()


def positives_and_negatives(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Boolean masks [B, B]: same class but not the same image; another class."""
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return same & ~itself, ~same


def in_float32(
    forward: Callable[[L, Tensor, Tensor], Tensor],
) -> Callable[[L, Tensor, Tensor], Tensor]:
    """Decorate a loss's `forward` so that it runs with autocast off.

    Under bfloat16 autocast every matrix product would round to 8 bits of mantissa, more than many
    margins are wide, whatever the dtype of its inputs.
    """

    @functools.wraps(forward)
    def run(loss: L, embeddings: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            return forward(loss, embeddings, labels)

    return run


def similarity_gaps(embeddings: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """What every other image has over image i in the eyes of query q, for each pair (q, i).

    pairs [B, B] is a mask of P pairs. Returns gaps [P, B] of dot products s_qj - s_qi, and a mask
    [P, B] that is False where j = i. Memory O(P B), not O(B^3).
    """
    queries, images = pairs.nonzero(as_tuple=True)
    similarities = embeddings @ embeddings.T
    gaps = similarities[queries] - similarities[queries, images][:, None]
    others = torch.arange(len(embeddings), device=embeddings.device) != images[:, None]
    return gaps, others


def smooth_step(gaps: Tensor, temperature: float) -> Tensor:
    """Logistic step of gaps / temperature, the argument clamped to +-50 (zero gradient beyond)."""
    return torch.sigmoid((gaps / temperature).clamp(-50.0, 50.0))


def non_zero_mean(terms: Tensor) -> Tensor:
    """Mean over the terms that are not zero; zero, with a graph, where all are."""
    return terms.sum() / torch.count_nonzero(terms).clamp_min(1)
