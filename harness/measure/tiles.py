"""The best of a gallery for each query, found in square tiles of the product.

Where the queries are the gallery, the product is symmetric: only half of it is computed, and each
value serves both images of its pair.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.measure.products import Frame, augmented, kept, other_side, product
from harness.threads import Lock, each_in_a_thread

GROUP = 8  # columns whose maximum is compared first: it rules all of them out at once
CROWD = 96  # candidates of a row at least, before only the best are kept


class Best(NamedTuple):
    """Every query's best rows so far: -distance^2 / 2 in scaled units, descending, and indices."""

    values: Tensor  # [q, w]
    indices: Tensor  # [q, w] int64


class Proposal(NamedTuple):
    """The best gallery rows of some queries, as far as float32 can tell.

    Where `best` found fewer than it was asked for, values of -inf stand in the last places.
    """

    queries: Tensor  # [b] int64
    best: Callable[[], Best]  # [b, w]; to be called once


class Tiles:
    """A gallery in a shuffled order, in blocks of one size: whole groups, the last one padded.

    The order is always the same. In it any block is a sample, which tells beforehand what values of
    a query can be among its best.
    """

    def __init__(self, gallery: Tensor, frame: Frame, side: int) -> None:
        n = len(gallery)
        self.gallery, self.frame = gallery, frame
        shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(0))
        self.order = shuffled.to(gallery.device)
        self.side = -(-n // (-(-n // side) * GROUP)) * GROUP
        self.starts = range(0, n, self.side)
        self.rows = kept(self._rows, gallery)

    def queries(self, start: int) -> Tensor:
        """Which gallery rows a block holds."""
        return self.order[start : start + self.side]

    def _rows(self, start: int) -> Tensor:
        """The augmented rows [side, D + 2] of a block; padding is infinitely far."""
        some = augmented(self.gallery[self.queries(start)], self.frame)
        padding = self.side - len(some)
        if padding:
            some = F.pad(some, (0, 0, 0, padding))
            some[-padding:, -2], some[-padding:, -1] = 1, -torch.inf
        return some

    def found_in(self, tile: Tensor, wanted: int) -> _Found:
        """What is to hold the best of all tiles of some rows, of which this is the first."""
        share = self.side / len(self.order)
        return _Found(_floor(tile, wanted, share), wanted, share)

    def best(self, found: _Found, count: int) -> Best:
        """What was found for the first `count` rows, by gallery row."""
        values, places = found.best()
        indices = self.order[places[:count].clamp_(max=len(self.order) - 1)]
        return Best(values[:count], indices)


def best_of_half(tiles: Tiles, wanted: int) -> list[Proposal]:
    """The best other gallery rows of each, from the tiles on and above the diagonal."""
    device = tiles.order.device

    def on_the_diagonal(start: int) -> _Found:
        block = tiles.rows(start)
        tile = product(other_side(block), block)
        tile.fill_diagonal_(-torch.inf)
        found = tiles.found_in(tile, wanted)
        found.add(tile, start)
        return found

    founds = each_in_a_thread(on_the_diagonal, tiles.starts, device)
    found = dict(zip(tiles.starts, founds, strict=True))
    founds.clear()

    def above_the_diagonal(corner: tuple[int, int]) -> None:
        top, start = corner
        tile = product(other_side(tiles.rows(top)), tiles.rows(start))
        found[top].add(tile, start)
        found[start].add(tile.T, top)

    each_in_a_thread(above_the_diagonal, itertools.combinations(tiles.starts, 2), device)

    def best_of(start: int) -> Best:
        return tiles.best(found.pop(start), len(tiles.queries(start)))

    return [
        Proposal(tiles.queries(start), functools.partial(best_of, start)) for start in tiles.starts
    ]


def best_of_all(
    tiles: Tiles, queries: Tensor, wanted: int, *, excluded: Tensor | None
) -> list[Proposal]:
    """The best gallery rows of queries that are others than these."""
    place = tiles.order.argsort()  # of a gallery row

    def best_of(block: Tensor) -> Best:
        left = other_side(augmented(queries[block], tiles.frame))
        apart = None if excluded is None else place[excluded[block]]
        found = None
        for start in tiles.starts:
            tile = product(left, tiles.rows(start))
            if apart is not None:
                here = torch.nonzero((apart >= start) & (apart < start + tiles.side)).flatten()
                tile[here, apart[here] - start] = -torch.inf
            found = found or tiles.found_in(tile, wanted)
            found.add(tile, start)
        assert found is not None  # a gallery has rows
        return tiles.best(found, len(block))

    threads = torch.get_num_threads() if queries.device.type == "cpu" else 1
    step = max(1, min(tiles.side, -(-len(queries) // threads)))
    everyone = torch.arange(len(queries), device=queries.device)
    return [
        Proposal(block, functools.partial(best_of, block)) for block in torch.split(everyone, step)
    ]


def _floor(tile: Tensor, wanted: int, share: float) -> Tensor:
    """A value [r] for each row of a tile [r, c] that its best `wanted` of all others will exceed.

    The columns are a sample of that share of all.
    """
    highest, rank = _highest(tile), _rank(wanted, share)
    if rank > highest.shape[1]:
        return tile.new_full((len(tile),), -torch.inf)
    return _just_below(highest.topk(rank, dim=1, sorted=False).values.amin(1))


def _rank(wanted: int, share: float) -> int:
    """How many of the best `wanted` of all a sample of that share hardly ever exceeds.

    By three standard deviations, hardly a row has too few values above the sample's value of that
    rank; those are looked up otherwise.
    """
    expected = wanted * share
    return math.ceil(expected + 3 * math.sqrt(expected * max(0.0, 1 - share))) + 1


def _just_below(values: Tensor) -> Tensor:
    return torch.nextafter(values, values.new_tensor(-torch.inf))


def _highest(tile: Tensor) -> Tensor:
    """The maximum of each group of a tile's columns, [r, c] to [r, c / GROUP].

    A group holds GROUP columns, c / GROUP apart, and the pass runs along memory, also where the
    tile is a transposed view.
    """
    r, c = tile.shape
    if tile.stride(1) == 1:
        return tile.view(r, GROUP, c // GROUP).amax(1)
    return tile.T.view(GROUP, c // GROUP, r).amax(0).T


def _places(mask: Tensor) -> Tensor:
    """Where a mask holds, counted along its rows; on a CPU by NumPy, which takes a fifth."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return torch.nonzero(mask.flatten()).flatten()


class _Found:
    """The values of a block of rows that exceed each row's floor, and their columns.

    A tile holds a `share` of all columns. The more tiles a row has seen, the better they tell what
    its best will exceed, so the floor rises.
    """

    def __init__(self, floor: Tensor, wanted: int, share: float) -> None:
        self.floor, self.wanted, self.share, self.seen = floor, wanted, share, 0
        self.room = max(CROWD, 3 * wanted // 2 + 32)  # values of a row, then only the best are kept
        self.values = floor.new_empty(len(floor), self.room)
        # zeros, because a row with too few values has columns that nothing was written to
        self.columns = torch.zeros(self.values.shape, dtype=torch.int32, device=floor.device)
        self.count = torch.zeros(len(floor), dtype=torch.int64, device=floor.device)
        self.lock = Lock()

    def add(self, tile: Tensor, first_column: int) -> None:
        """Take what a tile [r, c] of these rows has above their floors.

        One fast pass over its groups' maxima rules most of it out.
        """
        apart = tile.shape[1] // GROUP
        passing = _places(_highest(tile) > self.floor[:, None])
        rows, groups = passing // apart, passing % apart
        memory = tile.flatten() if tile.stride(1) == 1 else tile.T.flatten()
        place = rows * tile.stride(0) + groups * tile.stride(1)
        members = torch.arange(0, tile.shape[1], apart, device=rows.device)
        places = (place[:, None] + members * tile.stride(1)).flatten()
        values = memory.index_select(0, places)
        above = values.view(-1, GROUP) > self.floor.index_select(0, rows)[:, None]
        above = _places(above)
        group = above // GROUP
        columns = groups.index_select(0, group) + members.index_select(0, above % GROUP)
        rows, values = rows.index_select(0, group), values.index_select(0, above)
        with self.lock:
            self._take(rows, columns.add_(first_column), values)
            self.seen += 1
            if self.seen > 1 and self.seen.bit_count() == 1:  # at every doubling
                self._raise_floor()

    def _raise_floor(self) -> None:
        rank = _rank(self.wanted, min(1.0, self.seen * self.share))
        most = int(self.count.max())
        if rank <= most:
            seen = self.values[:, :most].masked_fill(self._unused(most), -torch.inf)
            lowest = seen.topk(rank, dim=1, sorted=False).values.amin(1)
            self.floor = torch.maximum(self.floor, _just_below(lowest))

    def _unused(self, width: int) -> Tensor:
        """Which of the first places [r, width] hold no value."""
        return torch.arange(width, device=self.count.device) >= self.count[:, None]

    def _take(self, rows: Tensor, columns: Tensor, values: Tensor) -> None:
        """Keep values, given in the order of their rows."""
        counts = torch.bincount(rows, minlength=len(self.count))
        if int((self.count + counts).max()) > self.room:
            best = self.best()
            self.floor = torch.maximum(self.floor, best.values[:, -1])
            most = self.wanted + max(self.room - self.wanted, int(counts.max()))
            self.values = F.pad(best.values, (0, most - self.wanted))
            self.columns = F.pad(best.indices.int(), (0, most - self.wanted))
            self.count = (best.values > -torch.inf).sum(1)
        first = self.count - (counts.cumsum(0) - counts)
        first += torch.arange(len(counts), device=rows.device) * self.values.shape[1]
        places = torch.arange(len(rows), device=rows.device).add_(first.index_select(0, rows))
        self.values.view(-1).scatter_(0, places, values)
        self.columns.view(-1).scatter_(0, places, columns.int())
        self.count += counts

    def best(self) -> Best:
        """The best `wanted` of each row; -inf where there are fewer."""
        unused = self._unused(self.values.shape[1])
        top = self.values.masked_fill_(unused, -torch.inf).topk(self.wanted, dim=1)
        return Best(top.values, self.columns.gather(1, top.indices).long())
