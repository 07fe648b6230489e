"""Embeddings and labels to retrieval scores, in one pass and exactly.

P@1, R-precision and MAP@R are those of Musgrave et al. 2020 (arXiv 2003.08505, section 3.2). R@K
(recall at K) is the share of queries with a positive among the first K neighbours.

Neighbours are ordered by Euclidean distance, ties by index. For unit-length rows this is the order
of cosine similarity. A query is left out of its own neighbours by its index, so that a duplicate of
it stays; harness/measure/galleries.py says what else a query's gallery leaves out. Queries without
a positive are not scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.measure.galleries import Galleries, galleries_of
from harness.measure.neighbours import hits_within, nearest_kinds

LONG = 200  # neighbours a query up to which all queries are ranked at once, which is faster
ENTRIES = 2**23  # of longer lists that are held at once
SCORED = 2**17  # entries of lists that are scored at once, few enough to stay in a cache
LEFT_OUT = 2  # the kind of what a query's gallery leaves out; of a positive it is 1
FEW_MORE = 8  # neighbours that make a list longer for R@K at less cost than `hits_within` has


def retrieval_scores(
    embeddings: Tensor,
    labels: Tensor,
    *,
    recall_at: Sequence[int] = (1,),
    is_query: Tensor | None = None,
    is_gallery: Tensor | None = None,
    groups: Tensor | None = None,
) -> dict[str, float]:
    """The scores of `neighbour_lists` with the same arguments, as shares of 1."""
    return neighbour_lists(
        embeddings,
        labels,
        recall_at=recall_at,
        is_query=is_query,
        is_gallery=is_gallery,
        groups=groups,
    ).scores()


@dataclass(frozen=True)
class NeighbourLists:
    """Neighbour lists of the queries that have a positive.

    hits [q, k]: whether the i-th neighbour is a positive; k is the largest number of positives of a
    query. A list that ends before k, because its gallery does, goes on with no hits. relevant [q]:
    each query's number of positives. labels [q]: each query's class. recall_at: every K to score.
    recall_beyond: for each K greater than k, whether one of the first K is a positive [q].
    """

    hits: Tensor
    relevant: Tensor
    labels: Tensor
    recall_at: Sequence[int]
    recall_beyond: Mapping[int, Tensor]

    def scores(self) -> dict[str, float]:
        """The means over all queries; keys as `scores_of_lists`."""
        scores = {name: float(values.mean()) for name, values in self.by_query().items()}
        return scores | {"queries": float(len(self.hits))}

    def by_query(self) -> dict[str, Tensor]:
        """Every score of every query [q], float64; keys as `scores_of_lists`, without queries."""
        short = [count for count in self.recall_at if count not in self.recall_beyond]
        late = {f"recall_at_{k}": hits.double() for k, hits in self.recall_beyond.items()}
        return _per_query(self.hits, self.relevant, short) | late


def neighbour_lists(
    embeddings: Tensor,
    labels: Tensor,
    *,
    recall_at: Sequence[int] = (1,),
    is_query: Tensor | None = None,
    is_gallery: Tensor | None = None,
    groups: Tensor | None = None,
) -> NeighbourLists:
    """Neighbour lists of embeddings [n, D] with labels [n], long enough for every score.

    `is_query`, `is_gallery` and `groups`, each [n], are as in `galleries_of`: without them every
    image is a query, and all others are its gallery. ValueError if a value is not finite or if no
    query has a positive.
    """
    if not all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(embeddings)):
        raise ValueError("embeddings hold NaN or infinite values and cannot be scored")
    galleries = galleries_of(
        labels, is_query=is_query, is_gallery=is_gallery, groups=groups, device=embeddings.device
    )
    has_positive = galleries.has_positive
    if not bool(has_positive.any()):
        raise ValueError(
            "no query has a positive: every class holds a single image, or no image in the "
            "gallery of its queries"
        )
    queries, relevant = galleries.queries[has_positive], galleries.relevant[has_positive]
    k = int(galleries.relevant.max())
    hits = _hits(embeddings, galleries, max(k, *(c for c in recall_at if c <= k + FEW_MORE), 0))
    recall_beyond = {count: hits[:, :count].any(1) for count in recall_at if count > k}
    beyond = [count for count in recall_at if count > hits.shape[1]]
    missed = torch.nonzero(~hits.any(1)).flatten()
    if beyond and len(missed):
        late_hits = _late_hits(embeddings, galleries, queries[missed], beyond)
        for count, late in zip(beyond, late_hits.T, strict=True):
            recall_beyond[count][missed] = late
    labels = galleries.labels[queries]
    return NeighbourLists(hits[:, :k], relevant, labels, recall_at, recall_beyond)


def _hits(embeddings: Tensor, galleries: Galleries, k: int) -> Tensor:
    """Whether the first k neighbours of each query with a positive are positives: bool [q, k].

    What a query's gallery leaves out is ranked too, and then taken from its list.
    """
    rows, has_positive = galleries.gallery_of(embeddings), galleries.has_positive
    symmetric = galleries.symmetric  # `nearest` itself leaves the query out then
    left_out = int(galleries.left_out[has_positive].max()) - symmetric
    ranked = min(k + left_out, len(rows) - symmetric)
    parts, everyone = [], torch.arange(len(galleries.queries), device=rows.device)
    labels, sets = galleries.labels[galleries.gallery], galleries.sets[galleries.gallery]
    for block in torch.split(everyone, len(everyone) if ranked <= LONG else ENTRIES // ranked + 1):
        queries = galleries.queries[block]

        def kind(some: Tensor, neighbours: Tensor, queries: Tensor = queries) -> Tensor:
            images = queries[some, None]
            kinds = (labels[neighbours] == galleries.labels[images]).to(torch.int8)
            if left_out:
                kinds[sets[neighbours] == galleries.sets[images]] = LEFT_OUT
            return kinds

        whole = symmetric and len(block) == len(rows)
        kinds = nearest_kinds(
            rows if whole else embeddings[queries],
            rows,
            ranked,
            kind,
            excluded=block if symmetric else None,
        )
        hits = kinds == 1
        if left_out:
            kept_first = (kinds == LEFT_OUT).sort(dim=1, stable=True).indices[:, :k]
            hits = hits.gather(1, kept_first)
        parts.append(F.pad(hits, (0, k - hits.shape[1])))
    return torch.cat(parts)[has_positive]


def _late_hits(
    embeddings: Tensor, galleries: Galleries, queries: Tensor, counts: Sequence[int]
) -> Tensor:
    """Whether one of the first K neighbours is positive, for each K of `counts`: bool [q, K's]."""
    labels, sets, gallery = galleries.labels, galleries.sets, galleries.gallery
    return hits_within(
        embeddings[queries],
        galleries.gallery_of(embeddings),
        lambda block: labels[queries[block], None] == labels[gallery],
        lambda block: sets[queries[block], None] == sets[gallery],
        counts=counts,
    )


def scores_of_lists(
    hits: Tensor, relevant: Tensor, recall_at: Sequence[int] = (1,)
) -> dict[str, float]:
    """Scores of neighbour lists, given as `NeighbourLists` holds them: hits [q, k], relevant [q].

    Keys: map_at_r, r_precision, precision_at_1, recall_at_<k>, queries. ValueError if k is below
    the largest number of relevant images: shorter lists would change MAP@R.
    """
    if int(relevant.max()) > hits.shape[1] or int(relevant.min()) < 1:
        raise ValueError(
            f"lists of {hits.shape[1]} neighbours for 1 <= R <= {int(relevant.max())} positives: "
            "every list must reach R"
        )
    by_query = _per_query(hits, relevant, recall_at)
    scores = {name: float(values.mean()) for name, values in by_query.items()}
    return scores | {"queries": float(len(hits))}


def _per_query(hits: Tensor, relevant: Tensor, recall_at: Sequence[int] = ()) -> dict[str, Tensor]:
    """MAP@R, R-precision, P@1 and R@K of every query [q], float64."""
    rank = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    rows = SCORED // hits.shape[1] + 1  # at once
    parts = []
    for some, positives in zip(torch.split(hits, rows), torch.split(relevant, rows), strict=True):
        is_hit = some.to(torch.float64)
        within = (rank <= positives[:, None]).to(torch.float64)
        precision = is_hit.cumsum(1) / rank
        scores = {
            "map_at_r": (precision * is_hit * within).sum(1) / positives,
            "r_precision": (is_hit * within).sum(1) / positives,
            "precision_at_1": is_hit[:, 0],
        }
        parts.append(scores | {f"recall_at_{k}": is_hit[:, :k].amax(1) for k in recall_at})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def sums_by_class(lists: NeighbourLists, *, recall: bool = False) -> dict[str, list[float]]:
    """Per class that has queries, in the order of its label: their number and each score's sum.

    Keys: queries, map_at_r, r_precision, precision_at_1, with `recall` every recall_at_<k> too. A
    score's mean over all queries is the sum of its sums divided by the sum of `queries`.
    """
    scores = lists.by_query() if recall else _per_query(lists.hits, lists.relevant)
    place = torch.unique(lists.labels, return_inverse=True)[1].cpu()
    sums = {"queries": torch.bincount(place).to(torch.float64)}
    for name, values in scores.items():
        zeros = torch.zeros_like(sums["queries"])
        sums[name] = zeros.index_add(0, place, values.cpu())
    return {name: values.tolist() for name, values in sums.items()}
