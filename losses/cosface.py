"""CosFace: a softmax over cosines with a margin subtracted from the cosine of the image's class.

The mean over the batch of CE(scale (cos(x, w_j) - margin [j = y]), y), x and w normalised here.

The authors released no code. Value and gradients equal pytorch-metric-learning's CosFaceLoss
(whose weights are [D, C]) and insightface's. Weights start as N(0, 1), as in the library and in
the reality check, whose ranges are used here; insightface's margin is 0.4.

Source: Wang et al. 2018, CosFace: Large Margin Cosine Loss for Deep Face Recognition (CVPR), Eq. 4.
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
    "Wang et al. 2018, CosFace: Large Margin Cosine Loss for Deep Face Recognition, CVPR 2018, "
    "Eq. 4"
)
YEAR = 2018
KIND = "classification"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {"margin": FloatDistribution(0.0, 1.0), "scale": FloatDistribution(0.01, 200.0)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale",), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "scale": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "library"


class Loss(nn.Module):
    """CosFace over weights [n_classes, dim]; defaults are the paper's values."""

    def __init__(
        self, *, n_classes: int, dim: int, margin: float = 0.35, scale: float = 64.0
    ) -> None:
        super().__init__()
        check("margin", margin, ">= 0 and finite", ok=0 <= margin < math.inf)
        check("scale", scale, "> 0 and finite", ok=0 < scale < math.inf)
        self.n_classes, self.margin, self.scale = n_classes, margin, scale
        self.proxies = nn.Parameter(torch.randn(n_classes, dim))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        margins = torch.zeros_like(cosine).scatter(1, labels[:, None], self.margin)
        return F.cross_entropy(self.scale * (cosine - margins), labels)
