"""Sub-center ArcFace: ArcFace with several weights a class, of which the nearest counts.

With theta_c the smallest of the angles between x and the K weights of class c (all normalised here)
and m the margin, the mean over the batch of CE(scale [t(theta_y); cos theta_c, c != y], y), where t
is that of `arcface`: cos(theta + m) while theta <= pi - m, and cos theta - m sin m beyond.

`margin` is in degrees: the authors' 0.5 radians are 28.6. Value and gradients equal
pytorch-metric-learning's SubCenterArcFaceLoss. Dropping the sub-centres of outliers after training,
which the paper does for noisy labels, is no part of a loss. Weights start as N(0, 1).

Source: Deng, Guo, Liu, Gong and Zafeiriou 2020, Sub-center ArcFace: Boosting Face Recognition by
Large-Scale Noisy Web Faces (ECCV), Eq. 3.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor, nn

from losses import _followup
from losses._angles import cosine_of_sum
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Deng, Guo, Liu, Gong and Zafeiriou 2020, Sub-center ArcFace: Boosting Face Recognition by "
    "Large-Scale Noisy Web Faces, ECCV 2020, Eq. 3"
)
YEAR = 2020
KIND = "classification"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "margin": FloatDistribution(0.0, 90.0),
    "scale": FloatDistribution(0.01, 300.0),
    "centers_per_class": IntDistribution(1, 10),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale",), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "Musgrave et al. 2020, bounds of ArcFace's search plots, in degrees",
    "scale": "Musgrave et al. 2020, bounds of ArcFace's search plots, SOP's",
    "centers_per_class": "inferred around the authors' 3; they compare 1, 3, 5 and 10",
} | _followup.sources(FOLLOWUP)
COST = "O(B C K D)"
STATUS = "library"


class Loss(nn.Module):
    """Sub-center ArcFace over weights [n_classes * K, dim]; defaults are the authors' values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        margin: float = math.degrees(0.5),
        scale: float = 64.0,
        centers_per_class: int = 3,
    ) -> None:
        super().__init__()
        k = centers_per_class
        check("margin", margin, "0 <= margin < 180 degrees", ok=0 <= margin < 180)
        check("scale", scale, "> 0 and finite", ok=0 < scale < math.inf)
        check("centers_per_class", k, "an integer >= 1", ok=k >= 1 and k == int(k))
        self.n_classes, self.margin, self.scale = n_classes, math.radians(margin), scale
        self.proxies = nn.Parameter(torch.randn(n_classes * int(k), dim))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        cosine = cosine.view(len(embeddings), self.n_classes, -1).amax(2)
        target = cosine.gather(1, labels[:, None])
        beyond = target - self.margin * math.sin(self.margin)
        shifted = cosine_of_sum(target, self.margin)
        penalised = torch.where(target > -math.cos(self.margin), shifted, beyond)
        return F.cross_entropy(self.scale * cosine.scatter(1, labels[:, None], penalised), labels)
