"""Triplet loss: an anchor is nearer to its positive than to its negative by a margin.

With d_ij = ||x_i - x_j|| over unit-length embeddings, not squared, the mean over all triplets of
the batch with a non-zero term of [d_ap - d_an + margin]_+.

Source: Weinberger and Saul 2009; Schroff, Kalenichenko and Philbin 2015 (FaceNet, CVPR), Eq. 3.
FaceNet squares the distances, mines semi-hard negatives and sets the margin to 0.2; its code is
not released. The form here, unsquared over all triplets, is that of Musgrave et al. 2020 and of
pytorch-metric-learning's TripletMarginLoss, which computes it. A batch without triplets has a loss
of zero.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Schroff, Kalenichenko and Philbin 2015, FaceNet: A Unified Embedding for Face Recognition "
    "and Clustering, CVPR, Eq. 3; unsquared over all triplets as in Musgrave et al. 2020"
)
YEAR = 2015
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"margin": FloatDistribution(-0.2, 2.0)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D) + O(B^3) for the triplets"
STATUS = "library"


class Loss(nn.Module):
    """Triplet margin over all triplets; the default margin is the library's."""

    def __init__(self, *, n_classes: int, dim: int, margin: float = 0.05) -> None:
        super().__init__()
        check("margin", margin, "a finite number", ok=math.isfinite(margin))
        self.n_classes = n_classes
        self.triplets = TripletMarginLoss(
            margin, distance=LpDistance(normalize_embeddings=False), triplets_per_anchor="all"
        )

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.triplets(embeddings, labels)
        return loss
