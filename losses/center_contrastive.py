"""Center contrastive loss (CCL): CosFace with a pull towards the centre of the image's class.

With x and the bank of class centres c both of unit length, the mean over the batch of

    -log( exp(scale (c_y . x - margin) + 2 lam c_y . x)
          / (exp(scale (c_y . x - margin)) + sum_{j != y} exp(scale c_j . x)) )
    = CosFace(scale, margin) + lam ||x - c_y||^2 - 2 lam,

so its least value is about -2 lam. The centres are parameters, learnt with the network ("updated
in real time"), here called `proxies` like every class weight.

The authors released no code. Their scale, margin, lam and the start of their centres could not be
established. The defaults are choices of this project: CosFace's scale and margin, lam = 1 and
centres from N(0, 1); the three numbers are searched. pytorch-metric-learning has it as CosFaceLoss
without the term in lam.

Source: Cai, Xiong and Tian 2023, Center Contrastive Loss for Metric Learning, arXiv 2308.00458,
Eq. 5, as quoted by two independent re-implementations.
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
    "Cai, Xiong and Tian 2023, Center Contrastive Loss for Metric Learning, arXiv 2308.00458, Eq. 5"
)
YEAR = 2023
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "scale": FloatDistribution(0.01, 200.0),
    "margin": FloatDistribution(0.0, 1.0),
    "lam": FloatDistribution(0.001, 10.0, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale", "lam"), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "scale": "the reality check's bounds for CosFace, which the loss contains",
    "margin": "the reality check's bounds for CosFace, which the loss contains",
    "lam": "inferred; the authors' value is not established",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "paper"


class Loss(nn.Module):
    """CCL over centres [n_classes, dim]; defaults are choices of this project (see above)."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        scale: float = 64.0,
        margin: float = 0.35,
        lam: float = 1.0,
    ) -> None:
        super().__init__()
        check("scale", scale, "> 0 and finite", ok=0 < scale < math.inf)
        check("margin", margin, ">= 0 and finite", ok=0 <= margin < math.inf)
        check("lam", lam, ">= 0 and finite", ok=0 <= lam < math.inf)
        self.n_classes, self.scale, self.margin, self.lam = n_classes, scale, margin, lam
        self.proxies = nn.Parameter(torch.randn(n_classes, dim))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        margins = torch.zeros_like(cosine).scatter(1, labels[:, None], self.margin)
        contrast = F.cross_entropy(self.scale * (cosine - margins), labels)
        return contrast - 2.0 * self.lam * cosine.gather(1, labels[:, None]).mean()
