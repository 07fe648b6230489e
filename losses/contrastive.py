"""Contrastive loss: positives nearer than one margin, negatives farther than another.

With d_ij = ||x_i - x_j|| over unit-length embeddings, not squared,

    mean over non-zero terms of [d_ij - pos_margin]_+   over pairs of the same class
  + mean over non-zero terms of [neg_margin - d_ij]_+   over pairs of different classes.

Source: Hadsell, Chopra and LeCun 2006 (CVPR), who square both terms and have pos_margin = 0. The
authors released no code. The form here is the one that the field compares: that of Musgrave et al.
2020 and of pytorch-metric-learning's ContrastiveLoss with its defaults, and that class computes
it. A batch without positives (negatives) has only the other term; with neither the loss is zero.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import ContrastiveLoss
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Hadsell, Chopra and LeCun 2006, Dimensionality Reduction by Learning an Invariant Mapping, "
    "CVPR; unsquared with two margins as in Musgrave et al. 2020, A Metric Learning Reality Check"
)
YEAR = 2006
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "pos_margin": FloatDistribution(-0.2, 2.0),
    "neg_margin": FloatDistribution(-0.2, 2.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(shares=("pos_margin", "neg_margin"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "pos_margin": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "neg_margin": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Contrastive loss over all pairs of the batch; margins are distances of unit vectors."""

    def __init__(
        self, *, n_classes: int, dim: int, pos_margin: float = 0.0, neg_margin: float = 1.0
    ) -> None:
        super().__init__()
        check("pos_margin", pos_margin, "a finite number", ok=math.isfinite(pos_margin))
        check("neg_margin", neg_margin, "a finite number", ok=math.isfinite(neg_margin))
        self.n_classes = n_classes
        self.pairs = ContrastiveLoss(
            pos_margin, neg_margin, distance=LpDistance(normalize_embeddings=False)
        )

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.pairs(embeddings, labels)
        return loss
