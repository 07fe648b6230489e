"""What several losses need: checks, distances, masks, autocast off, and soft steps of ranks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

B = TypeVar("B")
L = TypeVar("L")
# Of the largest tensor that is held for a block of classes. It has 64 MB in float32: glibc returns
# memory of 32 MB or less to a heap, where the gaps between blocks add up to the whole.
ENTRIES = 2**24


def check(name: str, value: float, domain: str, *, ok: bool) -> None:
    """Raise a ValueError that names the parameter, the value and the domain, unless `ok`."""
    if not ok or (isinstance(value, float) and math.isnan(value)):
        raise ValueError(f"{name} = {value!r} is outside its domain: {domain}")


def check_batch(embeddings: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Check embeddings [B, D] and labels [B], and return the embeddings in float32 or wider.

    Labels are integers in 0..n_classes-1, embeddings are finite; otherwise a ValueError says what
    is wrong.
    """
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"embeddings {tuple(embeddings.shape)} and labels {tuple(labels.shape)}: "
            "expected [B, D] and [B]"
        )
    known = ((labels >= 0) & (labels < n_classes)).all()
    # one check for both, because reading a result back makes the host wait for the GPU
    if not bool(known & torch.isfinite(embeddings).all()):
        if not bool(known):
            raise ValueError(
                f"labels from {int(labels.min())} to {int(labels.max())} are outside "
                f"0..{n_classes - 1} (n_classes = {n_classes})"
            )
        raise ValueError("embeddings hold NaN or infinite values: they must be finite")
    return embeddings.float() if embeddings.dtype in (torch.bfloat16, torch.float16) else embeddings


def attached_zero(*tensors: Tensor) -> Tensor:
    """A scalar zero whose gradient is zero for each of the tensors."""
    return sum((tensor.sum() * 0.0 for tensor in tensors), tensors[0].new_zeros(()))


def euclidean_distance(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances [N, M], not squared, between the rows of x [N, D] and y [M, D].

    Squared distances are clamped at 1e-12, so the gradient is zero, and not infinite, where two
    rows coincide.
    """
    squared = x.square().sum(1, keepdim=True) + y.square().sum(1) - 2.0 * x @ y.T
    return squared.clamp_min(1e-12).sqrt()


def positives_and_negatives(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Two boolean masks [B, B]: another image of the same class; an image of another class."""
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return same & ~itself, ~same


def in_float32(
    forward: Callable[[L, Tensor, Tensor], Tensor],
) -> Callable[[L, Tensor, Tensor], Tensor]:
    """Decorate a loss's `forward` so that it runs with autocast off.

    Under bfloat16 autocast every matrix product rounds to 8 bits of mantissa, whatever the dtype
    of its inputs. That error is larger than many margins.
    """

    @functools.wraps(forward)
    def run(loss: L, embeddings: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            return forward(loss, embeddings, labels)

    return run


def by_blocks(block: Callable[..., B], *tensors: Tensor, size: int, dim: int = 0) -> list[B]:
    """`block` of every piece of the tensors, which are split alike into pieces of at most `size`.

    For sums over more classes than memory holds at once: the backward pass computes each piece once
    more instead of keeping its intermediate results. A single piece is computed only once.
    """
    pieces = list(zip(*(torch.split(tensor, size, dim) for tensor in tensors), strict=True))
    if len(pieces) == 1:
        return [block(*pieces[0])]
    return [checkpoint(block, *piece, use_reentrant=False) for piece in pieces]


def similarity_gaps(embeddings: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """For each pair (q, i): how much more similar to query q every image j is than image i.

    pairs [B, B] is a mask of P pairs. Returns the gaps [P, B], s_qj - s_qi with s a dot product,
    and a mask [P, B] that is False where j = i. Memory is O(P B), not O(B^3).
    """
    queries, images = pairs.nonzero(as_tuple=True)
    similarities = embeddings @ embeddings.T
    gaps = similarities[queries] - similarities[queries, images][:, None]
    others = torch.arange(len(embeddings), device=embeddings.device) != images[:, None]
    return gaps, others


def smooth_step(gaps: Tensor, temperature: float) -> Tensor:
    """Logistic function of gaps / temperature, clamped to +-50; the gradient beyond is zero."""
    return torch.sigmoid((gaps / temperature).clamp(-50.0, 50.0))


def non_zero_mean(terms: Tensor) -> Tensor:
    """Mean over the terms that are not zero; if all are, a zero that is part of the graph."""
    return terms.sum() / torch.count_nonzero(terms).clamp_min(1)
