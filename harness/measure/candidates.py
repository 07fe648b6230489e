"""Matrix products that propose neighbours, over strips of queries or over tiles of one gallery.

A value of the product is -|a - b|^2 / 2: the rows of one side are [x, 1, -|x|^2 / 2], and those of
the other side have the last two columns exchanged. Rows are centred and scaled first. This changes
no order, makes near-equal embeddings more precise and keeps long ones from overflowing. Where the
queries are the gallery, the product is symmetric: only half of it is computed, and each value
serves both images of its pair. harness/measure/neighbours.py settles what rounding leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

TILE = 2048  # side of the square tiles of a symmetric product
GROUP = 8  # columns whose maximum is compared first: it rules all of them out at once
STRIP_BYTES = 32 * 2**20  # of a strip of any other product


class Best(NamedTuple):
    """Every query's best rows so far: -distance^2 / 2 in scaled units, descending, and indices."""

    values: Tensor  # [q, w]
    indices: Tensor  # [q, w] int64


class Frame(NamedTuple):
    """How rows are centred and scaled, and the number type of the product."""

    centre: Tensor  # [D] float64
    scale: float
    dtype: torch.dtype


def frame_of(queries: Tensor, gallery: Tensor, dtype: torch.dtype) -> Frame:
    """Centred at the gallery's mean, scaled by the largest distance of any row from it."""
    parts = torch.split(gallery, TILE)
    centre = torch.stack([part.double().sum(0) for part in parts]).sum(0) / len(gallery)
    if queries is not gallery and len(queries):
        parts += torch.split(queries, TILE)
    radius = max(float((part.double() - centre).norm(dim=1).max()) for part in parts)
    return Frame(centre, radius or 1.0, dtype)


def _augmented(rows: Tensor, frame: Frame) -> Tensor:
    """Rows [n, D] as [x, 1, -|x|^2 / 2]: [n, D + 2] of the frame's number type."""
    augmented = torch.ones(len(rows), rows.shape[1] + 2, device=rows.device, dtype=frame.dtype)
    x = augmented[:, :-2].copy_((rows.double() - frame.centre) / frame.scale)
    augmented[:, -1] = -0.5 * x.double().square().sum(1)
    return augmented


def slack_of(queries: Tensor, frame: Frame) -> Tensor:
    """Twice the bound [q] on the rounding error of a product's value, float64, in scaled units.

    The bound counts D + 2 products and sums, the rounding of the rows and that of their norms. Each
    adds at most half a step of (|a| + |b|)^2 / 2, where |b| <= 1. Sums of float64 differences have
    no larger error.
    """
    parts = torch.split(queries, TILE)
    length = torch.cat([(part.double() - frame.centre).norm(dim=1) for part in parts])
    steps = 2 * (queries.shape[1] + 8) * torch.finfo(frame.dtype).eps / 2
    return steps * (length / frame.scale + 1).square() / 2


def _other_side(augmented: Tensor) -> Tensor:
    """[x, 1, -|x|^2 / 2] as [x, -|x|^2 / 2, 1]: the product with the former is -|a - b|^2 / 2."""
    return torch.cat([augmented[:, :-2], augmented[:, -2:].flip(1)], dim=1)


def strips(
    queries: Tensor, gallery: Tensor, frame: Frame, *, excluded: Tensor | None
) -> Iterator[tuple[slice, Tensor]]:
    """The product strip by strip: a slice of the queries and their values [b, n] for the gallery.

    excluded [q]: for each query the gallery row that gets the value -inf.
    """
    right = torch.cat([_augmented(part, frame) for part in torch.split(gallery, TILE)])
    step = max(1, STRIP_BYTES // (4 * len(gallery)))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        strip = _other_side(_augmented(queries[block], frame)) @ right.T
        if excluded is not None:
            strip.scatter_(1, excluded[block, None], -torch.inf)
        yield block, strip


def best_among(rows: Tensor, frame: Frame, wanted: int) -> Best:
    """The best `wanted` other rows for each row, from the upper half of the symmetric product.

    Rows are taken in a shuffled order, always the same one. Whatever the order of the classes, few
    values of a tile are then better than those of earlier tiles.
    """
    n, device = len(rows), rows.device
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0)).to(device)
    padded = -(-n // GROUP) * GROUP
    right = torch.zeros(padded, rows.shape[1] + 2, device=device, dtype=frame.dtype)
    for start in range(0, n, TILE):
        part = order[start : start + TILE]
        right[start : start + len(part)] = _augmented(rows[part], frame)
    right[n:, -2], right[n:, -1] = 1, -torch.inf  # padding is infinitely far
    best = Best(
        right.new_full((padded, wanted), -torch.inf),
        torch.zeros(padded, wanted, dtype=torch.int64, device=device),
    )
    for top in range(0, padded, TILE):
        left = _other_side(right[top : top + TILE])
        for start in range(top, padded, TILE):
            tile = left @ right[start : start + TILE].T
            if start == top:
                tile.fill_diagonal_(-torch.inf)
            _merge(best, tile, first_row=top, first_column=start)
            if start > top:
                _merge(best, tile.T, first_row=start, first_column=top)
    back = order.argsort()
    return Best(best.values[back], order[best.indices[back].clamp_(max=n - 1)])


def _merge(best: Best, tile: Tensor, *, first_row: int, first_column: int) -> None:
    """Merge a tile [r, c] into the best of its rows, in place; its place is given by its corner."""
    values = best.values[first_row : first_row + len(tile)]
    indices = best.indices[first_row : first_row + len(tile)]
    width = values.shape[1]
    if bool(torch.isinf(values[:, 0]).all()):  # the first tile of these rows
        top = tile.contiguous().topk(width, dim=1)
        values.copy_(top.values)
        indices.copy_(top.indices + first_column)
        return
    rows, columns = _above(tile, values[:, -1:])
    if len(rows) == 0:
        return
    counts = torch.bincount(rows, minlength=len(tile))
    longest = width + int(counts.max())
    slot = width + torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    joined_values = values.new_full((len(tile), longest), -torch.inf)
    joined_indices = indices.new_zeros((len(tile), longest))
    joined_values[:, :width], joined_indices[:, :width] = values, indices
    joined_values[rows, slot] = tile[rows, columns]
    joined_indices[rows, slot] = columns + first_column
    top = joined_values.topk(width, dim=1)
    values.copy_(top.values)
    indices.copy_(joined_indices.gather(1, top.indices))


def _above(tile: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of a tile [r, c] where it exceeds floor [r, 1], in the order of the rows.

    A group holds GROUP columns, c / GROUP apart. One fast pass over the groups' maxima rules most
    of them out. The pass runs along memory, also where the tile is a transposed view.
    """
    r, c = tile.shape
    if tile.stride(1) == 1:
        highest = tile.view(r, GROUP, c // GROUP).amax(1)
    else:
        highest = tile.T.view(GROUP, c // GROUP, r).amax(0).T
    rows, groups = torch.nonzero(highest > floor, as_tuple=True)
    members = torch.arange(GROUP, device=tile.device) * (c // GROUP)
    columns = (groups[:, None] + members).flatten()
    rows = rows.repeat_interleave(GROUP)
    memory = tile.flatten() if tile.stride(1) == 1 else tile.T.flatten()
    place = rows * tile.stride(0) + columns * tile.stride(1)
    above = torch.nonzero(memory.index_select(0, place) > floor.flatten()[rows]).flatten()
    return rows[above], columns[above]
