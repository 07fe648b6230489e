"""ArcFace: a softmax over cosines with a margin added to the angle to the image's class.

With theta_j the angle between x and w_j (both normalised here) and m the margin, the mean over the
batch of CE(scale [t(theta_y); cos theta_j, j != y], y), where

    t(theta) = cos(theta + m)        while theta <= pi - m,
    t(theta) = cos theta - m sin m   beyond, so that t keeps falling with theta.

`margin` is in DEGREES, as in the reality check and in pytorch-metric-learning; the authors' 0.5
radians are 28.6. Value and gradients equal insightface's code and that library's ArcFaceLoss. The
cosine of the sum is expanded with a clamped sine, because the gradient of the arccosine is
infinite where x points exactly along its weight. The reality check ran releases of the library
from early 2020, which had no second branch. Weights start as N(0, 1), as in the library.

Source: Deng et al. 2019, ArcFace: Additive Angular Margin Loss for Deep Face Recognition (CVPR),
Eq. 3; code deepinsight/insightface, recognition/arcface_torch/losses.py.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Deng et al. 2019, ArcFace: Additive Angular Margin Loss for Deep Face Recognition, CVPR 2019, "
    "Eq. 3"
)
YEAR = 2019
KIND = "classification"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {"margin": FloatDistribution(0.0, 90.0), "scale": FloatDistribution(0.01, 300.0)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale",), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "Musgrave et al. 2020, bounds of their search plots, every dataset, in degrees",
    "scale": "Musgrave et al. 2020, bounds of their search plots: 200, SOP widened to 300",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "authors"


class Loss(nn.Module):
    """ArcFace over weights [n_classes, dim]; margin in degrees, defaults the authors' values."""

    def __init__(
        self, *, n_classes: int, dim: int, margin: float = math.degrees(0.5), scale: float = 64.0
    ) -> None:
        super().__init__()
        check("margin", margin, "0 <= margin < 180 degrees", ok=0 <= margin < 180)
        check("scale", scale, "> 0 and finite", ok=0 < scale < math.inf)
        self.n_classes, self.margin, self.scale = n_classes, math.radians(margin), scale
        self.proxies = nn.Parameter(torch.randn(n_classes, dim))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        target = cosine.gather(1, labels[:, None])
        sine = (1.0 - target.square()).clamp_min(1e-12).sqrt()
        shifted = target * math.cos(self.margin) - sine * math.sin(self.margin)
        beyond = target - self.margin * math.sin(self.margin)
        penalised = torch.where(target > -math.cos(self.margin), shifted, beyond)
        return F.cross_entropy(self.scale * cosine.scatter(1, labels[:, None], penalised), labels)
