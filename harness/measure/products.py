"""Matrix products in float32 whose values tell how near rows are.

A value of the product is -|a - b|^2 / 2: the rows of one side are [x, 1, -|x|^2 / 2], and those of
the other side have the last two columns exchanged. Rows are centred and scaled first. This changes
no order, makes near-equal embeddings more precise and keeps long ones from overflowing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

ROWS = 256  # that are handled at once
KEPT_BYTES = 256 * 2**20  # of a gallery's augmented rows; those of a larger one are made again
ADDED = 256  # rows of a product's second half, few enough to stay in a processor's cache
FEW_ROWS = 16  # of a strip at least
STRIP_BYTES = 8 * 2**20  # of a strip


class Frame(NamedTuple):
    """How rows are scaled and then centred, for a product in float32.

    `scale` is a power of two, so it rounds nothing; after both every row has a length of at most 1.
    """

    scale: float
    centre: Tensor  # [D] of scaled rows, float32


def frame_of(queries: Tensor, gallery: Tensor) -> Frame:
    """Centred at about the gallery's mean, scaled by the largest distance of any row from it."""
    sides = [gallery] if queries is gallery or not len(queries) else [gallery, queries]
    parts = [part for side in sides for part in torch.split(side, ROWS)]
    largest = max(float(torch.stack(torch.aminmax(side)).abs().max()) for side in sides)
    scale = _power_of_two_above(largest)
    total = torch.zeros(gallery.shape[1], dtype=torch.float64, device=gallery.device)
    for part in torch.split(gallery, ROWS):
        total += part.mul(1 / scale).sum(0, dtype=torch.float64)
    centre = (total / len(gallery)).float()
    first = Frame(scale, centre)
    radius = max(float(lengths(part, first).max()) for part in parts)
    closest = max(scale * _power_of_two_above(radius), 2.0**-126)
    return Frame(closest, centre * (scale / closest))


def _power_of_two_above(value: float) -> float:
    return 2.0 ** min(126, max(-126, math.frexp(value)[1])) if value else 1.0


def _centred(rows: Tensor, frame: Frame) -> Tensor:
    """Rows [n, D] in the frame, float32: each value is rounded once, from float64 hardly more."""
    exact = torch.promote_types(rows.dtype, torch.float32)
    return rows.to(exact).mul(1 / frame.scale).sub_(frame.centre).float()


def lengths(rows: Tensor, frame: Frame) -> Tensor:
    """Lengths [n] of rows in the frame, float64."""
    return _centred(rows, frame).square_().sum(1, dtype=torch.float64).sqrt_()


def augmented(rows: Tensor, frame: Frame) -> Tensor:
    """Rows [n, D] as [x, 1, -|x|^2 / 2]: [n, D + 2], float32."""
    augmented = torch.ones(len(rows), rows.shape[1] + 2, device=rows.device, dtype=torch.float32)
    x = _centred(rows, frame)
    augmented[:, :-2] = x
    augmented[:, -1] = -0.5 * x.square_().sum(1, dtype=torch.float64)
    return augmented


def slack_of(queries: Tensor, frame: Frame) -> Tensor:
    """A bound [q] on the rounding error of a product's value, float64, in the frame's units.

    It counts D / 2 + 1 products and sums in any order, the sum of both halves, the rounding of both
    rows and that of their norms and of the squares in them, and two more. Each adds at most half a
    step of (|a| + |b|)^2 / 2, where |b| <= 1.
    """
    length = torch.cat([lengths(part, frame) for part in torch.split(queries, ROWS)])
    steps = (-(-queries.shape[1] // 2) + 8) * torch.finfo(torch.float32).eps / 2
    return steps * (length + 1).square() / 2


def other_side(augmented: Tensor) -> Tensor:
    """[x, 1, -|x|^2 / 2] as [x, -|x|^2 / 2, 1]: the product with the former is -|a - b|^2 / 2."""
    return torch.cat([augmented[:, :-2], augmented[:, -2:].flip(1)], dim=1)


def product(left: Tensor, right: Tensor) -> Tensor:
    """The float32 product [r, c] of rows [r, D] and [c, D]: the sum of those of two halves of D.

    The values of each half may be summed in any order, so halves bound the rounding error by half.
    On a CPU by NumPy's OpenBLAS: on AMD's processors it takes 0.6 of the time of torch's MKL. Its
    threads are those of the caller (harness/threads.py).
    """
    half = -(-left.shape[1] // 2)
    if left.device.type != "cpu":
        return torch.addmm(left[:, :half] @ right[:, :half].T, left[:, half:], right[:, half:].T)
    a, b = left.numpy(), right.numpy().T
    with np.errstate(invalid="ignore"):  # infinite rows meet what pads a block
        both = np.matmul(a[:, :half], b[:half])
        for start in range(0, len(a), ADDED):
            both[start : start + ADDED] += np.matmul(a[start : start + ADDED, half:], b[half:])
    return torch.from_numpy(both)


class Strips:
    """The product strip by strip: the values [b, n] of a block of queries for the whole gallery.

    queries [q, D], gallery [n, D]; excluded [q]: the gallery row of each query whose value is -inf.
    """

    def __init__(
        self, queries: Tensor, gallery: Tensor, frame: Frame, *, excluded: Tensor | None
    ) -> None:
        self.queries, self.gallery, self.frame, self.excluded = queries, gallery, frame, excluded
        self.starts = range(0, len(gallery), ROWS)
        step = max(FEW_ROWS, STRIP_BYTES // (4 * len(gallery)))
        self.blocks = [slice(i, min(i + step, len(queries))) for i in range(0, len(queries), step)]
        self.part = kept(self._part, gallery) if len(self.blocks) > 1 else self._part

    def _part(self, start: int) -> Tensor:
        return augmented(self.gallery[start : start + ROWS], self.frame)

    def values(self, block: slice) -> Tensor:
        """The strip [b, n] of one of the blocks."""
        left = other_side(augmented(self.queries[block], self.frame))
        strip = left.new_empty(len(left), len(self.gallery))
        for start in self.starts:  # joined later, the pieces would leave holes between the parts
            strip[:, start : start + ROWS] = product(left, self.part(start))
        if self.excluded is not None:
            strip.scatter_(1, self.excluded[block, None], -torch.inf)
        return strip


def kept(part: Callable[[int], Tensor], gallery: Tensor) -> Callable[[int], Tensor]:
    """A function that gives augmented parts of a gallery; it keeps all, or if large the last ones.

    They are asked for in turns, so of a large gallery no number of them would be asked for again.
    """
    fits = 4 * len(gallery) * (gallery.shape[1] + 2) <= KEPT_BYTES
    return functools.lru_cache(None if fits else 4)(part)
