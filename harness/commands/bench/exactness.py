"""How many neighbour lists differ from those of float64, ours and the baseline's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.commands.bench import by_hand
from harness.measure.neighbours import nearest
from harness.measure.scores import scores_of_lists


def exactness(embeddings: Tensor, labels: Tensor, queries: int = 0) -> dict[str, Any]:
    """Scores of float64's neighbour lists, and how many lists of each side differ from them."""
    rows, gallery = embeddings[: queries or None], embeddings[queries:]
    row_labels, gallery_labels = labels[: queries or None], labels[queries:]
    relevant = torch.bincount(gallery_labels, minlength=int(labels.max()) + 1)[row_labels]
    relevant -= 0 if queries else 1
    rows, row_labels, relevant = (each[relevant > 0] for each in (rows, row_labels, relevant))
    k = int(relevant.max())
    exact = float64_lists(rows, gallery, k, without_self=not queries)
    themselves = None if queries else torch.arange(len(labels), device=labels.device)
    ours = nearest(rows if queries else gallery, gallery, k, excluded=themselves)
    baseline = by_hand.neighbours()(rows, k, gallery, not queries)[1].to(exact.device)
    return {
        "scores": scores_of_lists(gallery_labels[exact] == row_labels[:, None], relevant),
        "differing": {
            "ours": int((ours != exact).any(1).sum()),
            "baseline": int((baseline != exact).any(1).sum()),
        },
    }


def float64_lists(queries: Tensor, gallery: Tensor, k: int, *, without_self: bool) -> Tensor:
    """The k nearest gallery rows [q, k] by squared differences summed in float64, ties by index.

    A float64 product finds 4 k + 64 candidates, far more than its rounding could disorder.
    `without_self` leaves the row of a query's own number out.
    """
    q, n = len(queries), len(gallery)
    rows = gallery.double()
    half_squares = 0.5 * rows.square().sum(1)
    lists = torch.empty(q, k, dtype=torch.int64, device=gallery.device)
    for start in range(0, q, 256):
        block = slice(start, min(q, start + 256))
        some = queries[block].double()
        similarity = some @ rows.T - half_squares
        if without_self:
            themselves = torch.arange(block.start, block.stop, device=rows.device)
            similarity.scatter_(1, themselves[:, None], -torch.inf)
        count = min(n - without_self, 4 * k + 64)
        candidates = similarity.topk(count, dim=1).indices.sort(dim=1).values
        for i, chosen in enumerate(candidates):
            distance = (rows[chosen] - some[i]).square().sum(1)
            lists[start + i] = chosen[distance.sort(stable=True).indices[:k]]
    return lists
