"""Tuplet margin loss: a softmax over a positive and all negatives, easier by a slack angle.

With theta_ij the angle of two unit-length embeddings, the mean over the ordered positive pairs
(a, p), with the negatives n of a, of

    log(1 + sum_n exp(scale (cos theta_an - cos(theta_ap - margin)))).

`margin` is in degrees, as in pytorch-metric-learning: the authors' 0.1 radians are 5.73. It is
taken off the positive's angle, so that easy positives are not pulled on to overfitting. The
library's TupletMarginLoss has the same value; its gradient, through the arccosine, is NaN where two
images of a class coincide, and here it is finite.

Source: Yu and Tao 2019, Deep Metric Learning with Tuplet Margin Loss (ICCV), without the intra-pair
variance, which is `intra_pair_variance`. A batch without positives or without negatives has a loss
of zero.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._angles import cosine_of_sum
from losses._shared import (
    attached_zero,
    check,
    check_batch,
    in_float32,
    positives_and_negatives,
)

PAPER = "Yu and Tao 2019, Deep Metric Learning with Tuplet Margin Loss, ICCV 2019"
YEAR = 2019
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"margin": FloatDistribution(0.0, 45.0), "scale": FloatDistribution(0.01, 200.0)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale",), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "inferred around the authors' 5.73 degrees; half of the reality check's for ArcFace",
    "scale": "inferred: the reality check's bounds for ArcFace; the authors' 64",
} | _followup.sources(FOLLOWUP)
COST = "O(B^3 + B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Tuplet margin loss over all positive pairs; defaults are the authors'."""

    def __init__(
        self, *, n_classes: int, dim: int, margin: float = math.degrees(0.1), scale: float = 64.0
    ) -> None:
        super().__init__()
        check("margin", margin, "0 to 90 degrees", ok=0 <= margin <= 90)
        check("scale", scale, "> 0 and finite", ok=0 < scale < math.inf)
        self.n_classes, self.margin, self.scale = n_classes, math.radians(margin), scale

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        positives, negatives = positives_and_negatives(labels)
        if not (positives.any() and negatives.any()):
            return attached_zero(embeddings)
        cosines = embeddings @ embeddings.T
        anchor = positives.nonzero()[:, 0]
        easier = cosine_of_sum(cosines[positives], -self.margin)
        gaps = self.scale * (cosines[anchor] - easier[:, None])
        # the library's log-sum-exp has the 1 as a column of zeros
        gaps = gaps.masked_fill(~negatives[anchor], -math.inf)
        return nn.functional.pad(gaps, (0, 1)).logsumexp(1).mean()
