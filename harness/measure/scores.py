"""Embeddings and labels to retrieval scores, in one pass and exactly.

P@1, R-precision and MAP@R as Musgrave et al. 2020 (arXiv 2003.08505, section 3.2) define them; R@K
(recall at K) is the share of queries with a positive among the first K. Neighbours are ordered by
Euclidean distance (of unit-length rows: the order of cosine similarity), ties by index; a query is
left out of its own neighbours by its index, so that a duplicate of it is not mistaken for it.
Queries without a positive are not scored.
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
    """Scores of embeddings [n, D] with labels [n], as shares of 1: those of `neighbour_lists`."""
    return neighbour_lists(embeddings, labels, recall_at=recall_at, is_query=is_query).scores()


@dataclass(frozen=True)
class Lists:
    """Neighbour lists of the queries that have a positive.

    hits [q, k]: is the i-th neighbour a positive, k the largest number of positives; relevant [q]:
    how many there are; labels [q]; recall_at: the K asked for, and in `beyond` the share of queries
    with a positive within each K greater than k.
    """

    hits: Tensor
    relevant: Tensor
    labels: Tensor
    recall_at: Sequence[int]
    beyond: Mapping[int, float]

    def scores(self) -> dict[str, float]:
        """The means over all queries; keys as `scores_of_lists`."""
        short = [count for count in self.recall_at if count not in self.beyond]
        scores = scores_of_lists(self.hits, self.relevant, short)
        queries = scores.pop("queries")
        scores |= {f"recall_at_{count}": share for count, share in self.beyond.items()}
        return scores | {"queries": queries}


def neighbour_lists(
    embeddings: Tensor,
    labels: Tensor,
    *,
    recall_at: Sequence[int] = (1,),
    is_query: Tensor | None = None,
) -> Lists:
    """Neighbour lists of embeddings [n, D] with labels [n], long enough for every score.

    Without `is_query` every image is a query and all others are its gallery; with it [n] the
    marked ones are queries and the rest is the gallery. ValueError on non-finite values or no query
    at all.
    """
    if not all(bool(torch.isfinite(end)) for end in torch.aminmax(embeddings)):
        raise ValueError("embeddings hold NaN or infinite values and cannot be scored")
    device = embeddings.device
    labels = labels.to(device)
    if is_query is None:
        queries, gallery = embeddings, embeddings
        query_labels, gallery_labels = labels, labels
        own: Tensor | None = torch.arange(len(labels), device=device)
    else:
        marked = is_query.to(device)
        queries, gallery, own = embeddings[marked], embeddings[~marked], None
        query_labels, gallery_labels = labels[marked], labels[~marked]
    sizes = torch.bincount(gallery_labels, minlength=int(labels.max()) + 1)
    relevant = sizes[query_labels] - (0 if own is None else 1)
    asked = relevant > 0
    if not bool(asked.any()):
        raise ValueError("no query has a positive: every class holds a single image")
    k = int(relevant.max())
    lists = nearest(queries, gallery, k, own=own)[asked]
    asking = query_labels[asked]
    hits = gallery_labels[lists] == asking[:, None]
    beyond = [count for count in recall_at if count > k]
    found = {}
    if beyond:
        missed = torch.nonzero(asked).flatten()[~hits.any(1)]
        later = hits_within(
            queries[missed],
            gallery,
            lambda block: query_labels[missed[block], None] == gallery_labels,
            beyond,
            own=None if own is None else own[missed],
        )
        shares = (len(hits) - len(missed) + later.sum(0)).double() / len(hits)
        found = {count: float(share) for count, share in zip(beyond, shares, strict=True)}
    return Lists(hits, relevant[asked], asking, recall_at, found)


def scores_of_lists(
    hits: Tensor, relevant: Tensor, recall_at: Sequence[int] = (1,)
) -> dict[str, float]:
    """Scores of neighbour lists: hits [q, k] (is the i-th neighbour a positive), relevant [q].

    Keys: map_at_r, r_precision, precision_at_1, recall_at_<k>, queries. k must reach the largest
    number of relevant images: a shorter list would change MAP@R.
    """
    if int(relevant.max()) > hits.shape[1] or int(relevant.min()) < 1:
        raise ValueError(
            f"lists of {hits.shape[1]} neighbours for 1 <= R <= {int(relevant.max())} positives: "
            "every list must reach R"
        )
    scores = {name: values.mean() for name, values in _per_query(hits, relevant).items()}
    found = hits.to(torch.float64)
    for k in recall_at:
        scores[f"recall_at_{k}"] = found[:, :k].amax(1).mean()
    return {name: float(value) for name, value in scores.items()} | {"queries": float(len(hits))}


def _per_query(hits: Tensor, relevant: Tensor) -> dict[str, Tensor]:
    """MAP@R, R-precision and P@1 of every query [q]."""
    found = hits.to(torch.float64)
    rank = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    within = (rank <= relevant[:, None]).to(torch.float64)
    positives = relevant.to(torch.float64)
    precision = found.cumsum(1) / rank
    return {
        "map_at_r": (precision * found * within).sum(1) / positives,
        "r_precision": (found * within).sum(1) / positives,
        "precision_at_1": found[:, 0],
    }


def sums_by_class(lists: Lists) -> dict[str, list[float]]:
    """Per class that has queries, in the order of its label: their number and each score's sum.

    Keys: queries, map_at_r, r_precision, precision_at_1; a score's mean over all queries is the sum
    of its sums over that of `queries`.
    """
    place = torch.unique(lists.labels, return_inverse=True)[1].cpu()
    told = {"queries": torch.bincount(place).to(torch.float64)}
    for name, values in _per_query(lists.hits, lists.relevant).items():
        zeros = torch.zeros_like(told["queries"])
        told[name] = zeros.index_add(0, place, values.cpu())
    return {name: values.tolist() for name, values in told.items()}
