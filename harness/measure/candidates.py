"""Which gallery rows may be among the nearest of each query, as far as float32 can tell.

harness/measure/neighbours.py settles what its rounding leaves open.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from harness.measure import tiles
from harness.measure.products import Frame, Strips
from harness.measure.tiles import Best, Proposal

TILE = 896  # side of the tiles, or twice that where more is wanted, and on a GPU


def proposals(
    queries: Tensor, gallery: Tensor, frame: Frame, wanted: int, *, excluded: Tensor | None
) -> list[Proposal]:
    """The best `wanted` gallery rows, but not the excluded one, of all queries, block by block.

    Where each query is the gallery row that it excludes, only half of the product is computed.
    """
    everyone = torch.arange(len(queries), device=gallery.device)
    side = side_of_tiles(wanted, gallery.device)
    if side is None:
        return in_strips(queries, gallery, frame, wanted, excluded=excluded, some=everyone)
    in_tiles = tiles.Tiles(gallery, frame, side)
    if queries is gallery and excluded is not None and torch.equal(excluded, everyone):
        return tiles.best_of_half(in_tiles, wanted)
    return tiles.best_of_all(in_tiles, queries, wanted, excluded=excluded)


def side_of_tiles(wanted: int, device: torch.device) -> int | None:
    """The side of the square tiles in which so many can be found; None if they must be strips."""
    sides = (TILE, 2 * TILE) if device.type == "cpu" else (2 * TILE,)
    return next((side for side in sides if wanted * tiles.GROUP <= side), None)


def in_strips(
    queries: Tensor,
    gallery: Tensor,
    frame: Frame,
    wanted: int,
    *,
    excluded: Tensor | None,
    some: Tensor,
) -> list[Proposal]:
    """The best `wanted` gallery rows of some queries [s], from strips: always as many."""
    excluded = None if excluded is None else excluded[some]
    strips = Strips(queries[some], gallery, frame, excluded=excluded)

    def best_of(block: slice) -> Best:
        return Best(*strips.values(block).topk(wanted))

    return [Proposal(some[block], functools.partial(best_of, block)) for block in strips.blocks]
