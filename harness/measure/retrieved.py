"""Which images a query retrieves, and which queries are the best, the median and the worst."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.measure.galleries import Galleries
from harness.measure.neighbours import nearest

KINDS = ("best", "median", "worst")


def first_neighbours(
    embeddings: Tensor, galleries: Galleries, queries: Tensor, count: int
) -> Tensor:
    """The first neighbours [q, count] of some queries, all as positions in embeddings [n, D].

    -1 stands where a query's gallery has no more images. What a query's gallery leaves out, itself
    above all, is no neighbour.
    """
    rows = galleries.gallery_of(embeddings)
    of_set = torch.bincount(galleries.sets[galleries.gallery], minlength=len(galleries.sets))
    left_out = int(of_set[galleries.sets[queries]].max())
    ranked = min(count + left_out, len(rows))
    neighbours = galleries.gallery[nearest(embeddings[queries], rows, ranked, excluded=None)]
    is_left_out = galleries.sets[neighbours] == galleries.sets[queries][:, None]
    kept_first = is_left_out.sort(dim=1, stable=True).indices
    neighbours = neighbours.masked_fill(is_left_out, -1).gather(1, kept_first)[:, :count]
    return torch.nn.functional.pad(neighbours, (0, count - neighbours.shape[1]), value=-1)


def chosen_queries(scores: Tensor, labels: Tensor, each: int) -> Mapping[str, list[int]]:
    """Positions of the best, the median and the worst queries by scores [q], `each` of every kind.

    No two of a kind are of one class (labels [q]), as far as there are enough classes. Ties go by
    position. No query is of two kinds.
    """
    order = torch.sort(scores, descending=True, stable=True).indices.tolist()
    middle = len(order) // 2
    from_middle = sorted(range(len(order)), key=lambda rank: (abs(rank - middle), rank))
    by_kind = {
        "best": order,
        "worst": order[::-1],
        "median": [order[rank] for rank in from_middle],
    }
    chosen: dict[str, list[int]] = {}
    taken: set[int] = set()
    for kind, candidates in by_kind.items():
        chosen[kind] = _of_unlike_classes(candidates, labels.tolist(), each, taken)
        taken |= set(chosen[kind])
    return {kind: chosen[kind] for kind in KINDS}


def _of_unlike_classes(
    candidates: list[int], labels: list[int], each: int, taken: set[int]
) -> list[int]:
    """The first candidates that are free, one a class; more of a class only where that is few."""
    free = [candidate for candidate in candidates if candidate not in taken]
    first: list[int] = []
    seen: set[int] = set()
    for candidate in free:
        if labels[candidate] not in seen:
            seen.add(labels[candidate])
            first.append(candidate)
    rest = [candidate for candidate in free if candidate not in set(first)]
    return (first + rest)[:each]
