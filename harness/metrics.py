"""Embeddings and labels to retrieval scores, in one pass and exactly.

P@1, R-precision and MAP@R as Musgrave et al. 2020 (arXiv 2003.08505, section 3.2) define them; R@K
(recall at K) is the share of queries with a positive among the first K. Neighbours are ordered by
Euclidean distance (of unit-length rows: the order of cosine similarity), ties by index; a query is
left out of its own neighbours by its index, so that a duplicate of it is not mistaken for it.
Queries without a positive are not scored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.neighbours import hits_within, nearest


def retrieval_scores(
    embeddings: Tensor,
    labels: Tensor,
    *,
    recall_at: Sequence[int] = (1,),
    is_query: Tensor | None = None,
) -> dict[str, float]:
    """Scores of embeddings [n, D] with labels [n], as shares of 1.

    Without `is_query` every image is a query and all others are its gallery; with it [n] the
    marked ones are queries and the rest is the gallery. Keys: map_at_r, r_precision,
    precision_at_1, recall_at_<k>, queries. ValueError on non-finite values or no query at all.
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
    hits = gallery_labels[lists] == query_labels[asked][:, None]
    beyond = [count for count in recall_at if count > k]
    scores = scores_of_lists(hits, relevant[asked], [c for c in recall_at if c <= k])
    if beyond:
        missed = torch.nonzero(asked).flatten()[~hits.any(1)]
        later = hits_within(
            queries[missed],
            gallery,
            lambda block: query_labels[missed[block], None] == gallery_labels,
            beyond,
            own=None if own is None else own[missed],
        )
        found = (len(hits) - len(missed) + later.sum(0)).double() / len(hits)
        scores |= {f"recall_at_{c}": float(f) for c, f in zip(beyond, found, strict=True)}
        scores["queries"] = scores.pop("queries")  # comes last
    return scores


def scores_of_lists(
    hits: Tensor, relevant: Tensor, recall_at: Sequence[int] = (1,)
) -> dict[str, float]:
    """Scores of neighbour lists: hits [q, k] (is the i-th neighbour a positive), relevant [q].

    k must reach the largest number of relevant images: a shorter list would change MAP@R.
    """
    if int(relevant.max()) > hits.shape[1] or int(relevant.min()) < 1:
        raise ValueError(
            f"lists of {hits.shape[1]} neighbours for 1 <= R <= {int(relevant.max())} positives: "
            "every list must reach R"
        )
    found = hits.to(torch.float64)
    rank = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    within = (rank <= relevant[:, None]).to(torch.float64)
    positives = relevant.to(torch.float64)
    precision = found.cumsum(1) / rank
    scores = {
        "map_at_r": ((precision * found * within).sum(1) / positives).mean(),
        "r_precision": ((found * within).sum(1) / positives).mean(),
        "precision_at_1": found[:, 0].mean(),
    }
    for k in recall_at:
        scores[f"recall_at_{k}"] = found[:, :k].amax(1).mean()
    return {name: float(value) for name, value in scores.items()} | {"queries": float(len(hits))}
