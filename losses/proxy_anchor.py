"""Proxy-Anchor: every proxy is an anchor that attracts its class and repels all other images.

With s(x, p) the cosine and P+ the proxies whose class is in the batch, the loss is

    1/|P+| sum_{p in P+} log(1 + sum_{x of p's class} exp(-alpha (s(x, p) - margin)))
  + 1/C    sum_p         log(1 + sum_{x of other classes} exp(alpha (s(x, p) + margin))).

pytorch-metric-learning's ProxyAnchorLoss computes it. It equals the authors' code in value and
gradients, and its proxies start the same way (Kaiming normal, fan_out). The authors sum plain
exponentials, which are infinite once alpha (1 + margin) passes 88; the library shifts the
log-sum-exp. If the batch holds one class, the second sum is over the other proxies only, and is
still defined.

Source: Kim et al. 2020, Proxy Anchor Loss for Deep Metric Learning (CVPR), Eq. 4; code
tjddus9597/Proxy-Anchor-CVPR2020.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import ProxyAnchorLoss
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = "Kim et al. 2020, Proxy Anchor Loss for Deep Metric Learning, CVPR 2020, Eq. 4"
YEAR = 2020
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {"margin": FloatDistribution(0.0, 1.0), "alpha": FloatDistribution(0.01, 200.0)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("alpha",), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "inferred: a cosine margin, the reality check's bounds for CosFace; authors' 0.1",
    "alpha": "inferred: a scale of cosines, the reality check's bounds for CosFace; authors' 32",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "authors"


class Loss(nn.Module):
    """Proxy-Anchor over proxies [n_classes, dim]; defaults are the authors' values."""

    def __init__(
        self, *, n_classes: int, dim: int, margin: float = 0.1, alpha: float = 32.0
    ) -> None:
        super().__init__()
        check("margin", margin, ">= 0 and finite", ok=0 <= margin < math.inf)
        check("alpha", alpha, "> 0 and finite", ok=0 < alpha < math.inf)
        self.n_classes = n_classes
        anchors = ProxyAnchorLoss(n_classes, dim, margin=margin, alpha=alpha)
        self.proxies: nn.Parameter = anchors.proxies  # the same tensor, under this project's name
        self.anchors = anchors

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.anchors(embeddings, labels)
        return loss
