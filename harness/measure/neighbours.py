"""The k nearest neighbours of every query, exactly as float64 orders them, at float32's speed.

A product of matrices (harness/products.py) proposes k + MARGIN candidates a query. Where a bound on
the rounding proves their order, it stands; else their differences are summed in float64; and where
even so something left out might be nearer, all that might be is ordered in that way. The product is
taken in float32, but in float64 where the gallery is so small that ordering candidates costs more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from harness.measure import candidates
from harness.measure.candidates import Best, Frame, best_among, frame_of, slack_of, strips

MARGIN = 8  # extra candidates
SMALL = 512  # gallery rows per candidate up to which float64 is the faster product
RANK_BYTES = 4 * 2**20  # of float64 differences, few enough to stay in a processor's cache


class _Distinct(NamedTuple):
    """A gallery whose equal rows are held once."""

    rows: Tensor  # [u, D] float64
    place: Tensor  # [n] int64: which of them a gallery row is


@torch.no_grad()
def nearest(queries: Tensor, gallery: Tensor, k: int, *, own: Tensor | None) -> Tensor:
    """Indices [q, k] of the k nearest gallery rows by Euclidean distance, ties by index.

    queries [q, D], gallery [n, D]; own [q] is each query's position in the gallery, left out.
    Fastest where `queries` is `gallery`. TF32 must be off, as engines.prepare leaves it.
    ValueError if the gallery is too small for k.
    """
    n = len(gallery)
    others = n - (own is not None)
    if others < k:
        raise ValueError(f"{k} neighbours asked of a gallery of {n}")
    wanted = min(k + MARGIN, others)
    frame = frame_of(queries, gallery, torch.float64 if n <= SMALL * wanted else torch.float32)
    everyone = torch.arange(n, device=gallery.device)
    symmetric = queries is gallery and own is not None and torch.equal(own, everyone)
    if symmetric and wanted * candidates.GROUP <= candidates.TILE:
        best = best_among(gallery, frame, wanted)
    else:
        tops = [strip.topk(wanted) for _, strip in strips(queries, gallery, frame, own)]
        best = Best(*(torch.cat(parts) for parts in zip(*tops, strict=True)))
    lists = best.indices[:, :k].clone()
    slack = slack_of(queries, frame)
    gaps = best.values.double().diff(dim=1)[:, :k].neg()
    row = torch.nonzero((gaps <= 2 * slack[:, None]).any(1)).flatten()
    lists[row], squared = _ranked(queries, gallery, row, best.indices[row], k)
    least = -0.5 * squared[:, -1] / frame.scale**2 - slack[row]
    doubtful = best.values[row, -1] >= least
    if wanted < others and bool(doubtful.any()):
        row, least = row[doubtful], least[doubtful]
        lists[row] = _among_the_possible(queries, gallery, k, row, own, frame, least)
    return lists


@torch.no_grad()
def hits_within(
    queries: Tensor,
    gallery: Tensor,
    positive: Callable[[slice], Tensor],
    counts: Sequence[int],
    *,
    own: Tensor | None,
) -> Tensor:
    """Whether one of the first K neighbours is positive, for each K of `counts`: bool [q, K's].

    As `nearest` would tell, but without ranking K neighbours, which is slow for K in the hundreds:
    what is nearer than the nearest positive is counted in float32, and a query whose count may lie
    on either side of a K for all that is known of the rounding is ranked in float64.
    `positive(block)` marks [b, n] what is positive for a block of queries; each needs one at least.
    """
    frame = frame_of(queries, gallery, torch.float32)
    distinct = functools.cache(lambda: _distinct(gallery))
    told = torch.empty(len(queries), len(counts), dtype=torch.bool, device=gallery.device)
    limits = torch.tensor(list(counts), device=gallery.device)
    k = min(max(counts), len(gallery) - (own is not None))
    for block, strip in strips(queries, gallery, frame, own):
        marked = positive(block)
        if own is not None:
            marked.scatter_(1, own[block, None], False)
        nearest_positive = strip.masked_fill(~marked, -torch.inf).amax(1, keepdim=True)
        strip.masked_fill_(marked, -torch.inf)
        margin = 2 * slack_of(queries[block], frame)[:, None].float()
        surely = (strip > nearest_positive + margin).sum(1)
        perhaps = (strip >= nearest_positive - margin).sum(1)
        told[block] = surely[:, None] < limits
        open_ = (told[block] != (perhaps[:, None] < limits)).any(1)
        for row in torch.split(torch.nonzero(open_).flatten(), max(1, len(strip) // 4)):
            lists = _nearest_by_differences(queries, distinct(), k, row + block.start, own)
            hits = marked[row].gather(1, lists).cummax(1).values
            told[row + block.start] = hits[:, limits.clamp(max=k) - 1]
    return told


def _ranked(
    queries: Tensor, gallery: Tensor, rows: Tensor, candidates: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """The nearest k of candidates [r, w] of some queries, and their squared distances (float64)."""
    found = candidates.new_empty(len(rows), k)
    squared = torch.empty(len(rows), k, dtype=torch.float64, device=rows.device)
    for part in torch.split(
        torch.arange(len(rows), device=rows.device),
        max(1, RANK_BYTES // (8 * candidates.shape[1] * gallery.shape[1])),
    ):
        there = candidates[part].sort(dim=1).values
        wide = gallery.index_select(0, there.flatten()).double()
        wide = wide.view(*there.shape, gallery.shape[1]).sub_(queries[rows[part], None])
        order = wide.square_().sum(2).sort(dim=1, stable=True)
        found[part], squared[part] = there.gather(1, order.indices[:, :k]), order.values[:, :k]
    return found, squared


def _among_the_possible(
    queries: Tensor,
    gallery: Tensor,
    k: int,
    rows: Tensor,
    own: Tensor | None,
    frame: Frame,
    least: Tensor,
) -> Tensor:
    """Lists [r, k] of some queries from all rows whose value in the product is at least least [r].

    Where that is a good part of the gallery (a network that collapsed), by all differences.
    """
    lists, distinct = [], functools.cache(lambda: _distinct(gallery))
    mine = None if own is None else own[rows]
    for block, strip in strips(queries[rows], gallery, frame, mine):
        most = int((strip >= least[block, None]).sum(1).max())
        if most * 8 <= len(gallery):
            lists.append(_ranked(queries, gallery, rows[block], strip.topk(most).indices, k)[0])
        else:
            lists.append(_nearest_by_differences(queries, distinct(), k, rows[block], own))
    return torch.cat(lists)


def _distinct(gallery: Tensor) -> _Distinct:
    rows, place = torch.unique(gallery, dim=0, return_inverse=True)
    return _Distinct(rows.double(), place)


def _nearest_by_differences(
    queries: Tensor, gallery: _Distinct, k: int, rows: Tensor, own: Tensor | None
) -> Tensor:
    """Lists [r, k] of some queries from the differences to every row of the gallery."""
    lists = []
    for part in torch.split(rows, max(1, candidates.STRIP_BYTES // (8 * len(gallery.place)))):
        some, way = queries[part].double(), "donot_use_mm_for_euclid_dist"
        distance = torch.cdist(some, gallery.rows, compute_mode=way)[:, gallery.place]
        if own is not None:
            distance.scatter_(1, own[part, None], torch.inf)
        furthest = distance.topk(k, largest=False).values[:, -1:]
        nearer, level = distance < furthest, distance == furthest
        taken = nearer | (level & (level.cumsum(1) <= k - nearer.sum(1, keepdim=True)))
        found = taken.nonzero()[:, 1].view(len(part), k)  # by index
        order = distance.gather(1, found).argsort(stable=True)
        lists.append(found.gather(1, order))
    return torch.cat(lists)
