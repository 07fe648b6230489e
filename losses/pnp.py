"""PNP: only the negatives that stand before a positive are penalised, the fewer the harder.

For a query q and an image i of its class (q itself included), with s the dot product of unit-length
embeddings and sigma the logistic function, clamped at +-50,

    R(q, i) = sum over images j of other classes of sigma((s_qj - s_qi) / tau),

a soft count of the negatives before i. The loss is the mean over queries of the mean over their
images i of f(R), where `variant` says f:

    "Dq": 1 - (1 + R)^-alpha       "Ds": log(1 + R)       "O": R       "Iu": (1 + R) log(1 + R).

The paper's D variants weigh an image less the more negatives stand before it, its I variants more;
it finds D better, for classes of several clusters. Value and gradients equal
pytorch-metric-learning's PNPLoss, which is after the authors' code (interestingzhuo/PNPloss). Its
variant Ib is left out.

Source: Li, Min, Sun and Zhang 2022, Rethinking the Optimization of Average Precision: Only
Penalizing Negative Instances before Positive Ones is Enough (AAAI, arXiv 2102.04640).
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32, similarity_gaps, smooth_step

PAPER = (
    "Li, Min, Sun and Zhang 2022, Rethinking the Optimization of Average Precision: Only "
    "Penalizing Negative Instances before Positive Ones is Enough, AAAI 2022, PNP-Dq"
)
YEAR = 2022
KIND = "ranking"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "tau": FloatDistribution(1e-3, 1.0, log=True),
    "alpha": FloatDistribution(0.1, 10.0, log=True),
}
FIXED = {"variant": "the paper finds its D variants best, and Dq is the one with a parameter"}
FOLLOWUP = _followup.ratios(factors=("tau", "alpha"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "tau": "inferred: the range of Smooth-AP here; the library's 0.01",
    "alpha": "inferred: a decade on either side of the library's 1",
} | _followup.sources(FOLLOWUP)
COST = "O(B P + B^2 D), P the pairs of a class in the batch"
STATUS = "library"


class Loss(nn.Module):
    """PNP over all queries of the batch; tau and alpha default to the library's values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        tau: float = 0.01,
        alpha: float = 1.0,
        variant: str = "Dq",
    ) -> None:
        super().__init__()
        check("tau", tau, "> 0 and finite", ok=0 < tau < math.inf)
        check("alpha", alpha, "> 0 and finite", ok=0 < alpha < math.inf)
        if variant not in ("Dq", "Ds", "O", "Iu"):
            raise ValueError(f"variant = {variant!r} is outside its domain: Dq, Ds, O or Iu")
        self.n_classes, self.tau, self.alpha, self.variant = n_classes, tau, alpha, variant

    def penalty(self, before: Tensor) -> Tensor:
        """f(R) of soft counts R."""
        if self.variant == "Dq":
            return 1.0 - (1.0 + before) ** -self.alpha
        if self.variant == "Ds":
            return before.log1p()
        return before if self.variant == "O" else (1.0 + before) * before.log1p()

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        same = labels[:, None] == labels
        query = same.nonzero()[:, 0]
        gaps, _ = similarity_gaps(embeddings, same)
        before = smooth_step(gaps, self.tau).where(~same[query], 0.0).sum(1)
        images = same.sum(1)[query].to(before.dtype)  # of the query's class
        return (self.penalty(before) / images).sum() / len(labels)
