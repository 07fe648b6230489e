"""Products of matrices that propose neighbours: of strips of queries, or of tiles of one gallery.

The product gives -|a - b|^2 / 2 at once: rows are [x, 1, -|x|^2 / 2] on one side, with the last
two columns exchanged on the other. Rows are centred and scaled first, which changes no order:
near-equal embeddings gain precision, and long ones cannot overflow. Among images that are queries
and gallery at once the product is symmetric: each half of it is computed once and serves both
images of a pair. What its rounding leaves open is for harness/neighbours.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

TILE = 2048  # side of the squares in which a symmetric product is taken
GROUP = 8  # a group's maximum tells whether any of its members can be among the best
STRIP_BYTES = 32 * 2**20  # of the strips in which another product is taken


class Best(NamedTuple):
    """The best so far of every query: -distance^2 / 2 in scaled units, falling, and where."""

    values: Tensor  # [q, w]
    indices: Tensor  # [q, w] int64


class Frame(NamedTuple):
    """How rows are centred and scaled, and the type of the product."""

    centre: Tensor  # [D] float64
    scale: float
    dtype: torch.dtype


def frame_of(queries: Tensor, gallery: Tensor, dtype: torch.dtype) -> Frame:
    """The gallery's mean, about, and the largest distance of a row from it."""
    parts = torch.split(gallery, TILE)
    centre = torch.stack([part.double().sum(0) for part in parts]).sum(0) / len(gallery)
    if queries is not gallery and len(queries):
        parts += torch.split(queries, TILE)
    reach = max(float((part.double() - centre).norm(dim=1).max()) for part in parts)
    return Frame(centre, reach or 1.0, dtype)


def _augmented(rows: Tensor, frame: Frame) -> Tensor:
    """Rows [n, D] as [x, 1, -|x|^2 / 2], [n, D + 2] of the frame's type."""
    out = torch.ones(len(rows), rows.shape[1] + 2, device=rows.device, dtype=frame.dtype)
    x = out[:, :-2].copy_((rows.double() - frame.centre) / frame.scale)
    out[:, -1] = -0.5 * x.double().square().sum(1)
    return out


def slack_of(queries: Tensor, frame: Frame) -> Tensor:
    """Twice the bound [q] on the rounding of a value of the product, float64, in scaled units.

    D + 2 products and sums, the rows' own rounding and that of their norms, each at most half a
    step of (|a| + |b|)^2 / 2, where |b| <= 1. Sums of float64 differences round no worse.
    """
    parts = torch.split(queries, TILE)
    length = torch.cat([(part.double() - frame.centre).norm(dim=1) for part in parts])
    steps = 2 * (queries.shape[1] + 8) * torch.finfo(frame.dtype).eps / 2
    return steps * (length / frame.scale + 1).square() / 2


def _other_side(augmented: Tensor) -> Tensor:
    """[x, 1, -|x|^2 / 2] as [x, -|x|^2 / 2, 1]: the product with the former is -|a - b|^2 / 2."""
    return torch.cat([augmented[:, :-2], augmented[:, -2:].flip(1)], dim=1)


def strips(
    queries: Tensor, gallery: Tensor, frame: Frame, own: Tensor | None
) -> Iterator[tuple[slice, Tensor]]:
    """The product strip by strip: which queries, and their values [b, n] for the whole gallery."""
    right = torch.cat([_augmented(part, frame) for part in torch.split(gallery, TILE)])
    step = max(1, STRIP_BYTES // (4 * len(gallery)))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        strip = _other_side(_augmented(queries[block], frame)) @ right.T
        if own is not None:
            strip.scatter_(1, own[block, None], -torch.inf)
        yield block, strip


def best_among(rows: Tensor, frame: Frame, wanted: int) -> Best:
    """The best `wanted` other rows for each row, from the upper half of the symmetric product.

    Rows are taken in a shuffled order (always the same), so that few of a tile's values are better
    than what earlier tiles gave, whatever the order of the classes.
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
            _absorb(best, tile, top, start)
            if start > top:
                _absorb(best, tile.T, start, top)
    back = order.argsort()
    return Best(best.values[back], order[best.indices[back].clamp_(max=n - 1)])


def _absorb(best: Best, tile: Tensor, first: int, start: int) -> None:
    """Take a tile [r, c] into the best of rows first..first+r; its columns are start..start+c."""
    values = best.values[first : first + len(tile)]
    positions = best.indices[first : first + len(tile)]
    width = values.shape[1]
    if bool(torch.isinf(values[:, 0]).all()):  # nothing to compare with yet
        top = tile.contiguous().topk(width, dim=1)
        values.copy_(top.values)
        positions.copy_(top.indices + start)
        return
    rows, columns = _better(tile, values[:, -1:])
    if len(rows) == 0:
        return
    counts = torch.bincount(rows, minlength=len(tile))
    longest = width + int(counts.max())
    slot = width + torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    joined = values.new_full((len(tile), longest), -torch.inf)
    where = positions.new_zeros((len(tile), longest))
    joined[:, :width], where[:, :width] = values, positions
    joined[rows, slot], where[rows, slot] = tile[rows, columns], columns + start
    top = joined.topk(width, dim=1)
    values.copy_(top.values)
    positions.copy_(where.gather(1, top.indices))


def _better(tile: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of a tile [r, c] where it exceeds floor [r, 1], in the order of the rows.

    Maxima over groups of columns c / GROUP apart rule most groups out in one fast pass, which must
    run along memory also where the tile is a transposed view.
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
    kept = torch.nonzero(memory.index_select(0, place) > floor.flatten()[rows]).flatten()
    return rows[kept], columns[kept]
