"""Embeddings and labels to retrieval scores, in one pass and exactly.

P@1, R-precision and MAP@R are those of Musgrave et al. 2020 (arXiv 2003.08505, section 3.2). R@K
(recall at K) is the share of queries with a positive among the first K neighbours.

Neighbours are ordered by Euclidean distance, ties by index. For unit-length rows this is the order
of cosine similarity. A query is left out of its own neighbours by its index, so that a duplicate of
it stays. Queries without a positive are not scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.measure.neighbours import hits_within, nearest


def retrieval_scores(
    embeddings: Tensor,
    labels: Tensor,
    *,
    recall_at: Sequence[int] = (1,),
    is_query: Tensor | None = None,
) -> dict[str, float]:
    """The scores of `neighbour_lists` with the same arguments, as shares of 1."""
    return neighbour_lists(embeddings, labels, recall_at=recall_at, is_query=is_query).scores()


@dataclass(frozen=True)
class NeighbourLists:
    """Neighbour lists of the queries that have a positive.

    hits [q, k]: whether the i-th neighbour is a positive; k is the largest number of positives of a
    query. relevant [q]: each query's number of positives. labels [q]: each query's class.
    recall_at: every K to score. recall_beyond: the R@K of each K greater than k.
    """

    hits: Tensor
    relevant: Tensor
    labels: Tensor
    recall_at: Sequence[int]
    recall_beyond: Mapping[int, float]

    def scores(self) -> dict[str, float]:
        """The means over all queries; keys as `scores_of_lists`."""
        short = [count for count in self.recall_at if count not in self.recall_beyond]
        scores = scores_of_lists(self.hits, self.relevant, short)
        queries = scores.pop("queries")
        scores |= {f"recall_at_{count}": share for count, share in self.recall_beyond.items()}
        return scores | {"queries": queries}


def neighbour_lists(
    embeddings: Tensor,
    labels: Tensor,
    *,
    recall_at: Sequence[int] = (1,),
    is_query: Tensor | None = None,
) -> NeighbourLists:
    """Neighbour lists of embeddings [n, D] with labels [n], long enough for every score.

    Without `is_query` [n] every image is a query, and all others are its gallery. With it the
    marked images are the queries, and the rest is the gallery. ValueError if a value is not finite
    or if no query has a positive.
    """
    if not all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(embeddings)):
        raise ValueError("embeddings hold NaN or infinite values and cannot be scored")
    device = embeddings.device
    labels = labels.to(device)
    if is_query is None:
        queries, gallery = embeddings, embeddings
        query_labels, gallery_labels = labels, labels
        excluded: Tensor | None = torch.arange(len(labels), device=device)
    else:
        is_query = is_query.to(device)
        queries, gallery, excluded = embeddings[is_query], embeddings[~is_query], None
        query_labels, gallery_labels = labels[is_query], labels[~is_query]
    sizes = torch.bincount(gallery_labels, minlength=int(labels.max()) + 1)
    relevant = sizes[query_labels] - (0 if excluded is None else 1)
    has_positive = relevant > 0
    if not bool(has_positive.any()):
        raise ValueError("no query has a positive: every class holds a single image")
    k = int(relevant.max())
    lists = nearest(queries, gallery, k, excluded=excluded)[has_positive]
    scored_labels = query_labels[has_positive]
    hits = gallery_labels[lists] == scored_labels[:, None]
    counts_beyond = [count for count in recall_at if count > k]
    recall_beyond = {}
    if counts_beyond:
        missed = torch.nonzero(has_positive).flatten()[~hits.any(1)]
        late_hits = hits_within(
            queries[missed],
            gallery,
            lambda block: query_labels[missed[block], None] == gallery_labels,
            counts=counts_beyond,
            excluded=None if excluded is None else excluded[missed],
        )
        shares = (len(hits) - len(missed) + late_hits.sum(0)).double() / len(hits)
        recall_beyond = dict(zip(counts_beyond, shares.tolist(), strict=True))
    return NeighbourLists(hits, relevant[has_positive], scored_labels, recall_at, recall_beyond)


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
    scores = {name: values.mean() for name, values in _per_query(hits, relevant).items()}
    is_hit = hits.to(torch.float64)
    for k in recall_at:
        scores[f"recall_at_{k}"] = is_hit[:, :k].amax(1).mean()
    return {name: float(value) for name, value in scores.items()} | {"queries": float(len(hits))}


def _per_query(hits: Tensor, relevant: Tensor) -> dict[str, Tensor]:
    """MAP@R, R-precision and P@1 of every query [q]."""
    is_hit = hits.to(torch.float64)
    rank = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    within = (rank <= relevant[:, None]).to(torch.float64)
    positives = relevant.to(torch.float64)
    precision = is_hit.cumsum(1) / rank
    return {
        "map_at_r": (precision * is_hit * within).sum(1) / positives,
        "r_precision": (is_hit * within).sum(1) / positives,
        "precision_at_1": is_hit[:, 0],
    }


def sums_by_class(lists: NeighbourLists) -> dict[str, list[float]]:
    """Per class that has queries, in the order of its label: their number and each score's sum.

    Keys: queries, map_at_r, r_precision, precision_at_1. A score's mean over all queries is the sum
    of its sums divided by the sum of `queries`.
    """
    place = torch.unique(lists.labels, return_inverse=True)[1].cpu()
    sums = {"queries": torch.bincount(place).to(torch.float64)}
    for name, values in _per_query(lists.hits, lists.relevant).items():
        zeros = torch.zeros_like(sums["queries"])
        sums[name] = zeros.index_add(0, place, values.cpu())
    return {name: values.tolist() for name, values in sums.items()}
