"""Large-margin softmax (L-Softmax): the angle to the image's class is multiplied by an integer.

With theta_c the angle between x and w_c, neither of them normalised, the mean over the batch of

    CE(scale ||x|| [||w_y|| psi(theta_y); ||w_c|| cos theta_c, c != y], y),
    psi(theta) = (-1)^k cos(margin theta) - 2 k  on  k pi / margin <= theta <= (k + 1) pi / margin.

margin = 1 is the plain softmax without bias. `sphereface` has weights of unit length, and anneals
its margin from 1. So does the paper, by a schedule that it does not give; here the margin is there
from the start, as in pytorch-metric-learning's LargeMarginSoftmaxLoss, to which value and gradients
are equal. That makes large margins hard to optimise. `scale` is the library's, 1 in the paper.

Source: Liu, Wen, Yu and Yang 2016, Large-Margin Softmax Loss for Convolutional Neural Networks
(ICML, arXiv 1612.02295), Eq. 4 to 7. Weights start as N(0, 1 / dim).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor, nn

from losses import _followup
from losses._angles import falling_multiple
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Liu, Wen, Yu and Yang 2016, Large-Margin Softmax Loss for Convolutional Neural Networks, "
    "ICML 2016, Eq. 4-7"
)
YEAR = 2016
KIND = "classification"
EMBEDDING = "unbounded"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "margin": IntDistribution(1, 4),
    "scale": FloatDistribution(0.01, 100.0, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "the paper's 1 to 4",
    "scale": "inferred: multiplies the embedding's length, 1 in the paper; SphereFace's range here",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "library"


class Loss(nn.Module):
    """L-Softmax over weights [n_classes, dim]; the default margin is the library's."""

    def __init__(self, *, n_classes: int, dim: int, margin: int = 4, scale: float = 1.0) -> None:
        super().__init__()
        check("margin", margin, "an integer >= 1", ok=margin >= 1 and margin == int(margin))
        check("scale", scale, "> 0 and finite", ok=0 < scale < math.inf)
        self.n_classes, self.margin, self.scale = n_classes, int(margin), scale
        self.proxies = nn.Parameter(torch.randn(n_classes, dim) / math.sqrt(dim))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        lengths = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True)
        weights = torch.linalg.vector_norm(self.proxies, dim=1)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        target = falling_multiple(cosine.gather(1, labels[:, None]), self.margin)
        logits = cosine.scatter(1, labels[:, None], target) * lengths * weights
        return F.cross_entropy(self.scale * logits, labels)
