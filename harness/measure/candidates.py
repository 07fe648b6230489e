"""Matrix products that propose neighbours, over strips of queries or over tiles of one gallery.

A value of the product is -|a - b|^2 / 2: the rows of one side are [x, 1, -|x|^2 / 2], and those of
the other side have the last two columns exchanged. Rows are centred and scaled first. This changes
no order, makes near-equal embeddings more precise and keeps long ones from overflowing. Where the
queries are the gallery, the product is symmetric: only half of it is computed, and each value
serves both images of its pair. harness/measure/neighbours.py settles what rounding leaves open.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from threadpoolctl import ThreadpoolController
from torch import Tensor

TILE = 2048  # side of the square tiles of a symmetric product
GROUP = 8  # columns whose maximum is compared first: it rules all of them out at once
CROWD = 96  # candidates of a row, or thrice as many as are wanted: then only the best are kept
STRIP_BYTES = 32 * 2**20  # of a strip of any other product


class Best(NamedTuple):
    """Every query's best rows so far: -distance^2 / 2 in scaled units, descending, and indices."""

    values: Tensor  # [q, w]
    indices: Tensor  # [q, w] int64


class Frame(NamedTuple):
    """How rows are scaled and then centred, for a product in float32.

    `scale` is a power of two, so it rounds nothing; after both every row has a length of at most 1.
    """

    scale: float
    centre: Tensor  # [D] of scaled rows, float32


def frame_of(queries: Tensor, gallery: Tensor) -> Frame:
    """Centred at about the gallery's mean, scaled by the largest distance of any row from it."""
    sides = [gallery] if queries is gallery or not len(queries) else [gallery, queries]
    parts = [part for side in sides for part in torch.split(side, TILE)]
    largest = max(float(torch.stack(torch.aminmax(side)).abs().max()) for side in sides)
    scale = _power_of_two_above(largest)
    total = torch.zeros(gallery.shape[1], dtype=torch.float64, device=gallery.device)
    for part in torch.split(gallery, TILE):
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


def _augmented(rows: Tensor, frame: Frame) -> Tensor:
    """Rows [n, D] as [x, 1, -|x|^2 / 2]: [n, D + 2], float32."""
    augmented = torch.ones(len(rows), rows.shape[1] + 2, device=rows.device, dtype=torch.float32)
    x = _centred(rows, frame)
    augmented[:, :-2] = x
    augmented[:, -1] = -0.5 * x.square_().sum(1, dtype=torch.float64)
    return augmented


def slack_of(queries: Tensor, frame: Frame) -> Tensor:
    """A bound [q] on the rounding error of a product's value, float64, in the frame's units.

    It counts D + 2 products and sums in any order, the rounding of both rows and that of their
    norms and of the squares in them, and two more. Each adds at most half a step of
    (|a| + |b|)^2 / 2, where |b| <= 1.
    """
    length = torch.cat([lengths(part, frame) for part in torch.split(queries, TILE)])
    steps = (queries.shape[1] + 8) * torch.finfo(torch.float32).eps / 2
    return steps * (length + 1).square() / 2


def _other_side(augmented: Tensor) -> Tensor:
    """[x, 1, -|x|^2 / 2] as [x, -|x|^2 / 2, 1]: the product with the former is -|a - b|^2 / 2."""
    return torch.cat([augmented[:, :-2], augmented[:, -2:].flip(1)], dim=1)


def product(left: Tensor, right: Tensor) -> Tensor:
    """The float32 product [r, c] of rows [r, D] and [c, D]; a value may be summed in any order.

    In one thread of a CPU, as runs execute by default, by NumPy's OpenBLAS: on AMD's processors it
    takes 0.6 of the time of torch's MKL. Not in several threads: OpenBLAS's wait for the next
    product by spinning, and would take the cores from torch's.
    """
    if left.device.type != "cpu" or torch.get_num_threads() > 1:
        return left @ right.T
    one_thread = _blas().limit(limits=1, user_api="blas")
    with one_thread, np.errstate(invalid="ignore"):  # infinite rows meet what pads a block
        return torch.from_numpy(np.matmul(left.numpy(), right.numpy().T))


@functools.cache
def _blas() -> ThreadpoolController:
    """What sets the threads of the BLAS libraries that this process has loaded."""
    return ThreadpoolController()


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
        strip = product(_other_side(_augmented(queries[block], frame)), right)
        if excluded is not None:
            strip.scatter_(1, excluded[block, None], -torch.inf)
        yield block, strip


def best_among(rows: Tensor, frame: Frame, wanted: int) -> Best:
    """The best `wanted` other rows for each row, from the upper half of the symmetric product.

    Rows are taken in a shuffled order, always the same one, so that any block of them is a sample:
    it tells beforehand which values of a row can be among its best.
    """
    n, device = len(rows), rows.device
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0)).to(device)
    side = -(-n // (-(-n // TILE) * GROUP)) * GROUP  # tiles of one size, of whole groups
    padded = -(-n // side) * side
    right = torch.zeros(padded, rows.shape[1] + 2, device=device, dtype=torch.float32)
    for start in range(0, n, TILE):
        part = order[start : start + TILE]
        right[start : start + len(part)] = _augmented(rows[part], frame)
    right[n:, -2], right[n:, -1] = 1, -torch.inf  # padding is infinitely far
    starts = range(0, padded, side)
    found = {}
    for start in starts:
        block = right[start : start + side]
        tile = product(_other_side(block), block)
        tile.fill_diagonal_(-torch.inf)
        found[start] = _Found(_floor(tile, wanted, side / n), wanted)
        found[start].add(tile, start)
    parts = []
    for top in starts:
        left = _other_side(right[top : top + side])
        for start in range(top + side, padded, side):
            tile = product(left, right[start : start + side])
            found[top].add(tile, start)
            found[start].add(tile.T, top)
        parts.append(found.pop(top).best())
    values, indices = (torch.cat(each)[order.argsort()] for each in zip(*parts, strict=True))
    best = Best(values, order[indices.clamp_(max=n - 1)])
    short = torch.nonzero(torch.isinf(values[:, -1])).flatten()
    for some, strip in strips(rows[short], rows, frame, excluded=short):
        found_again = strip.topk(wanted)
        best.values[short[some]] = found_again.values
        best.indices[short[some]] = found_again.indices
    return best


def _floor(tile: Tensor, wanted: int, share: float) -> Tensor:
    """A value [r] for each row of a tile [r, c] that its best `wanted` of all others will exceed.

    The columns are a sample of that share of all. By four standard deviations of the number of the
    best that a sample holds, hardly a row has too few values above; those are looked up otherwise.
    """
    expected = wanted * share
    rank = math.ceil(expected + 4 * math.sqrt(expected * max(0.0, 1 - share))) + 1
    highest = _highest(tile)
    if rank > highest.shape[1]:
        return tile.new_full((len(tile),), -torch.inf)
    lowest = highest.topk(rank, dim=1).values[:, -1]
    return torch.nextafter(lowest, lowest.new_tensor(-torch.inf))


def _highest(tile: Tensor) -> Tensor:
    """The maximum of each group of a tile's columns, [r, c] to [r, c / GROUP].

    A group holds GROUP columns, c / GROUP apart, and the pass runs along memory, also where the
    tile is a transposed view.
    """
    r, c = tile.shape
    if tile.stride(1) == 1:
        return tile.view(r, GROUP, c // GROUP).amax(1)
    return tile.T.view(GROUP, c // GROUP, r).amax(0).T


class _Found:
    """The values of a block of rows that exceed each row's floor, and their columns."""

    def __init__(self, floor: Tensor, wanted: int) -> None:
        self.floor, self.wanted = floor, wanted
        self.room = max(CROWD, 3 * wanted)  # values of a row, of which then only the best are kept
        self.values = floor.new_empty(len(floor), self.room)
        # zeros, because a row with too few values has columns that nothing was written to
        self.columns = torch.zeros(self.values.shape, dtype=torch.int32, device=floor.device)
        self.count = torch.zeros(len(floor), dtype=torch.int64, device=floor.device)

    def add(self, tile: Tensor, first_column: int) -> None:
        """Take what a tile [r, c] of these rows has above their floors.

        One fast pass over its groups' maxima rules most of it out.
        """
        apart = tile.shape[1] // GROUP
        rows, groups = torch.nonzero(_highest(tile) > self.floor[:, None], as_tuple=True)
        floor = self.floor[rows]
        memory = tile.flatten() if tile.stride(1) == 1 else tile.T.flatten()
        place = rows * tile.stride(0) + groups * tile.stride(1)
        for member in range(GROUP):
            values = memory.index_select(0, place + member * apart * tile.stride(1))
            above = torch.nonzero(values > floor).flatten()
            columns = groups[above] + (first_column + member * apart)
            self._take(rows[above], columns, values[above])

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
        places = torch.arange(len(rows), device=rows.device)
        places += (self.count - (counts.cumsum(0) - counts))[rows]
        self.values[rows, places], self.columns[rows, places] = values, columns.int()
        self.count += counts

    def best(self) -> Best:
        """The best `wanted` of each row; -inf where there are fewer."""
        unused = torch.arange(self.values.shape[1], device=self.count.device) >= self.count[:, None]
        top = self.values.masked_fill_(unused, -torch.inf).topk(self.wanted, dim=1)
        return Best(top.values, self.columns.gather(1, top.indices).long())
