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

MARGIN = 8  # extra float32 candidates that are ranked again in float64
BLOCK_BYTES = 32 * 2**20


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
    if not bool(torch.isfinite(embeddings).all()):
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
    k = min(max(int(relevant.max()), *recall_at), len(gallery) - (0 if own is None else 1))
    lists = nearest(queries[asked], gallery, k, own=None if own is None else own[asked])
    return scores_of_lists(
        gallery_labels[lists] == query_labels[asked][:, None], relevant[asked], recall_at
    )


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


def nearest(queries: Tensor, gallery: Tensor, k: int, *, own: Tensor | None) -> Tensor:
    """Indices [q, k] of the k nearest gallery rows, exactly as float64 orders them.

    queries [q, D], gallery [n, D]; own [q] is each query's position in the gallery, left out. A
    float32 product proposes k + MARGIN candidates, float64 orders them; a row whose k-th distance
    is not provably smaller than everything left out is done again wholly in float64.
    """
    n, dim = gallery.shape
    if n - (own is not None) < k:
        raise ValueError(f"{k} neighbours asked of a gallery of {n}")
    wanted = min(k + MARGIN, n - (own is not None))
    # Distances do not change when everything is shifted; near-equal embeddings gain precision.
    centre = gallery.double().mean(0)
    q32, g32 = (queries.double() - centre).float(), (gallery.double() - centre).float()
    half = 0.5 * g32.square().sum(1)
    unit = torch.finfo(torch.float32).eps / 2
    # Bound on the error of q.g - |g|^2/2 in float32: D + 2 roundings of terms below these norms.
    slack = 2 * (dim + 2) * unit * g32.norm(dim=1).max().double()
    reach = g32.norm(dim=1).max().double()
    rows = max(1, min(BLOCK_BYTES // (4 * n), BLOCK_BYTES // (8 * wanted * dim)))
    lists = torch.empty(len(queries), k, dtype=torch.int64, device=gallery.device)
    for start in range(0, len(queries), rows):
        block = slice(start, start + rows)
        similarity = q32[block] @ g32.T - half
        if own is not None:
            similarity.scatter_(1, own[block, None], -torch.inf)
        top, candidates = similarity.topk(wanted, dim=1)
        candidates = candidates.sort(dim=1).values
        exact = (queries[block, None].double() - gallery[candidates].double()).square().sum(2)
        order = exact.sort(dim=1, stable=True)
        lists[block] = candidates.gather(1, order.indices[:, :k])
        if wanted == n - (own is not None):
            continue
        length = q32[block].double().norm(dim=1)
        outside = length.square() - 2 * (top[:, -1].double() + slack * (length + reach))
        doubtful = torch.nonzero(order.values[:, k - 1] >= outside).flatten() + start
        for row in torch.split(doubtful, max(1, BLOCK_BYTES // (8 * n))):
            lists[row] = _nearest_float64(queries, gallery, k, row, own)
    return lists


def _nearest_float64(
    queries: Tensor, gallery: Tensor, k: int, rows: Tensor, own: Tensor | None
) -> Tensor:
    distance = torch.cdist(
        queries[rows].double(),
        gallery.double(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    if own is not None:
        distance.scatter_(1, own[rows, None], torch.inf)
    return distance.sort(dim=1, stable=True).indices[:, :k]
