"""Recall@k surrogate: a sigmoid of a rank made of sigmoids, averaged over several k.

With s_qj the dot product of unit-length embeddings and sigma the logistic function, the rank of
a positive i of query q is r_i = 1 + sum over j != i of sigma((s_qj - s_qi) / anneal), and

    R_k(q) = min( sum over i of sigma((k - r_i) / k_temperatures_k), k ) / min(k, positives of q).

The loss is the mean over the queries of 1 - mean over k of R_k(q). j runs over the query itself
too, as in the authors' code, which adds nearly 1 to every rank; k is at most B; sigma's arguments
are clamped to +-50.

Source: Patel, Tolias and Matas 2022 (CVPR, arXiv 2108.11179), Eq. 6 to 9; code
yash0307/RecallatK_surrogate without its mixup. That code divides each query's loss by the batch
size; its sum over the queries of a batch, and the gradients, equal those here. It needs classes of
equal size that lie one after another; here any batch will do, however it is arranged. Queries
without a positive are left out; if none remain the loss is zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import (
    attached_zero,
    check,
    check_batch,
    in_float32,
    positives_and_negatives,
    similarity_gaps,
    smooth_step,
)

PAPER = (
    "Patel, Tolias and Matas 2022, Recall@k Surrogate Loss with Large Batches and Similarity "
    "Mixup, CVPR, Eq. 6-9"
)
YEAR = 2022
KIND = "ranking"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "anneal": FloatDistribution(1e-3, 1.0, log=True),
    "k_temperatures": FloatDistribution(0.1, 10.0, log=True),
}
FIXED = {"k_vals": "1, 2, 4, 8, 16 in every experiment of the authors"}
FOLLOWUP = _followup.ratios(factors=("anneal", "k_temperatures"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "anneal": "inferred around the authors' 0.01",
    "k_temperatures": "inferred around the authors' 1 for every k",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 (D + K)) for K images of a class"
STATUS = "authors"


class Loss(nn.Module):
    """1 - smooth recall averaged over k_vals; one number of k_temperatures serves every k."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        anneal: float = 0.01,
        k_vals: Sequence[int] = (1, 2, 4, 8, 16),
        k_temperatures: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__()
        if isinstance(k_temperatures, int | float):
            k_temperatures = [k_temperatures] * len(k_vals)
        check("anneal", anneal, "> 0 and finite", ok=0 < anneal < math.inf)
        if not k_vals or not all(k == int(k) >= 1 for k in k_vals):
            raise ValueError(f"k_vals = {k_vals!r}: they must be whole numbers >= 1")
        ok = len(k_temperatures) == len(k_vals) and all(0 < t < math.inf for t in k_temperatures)
        if not ok:
            raise ValueError(
                f"k_temperatures = {k_temperatures!r}: it must be a number > 0, or one for each "
                f"of k_vals = {k_vals!r}"
            )
        self.n_classes, self.anneal = n_classes, anneal
        self.k_vals = [float(k) for k in k_vals]
        self.k_temperatures = [float(t) for t in k_temperatures]

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        pairs, _ = positives_and_negatives(labels)
        if not pairs.any():
            return attached_zero(embeddings)
        gaps, others = similarity_gaps(embeddings, pairs)
        ranks = 1.0 + (smooth_step(gaps, self.anneal) * others).sum(1)
        k_vals = ranks.new_tensor(self.k_vals).clamp_max(len(labels))
        margins = (k_vals - ranks[:, None]) / ranks.new_tensor(self.k_temperatures)
        in_top_k = margins.new_zeros(*pairs.shape, len(k_vals))
        in_top_k[pairs] = smooth_step(margins, 1.0)
        positives = pairs.sum(1, keepdim=True)
        recalls = torch.minimum(in_top_k.sum(1), k_vals) / torch.minimum(positives, k_vals)
        return (1.0 - recalls.mean(1))[pairs.any(1)].mean()
