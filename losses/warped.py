"""Warped softmax: a Euclidean softmax whose distance to the image's proxy is bent at alpha.

With d_j = ||x - p_j|| (neither x nor p normalised, not squared), y the label and sg() a stop of
the gradient, the distance to the proxy of the image's class becomes

    d_y <  alpha:  f(d_y) = k1 d_y + margin (1 - k1) sg(d_y)      the pull weakens: outward
    d_y >= alpha:  f(d_y) = k2 d_y + alpha (1 - k2)               the pull strengthens: inward

and the loss is the mean over the batch of CE(-temperature [f(d_y); d_j, j != y], y). The
temperature MULTIPLIES distances, as in the authors' code. `margin` is the multiplier delta of the
stopped term: 1 makes f continuous at alpha, more acts as a margin.

alpha is a distance between raw embeddings and proxies, so its range depends on the embedding's
norm. After a LayerNorm without affine part over F trunk features, a head with Kaiming fan_out
weights (variance 2 / D) gives E||x||^2 = D * F * 2 / D = 2 F, whatever D: a norm of about 64 for
ResNet50's 2048 features, 45 for BN-Inception's 1024. The authors sweep alpha from 0 to 95 and
settle near 30 at norm 64. SPACE states the range for norm 64, which REFERENCE_NORM records.

The paper gives follow-up values, so their ranges are its own and not those of losses/_followup.py:
temperature 1.0 on every dataset, from three different first ones; alpha 0.45 to 0.87 of the first;
k1 on both sides of the first and k2 above it, where a ratio could leave k1 < 1 < k2.

Source: DeMoor and Prevost 2024, arXiv 2408.15656, Eq. 7 and 8; code
mdemoor226/Realigned-Softmax-Warping, to which value and gradients are equal.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses._shared import check, check_batch, euclidean_distance, in_float32

PAPER = (
    "DeMoor and Prevost 2024, Realigned Softmax Warping for Deep Metric Learning, "
    "arXiv 2408.15656, Eq. 7-8"
)
YEAR = 2024
KIND = "proxy"
EMBEDDING = "unbounded"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "temperature": FloatDistribution(0.1, 20.0, log=True),
    "alpha": FloatDistribution(1.0, 95.0),
    "k1": FloatDistribution(0.1, 0.999),
    "k2": FloatDistribution(1.001, 3.0),
    "margin": FloatDistribution(1.0, 5.5),
}
FIXED: dict[str, str] = {}
FOLLOWUP = {
    "temperature": FloatDistribution(0.1, 5.0, log=True),
    "alpha_ratio": FloatDistribution(0.2, 1.0),
    "k1": FloatDistribution(0.1, 0.999),
    "k2": FloatDistribution(1.001, 3.0),
}
REFERENCE_NORM = {"alpha": 64.0}
SOURCES = {
    "temperature": "inferred around the authors' 4.5, 5.0, 3.7 (follow-up 1.0)",
    "alpha": "the paper's ablation sweeps 0 to 95 at embedding norm 64; authors' 28.4, 30.2, 13.0",
    "alpha_ratio": "the authors' follow-up alpha is 0.45 to 0.87 of the first, never above it",
    "k1": "below 1 by construction; authors' 0.93, 0.80, 0.86 (follow-up 0.95, 0.50, 0.80)",
    "k2": "above 1 by construction; authors' 1.15, 1.15, 1.12 (follow-up 1.20, 1.55, 1.62)",
    "margin": "the paper's ablation of the multiplier, 1 to 5.5; not changed in the follow-up",
}
COST = "O(B C D)"
STATUS = "authors"


class Loss(nn.Module):
    """Warped softmax over proxies [n_classes, dim]; defaults are the authors' CUB values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        temperature: float = 4.525,
        alpha: float = 28.4,
        k1: float = 0.93,
        k2: float = 1.15,
        margin: float = 1.3,
    ) -> None:
        super().__init__()
        check("temperature", temperature, "> 0 and finite", ok=0 < temperature < math.inf)
        check("alpha", alpha, ">= 0 and finite", ok=0 <= alpha < math.inf)
        check("k1", k1, "0 < k1 < 1", ok=0 < k1 < 1)
        check("k2", k2, "> 1 and finite", ok=1 < k2 < math.inf)
        check("margin", margin, ">= 1 and finite", ok=1 <= margin < math.inf)
        self.n_classes = n_classes
        self.temperature, self.alpha, self.k1, self.k2 = temperature, alpha, k1, k2
        self.margin = margin
        self.proxies = nn.Parameter(torch.empty(n_classes, dim))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        distances = euclidean_distance(embeddings, self.proxies)
        target = distances.gather(1, labels[:, None])
        stopped = target.detach()
        near = self.k1 * target + self.margin * (1 - self.k1) * stopped
        far = self.k2 * target + self.alpha * (1 - self.k2)
        warped = torch.where(stopped < self.alpha, near, far)
        logits = -self.temperature * distances.scatter(1, labels[:, None], warped)
        return F.cross_entropy(logits, labels)
