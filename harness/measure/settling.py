"""The exact order of candidates: what the rounding of float32 products leaves open.

1. Where a bound on the rounding error proves the candidates' order, that order stands.
2. Runs of candidates that it leaves open are ordered by their differences: rounded to float32, then
   in float64 what that leaves open.
3. Lists with equal distances are ordered whole, ties by index.
4. Where a row outside the candidates may still be nearer, all possible rows are ordered that way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.measure.products import Frame, Strips, slack_of
from harness.measure.tiles import Best

RANK_BYTES = 4 * 2**20  # of float64 differences, few enough to stay in a processor's cache
DIFFERENCE_BYTES = 2**20  # of others
DISTANCE_BYTES = 32 * 2**20  # of float64 distances to a whole gallery
FAR = 16.0  # above any squared distance of scaled rows


class DistinctRows(NamedTuple):
    """What `distinct_rows` gives."""

    rows: Tensor  # [u, D] float64
    row_of: Tensor  # [n] int64: which of them a gallery row is


def settled(
    queries: Tensor,
    gallery: Tensor,
    k: int,
    *,
    best: Best,
    excluded: Tensor | None,
    frame: Frame,
    kinds: Tensor | None,
    distinct: Callable[[], DistinctRows],
) -> Tensor:
    """Lists [q, k] of some queries, from their candidates and these candidates' kinds [q, w].

    `distinct` gives the gallery's distinct rows, which only a collapsed network's lists need.
    """
    wanted = best.indices.shape[1]
    is_everything = wanted == len(gallery) - (excluded is not None)
    slack = slack_of(queries, frame)
    close = best.values.double().diff(dim=1).neg() <= 2 * slack[:, None]  # to the next one
    close[:, k - 1 :] = close[:, k - 1 :].int().cumprod(dim=1).bool()  # behind k one run counts
    reaches_the_end = close[:, -1:].any(1) & (not is_everything)
    if kinds is not None:
        close &= _mixed(close, kinds)
    indices = best.indices
    for dtype in (torch.float32, torch.float64):
        if dtype == torch.promote_types(dtype, gallery.dtype):
            indices, close = _by_differences(
                queries, gallery, indices, close=close, scale=frame.scale, dtype=dtype
            )
    lists, is_open = indices[:, :k].clone(), close.any(1) | reaches_the_end
    rows = torch.nonzero(is_open).flatten()
    lists[rows], squared = _ranked(queries, gallery, k, rows=rows, proposals=best.indices[rows])
    floor = -0.5 * squared[:, -1] / frame.scale**2 - slack[rows]
    beyond = best.values[rows, -1] >= floor
    if not is_everything and bool(beyond.any()):
        rows, floor = rows[beyond], floor[beyond]
        lists[rows] = _nearest_above(
            queries,
            gallery,
            k,
            rows=rows,
            excluded=excluded,
            frame=frame,
            floor=floor,
            distinct=distinct,
        )
    return lists


def _mixed(close: Tensor, kinds: Tensor) -> Tensor:
    """Which of close [q, w - 1] belong to a run of candidates of more than one kind."""
    run = F.pad((~close).cumsum(1), (1, 0))
    unlike = close & (kinds.diff(dim=1) != 0)
    mixed = torch.zeros(kinds.shape, dtype=torch.int8, device=kinds.device)
    mixed.scatter_reduce_(1, run[:, 1:], unlike.to(torch.int8), "amax")
    return mixed.gather(1, run[:, 1:]).bool()


def _by_differences(
    queries: Tensor,
    gallery: Tensor,
    indices: Tensor,
    *,
    close: Tensor,
    scale: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Candidates [q, w] with each run of close ones in the order of its squared differences.

    `close` [q, w - 1]: which candidates may have to change places with the next one, in any run.
    The second result says the same of the new order. `scale` is that of the frame. Differences and
    their squares are rounded to `dtype`, so a sum, which is not, is wrong by 1.5 of its steps at
    most.
    """
    if not bool(close.any()):
        return indices, close
    in_run = F.pad(close, (0, 1)) | F.pad(close, (1, 0))
    rows, places = torch.nonzero(in_run, as_tuple=True)
    columns = indices[rows, places]
    sums = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    step = DIFFERENCE_BYTES // (dtype.itemsize * gallery.shape[1]) + 1
    for out, some, others in zip(
        *(torch.split(each, step) for each in (sums, rows, columns)), strict=True
    ):
        differences = queries.index_select(0, some).to(dtype)
        differences -= gallery.index_select(0, others)
        if scale != 1:
            differences /= scale
        torch.sum(differences.square_(), 1, dtype=torch.float64, out=out)
    squared = torch.zeros(indices.shape, dtype=torch.float64, device=rows.device)
    squared[rows, places] = sums
    order = (squared + FAR * F.pad((~close).cumsum(1), (1, 0))).argsort(dim=1)
    squared = squared.gather(1, order)
    rounding = torch.finfo(dtype)
    bound = 4 * rounding.eps * squared[:, 1:] + gallery.shape[1] * rounding.tiny
    return indices.gather(1, order), close & (squared.diff(dim=1) <= bound)


def _ranked(
    queries: Tensor, gallery: Tensor, k: int, *, rows: Tensor, proposals: Tensor
) -> tuple[Tensor, Tensor]:
    """The nearest k of the proposals [r, w] of some queries, and their squared distances (float64).

    `rows` [r] are the indices of these queries.
    """
    lists = proposals.new_empty(len(rows), k)
    squared = torch.empty(len(rows), k, dtype=torch.float64, device=rows.device)
    for part in torch.split(
        torch.arange(len(rows), device=rows.device),
        max(1, RANK_BYTES // (8 * proposals.shape[1] * gallery.shape[1])),
    ):
        indices = proposals[part].sort(dim=1).values  # a stable sort then orders ties by index
        differences = gallery.index_select(0, indices.flatten()).double()
        differences = differences.view(*indices.shape, gallery.shape[1])
        differences = differences.sub_(queries[rows[part], None])
        order = differences.square_().sum(2).sort(dim=1, stable=True)
        lists[part], squared[part] = indices.gather(1, order.indices[:, :k]), order.values[:, :k]
    return lists, squared


def _nearest_above(
    queries: Tensor,
    gallery: Tensor,
    k: int,
    *,
    rows: Tensor,
    excluded: Tensor | None,
    frame: Frame,
    floor: Tensor,
    distinct: Callable[[], DistinctRows],
) -> Tensor:
    """Lists [r, k] of some queries, from all gallery rows with a product of at least floor [r].

    Where these are a good part of the gallery (a collapsed network), all differences are taken.
    """
    lists = []
    excluded_here = None if excluded is None else excluded[rows]
    strips = Strips(queries[rows], gallery, frame, excluded=excluded_here)
    for block in strips.blocks:
        strip = strips.values(block)
        most = int((strip >= floor[block, None]).sum(1).max())
        some = rows[block]
        if most * 8 <= len(gallery):
            proposals = strip.topk(most).indices
            lists.append(_ranked(queries, gallery, k, rows=some, proposals=proposals)[0])
        else:
            lists.append(
                nearest_by_differences(queries, distinct(), k, rows=some, excluded=excluded)
            )
    return torch.cat(lists)


def distinct_rows(gallery: Tensor) -> DistinctRows:
    """A gallery [n, D] with its equal rows held once; of a collapsed network these are few."""
    rows, row_of = torch.unique(gallery, dim=0, return_inverse=True)
    return DistinctRows(rows.double(), row_of)


def nearest_by_differences(
    queries: Tensor, gallery: DistinctRows, k: int, *, rows: Tensor, excluded: Tensor | None
) -> Tensor:
    """Lists [r, k] of some queries from the differences to every row of the gallery."""
    lists = []
    for part in torch.split(rows, max(1, DISTANCE_BYTES // (8 * len(gallery.row_of)))):
        by_differences = "donot_use_mm_for_euclid_dist"
        distance = torch.cdist(queries[part].double(), gallery.rows, compute_mode=by_differences)
        distance = distance[:, gallery.row_of]
        if excluded is not None:
            distance.scatter_(1, excluded[part, None], torch.inf)
        furthest = distance.topk(k, largest=False).values[:, -1:]
        nearer, tied = distance < furthest, distance == furthest
        taken = nearer | (tied & (tied.cumsum(1) <= k - nearer.sum(1, keepdim=True)))
        indices = taken.nonzero()[:, 1].view(len(part), k)  # ascending
        order = distance.gather(1, indices).argsort(stable=True)
        lists.append(indices.gather(1, order))
    return torch.cat(lists)
