"""The k nearest neighbours of every query: the exact order of float64 at the speed of float32.

A matrix product (harness/measure/candidates.py) proposes k + MARGIN candidates per query, and
harness/measure/settling.py settles their order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from harness.measure.candidates import in_strips, proposals
from harness.measure.products import Strips, frame_of, slack_of
from harness.measure.settling import distinct_rows, nearest_by_differences, settled
from harness.measure.tiles import Best, Proposal
from harness.threads import each_in_a_thread

MARGIN = 8  # extra candidates


def nearest(queries: Tensor, gallery: Tensor, k: int, *, excluded: Tensor | None) -> Tensor:
    """Indices [q, k] of the k nearest gallery rows by Euclidean distance, ties by index.

    queries [q, D], gallery [n, D]; excluded [q]: the gallery row that each query's list leaves out,
    which is the query itself. Fastest where `queries` is `gallery`. TF32 must be off in matrix
    products, as every engine sets it. ValueError if the gallery is too small for k.
    """
    lists = torch.empty(len(queries), k, dtype=torch.int64, device=gallery.device)
    return _lists(queries, gallery, k, excluded=excluded, kind=None, out=lists)


def nearest_kinds(
    queries: Tensor,
    gallery: Tensor,
    k: int,
    kind: Callable[[Tensor, Tensor], Tensor],
    *,
    excluded: Tensor | None,
) -> Tensor:
    """The kinds [q, k] of the neighbours in the lists of `nearest`: int8.

    `kind(some, indices)` gives the kinds of rows indices [b, w] for some queries [b]: [b, w].
    This takes less time than the lists do, because neighbours of one kind at almost the same
    distance need no order.
    """
    kinds = torch.empty(len(queries), k, dtype=torch.int8, device=gallery.device)
    return _lists(queries, gallery, k, excluded=excluded, kind=kind, out=kinds)


@torch.no_grad()
def _lists(
    queries: Tensor,
    gallery: Tensor,
    k: int,
    *,
    excluded: Tensor | None,
    kind: Callable[[Tensor, Tensor], Tensor] | None,
    out: Tensor,
) -> Tensor:
    others = len(gallery) - (excluded is not None)
    if others < k:
        raise ValueError(f"{k} neighbours asked of a gallery of {len(gallery)}")
    if not len(queries):
        return out
    frame = frame_of(queries, gallery)
    wanted = min(k + MARGIN, others)
    distinct = functools.cache(lambda: distinct_rows(gallery))

    def settle(some: Tensor, best: Best) -> None:
        lists = settled(
            queries[some],
            gallery,
            k,
            best=best,
            excluded=None if excluded is None else excluded[some],
            frame=frame,
            kinds=None if kind is None else kind(some, best.indices),
            distinct=distinct,
        )
        out[some] = lists if kind is None else kind(some, lists).to(out.dtype)

    def settle_most(proposal: Proposal) -> Tensor:
        """Settle the queries of a proposal, but for those, returned, of which it falls short."""
        some, best = proposal.queries, proposal.best()
        falls_short = torch.isinf(best.values[:, -1])
        if bool(falls_short.any()):
            enough = ~falls_short
            settle(some[enough], Best(best.values[enough], best.indices[enough]))
        else:
            settle(some, best)
        return some[falls_short]

    first = proposals(queries, gallery, frame, wanted, excluded=excluded)
    short = [rows for rows in each_in_a_thread(settle_most, first, gallery.device) if len(rows)]
    if short:
        again = in_strips(queries, gallery, frame, wanted, excluded=excluded, some=torch.cat(short))
        each_in_a_thread(settle_most, again, gallery.device)
    return out


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
    distinct = functools.cache(lambda: distinct_rows(gallery))
    limits = torch.tensor(list(counts), device=gallery.device)
    strips = Strips(queries, gallery, frame, excluded=None)

    def within(block: slice) -> Tensor:
        is_left_out = left_out(block)
        is_positive = positive(block) & ~is_left_out
        strip = strips.values(block).masked_fill_(is_left_out, -torch.inf)
        nearest_positive = strip.masked_fill(~is_positive, -torch.inf).amax(1, keepdim=True)
        strip.masked_fill_(is_positive, -torch.inf)
        margin = 2 * slack_of(queries[block], frame)[:, None].float()
        surely_nearer = (strip > nearest_positive + margin).sum(1)
        perhaps_nearer = (strip >= nearest_positive - margin).sum(1)
        hits = surely_nearer[:, None] < limits
        doubtful = (hits != (perhaps_nearer[:, None] < limits)).any(1)
        k = min(max(counts) + int(is_left_out.sum(1).max()), len(gallery))
        for rows in torch.split(torch.nonzero(doubtful).flatten(), max(1, len(strip) // 4)):
            some = rows + block.start
            lists = nearest_by_differences(queries, distinct(), k, rows=some, excluded=None)
            rank = (~is_left_out[rows]).gather(1, lists).cumsum(1)
            missed = ~is_positive[rows].gather(1, lists)
            first_hit = rank.masked_fill(missed, len(gallery) + 1).amin(1, keepdim=True)
            hits[rows] = first_hit <= limits
        return hits

    return torch.cat(each_in_a_thread(within, strips.blocks, gallery.device))
