"""The k nearest neighbours of every query: the exact order of float64 at the speed of float32.

1. A matrix product (harness/measure/candidates.py) proposes k + MARGIN candidates per query.
2. Where a bound on the rounding error proves the candidates' order, that order stands.
3. Runs of candidates that it leaves open are ordered by their differences: rounded to float32, then
   in float64 what that leaves open.
4. Lists with equal distances are ordered whole, ties by index.
5. Where a row outside the candidates may still be nearer, all possible rows are ordered that way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.measure import candidates
from harness.measure.candidates import Best, Frame, best_among, frame_of, slack_of, strips

MARGIN = 8  # extra candidates
RANK_BYTES = 4 * 2**20  # of float64 differences, few enough to stay in a processor's cache
DIFFERENCE_BYTES = 2**20  # of others
FAR = 16.0  # above any squared distance of scaled rows


class _DistinctRows(NamedTuple):
    """A gallery with equal rows held once."""

    rows: Tensor  # [u, D] float64
    row_of: Tensor  # [n] int64: which of them a gallery row is


@torch.no_grad()
def nearest(queries: Tensor, gallery: Tensor, k: int, *, excluded: Tensor | None) -> Tensor:
    """Indices [q, k] of the k nearest gallery rows by Euclidean distance, ties by index.

    queries [q, D], gallery [n, D]; excluded [q]: the gallery row that each query's list leaves out,
    which is the query itself. Fastest where `queries` is `gallery`. TF32 must be off in matrix
    products, as every engine sets it. ValueError if the gallery is too small for k.
    """
    n = len(gallery)
    others = n - (excluded is not None)
    if others < k:
        raise ValueError(f"{k} neighbours asked of a gallery of {n}")
    wanted = min(k + MARGIN, others)
    frame = frame_of(queries, gallery)
    everyone = torch.arange(n, device=gallery.device)
    symmetric = queries is gallery and excluded is not None and torch.equal(excluded, everyone)
    if symmetric and wanted * candidates.GROUP <= candidates.TILE:
        best = best_among(gallery, frame, wanted)
    else:
        tops = [
            strip.topk(wanted) for _, strip in strips(queries, gallery, frame, excluded=excluded)
        ]
        best = Best(*(torch.cat(parts) for parts in zip(*tops, strict=True)))
    slack = slack_of(queries, frame)
    close = best.values.double().diff(dim=1).neg() <= 2 * slack[:, None]  # to the next one
    close[:, k - 1 :] = close[:, k - 1 :].int().cumprod(dim=1).bool()  # behind k one run counts
    reaches_the_end = close[:, -1:].any(1) & (wanted < others)
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
    if wanted < others and bool(beyond.any()):
        rows, floor = rows[beyond], floor[beyond]
        lists[rows] = _nearest_above(
            queries, gallery, k, rows=rows, excluded=excluded, frame=frame, floor=floor
        )
    return lists


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


@torch.no_grad()
def hits_within(
    queries: Tensor,
    gallery: Tensor,
    positive: Callable[[slice], Tensor],
    left_out: Callable[[slice], Tensor],
    *,
    counts: Sequence[int],
) -> Tensor:
    """Whether one of the first K neighbours is positive, for each K of `counts`: bool [q, K's].

    For a block of queries `left_out(block)` marks [b, n] what their gallery leaves out, and
    `positive(block)` the positives; those that are left out count as neither. Each query needs one
    other positive at least. The answer is that of the lists of `nearest`. But K neighbours are not
    ranked, which is slow for K in the hundreds. The rows nearer than the nearest positive are
    counted in float32 instead. A query is ranked in float64 only if, within the rounding error, its
    count may lie on either side of a K.
    """
    frame = frame_of(queries, gallery)
    distinct = functools.cache(lambda: _distinct(gallery))
    hits = torch.empty(len(queries), len(counts), dtype=torch.bool, device=gallery.device)
    limits = torch.tensor(list(counts), device=gallery.device)
    for block, strip in strips(queries, gallery, frame, excluded=None):
        is_left_out = left_out(block)
        is_positive = positive(block) & ~is_left_out
        strip.masked_fill_(is_left_out, -torch.inf)
        nearest_positive = strip.masked_fill(~is_positive, -torch.inf).amax(1, keepdim=True)
        strip.masked_fill_(is_positive, -torch.inf)
        margin = 2 * slack_of(queries[block], frame)[:, None].float()
        surely_nearer = (strip > nearest_positive + margin).sum(1)
        perhaps_nearer = (strip >= nearest_positive - margin).sum(1)
        hits[block] = surely_nearer[:, None] < limits
        doubtful = (hits[block] != (perhaps_nearer[:, None] < limits)).any(1)
        k = min(max(counts) + int(is_left_out.sum(1).max()), len(gallery))
        for rows in torch.split(torch.nonzero(doubtful).flatten(), max(1, len(strip) // 4)):
            queried = rows + block.start
            lists = _nearest_by_differences(queries, distinct(), k, rows=queried, excluded=None)
            rank = (~is_left_out[rows]).gather(1, lists).cumsum(1)
            missed = ~is_positive[rows].gather(1, lists)
            first_hit = rank.masked_fill(missed, len(gallery) + 1).amin(1, keepdim=True)
            hits[queried] = first_hit <= limits
    return hits


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
) -> Tensor:
    """Lists [r, k] of some queries, from all gallery rows with a product of at least floor [r].

    Where these are a good part of the gallery (a collapsed network), all differences are taken.
    """
    lists, distinct = [], functools.cache(lambda: _distinct(gallery))
    excluded_here = None if excluded is None else excluded[rows]
    for block, strip in strips(queries[rows], gallery, frame, excluded=excluded_here):
        most = int((strip >= floor[block, None]).sum(1).max())
        some = rows[block]
        if most * 8 <= len(gallery):
            proposals = strip.topk(most).indices
            lists.append(_ranked(queries, gallery, k, rows=some, proposals=proposals)[0])
        else:
            lists.append(
                _nearest_by_differences(queries, distinct(), k, rows=some, excluded=excluded)
            )
    return torch.cat(lists)


def _distinct(gallery: Tensor) -> _DistinctRows:
    rows, row_of = torch.unique(gallery, dim=0, return_inverse=True)
    return _DistinctRows(rows.double(), row_of)


def _nearest_by_differences(
    queries: Tensor, gallery: _DistinctRows, k: int, *, rows: Tensor, excluded: Tensor | None
) -> Tensor:
    """Lists [r, k] of some queries from the differences to every row of the gallery."""
    lists = []
    for part in torch.split(rows, max(1, candidates.STRIP_BYTES // (8 * len(gallery.row_of)))):
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
