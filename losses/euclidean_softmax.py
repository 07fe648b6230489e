"""Euclidean softmax: a softmax over negative distances to one proxy per class.

With d_j = ||x - p_j|| (neither x nor p normalised, not squared, j = y included) the loss is the
mean over the batch of

    log sum_j exp(temperature (d_y - d_j)) = CE(-temperature d, y).

The temperature MULTIPLIES distances, as in the authors' code. It is the warped softmax without the
warp. The authors exponentiate without a shift, which overflows once temperature (d_y - d_j) passes
88; here the log-sum-exp is shifted. pytorch-metric-learning's ProxyNCALoss gives the same value
with softmax_scale = temperature and an LpDistance of power 1 that does not normalise; its defaults
(squared, normalised) are another loss.

Source: DeMoor and Prevost 2024, arXiv 2408.15656, Eq. 4; code
mdemoor226/Realigned-Softmax-Warping with warp=False, to which value and gradients are equal.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, euclidean_distance, in_float32

PAPER = (
    "DeMoor and Prevost 2024, Realigned Softmax Warping for Deep Metric Learning, "
    "arXiv 2408.15656, Eq. 4"
)
YEAR = 2024
KIND = "proxy"
EMBEDDING = "unbounded"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {"temperature": FloatDistribution(0.01, 20.0, log=True)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("temperature",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "temperature": "inferred around the authors' 4.5, 5.0, 3.7 (follow-up 1.0) of the warped form, "
    "with room below for heads that give larger distances",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "authors"


class Loss(nn.Module):
    """Euclidean softmax over proxies [n_classes, dim]; the default is the authors' CUB value."""

    def __init__(self, *, n_classes: int, dim: int, temperature: float = 4.525) -> None:
        super().__init__()
        check("temperature", temperature, "> 0 and finite", ok=0 < temperature < math.inf)
        self.n_classes, self.temperature = n_classes, temperature
        self.proxies = nn.Parameter(torch.empty(n_classes, dim))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        distances = euclidean_distance(embeddings, self.proxies)
        return F.cross_entropy(-self.temperature * distances, labels)
