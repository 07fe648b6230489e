"""ProxyNCA: neighbourhood components analysis against one proxy per class.

With x and p both scaled to length `scale`, the loss is the mean over the batch of

    -log( exp(-||x - p_y||^2) / sum_{j != y} exp(-||x - p_j||^2) ),

where the proxy of the image's class is NOT in the denominator. The sum runs over the other classes
only, so the value can be negative; only the geometry bounds it from below. The loss normalises x
itself. A scale of 3 is a temperature of 1 / 9.

pytorch-metric-learning's ProxyNCALoss is NOT this loss: it has that proxy in the denominator, which
is ProxyNCA++ (`proxy_nca_pp`). So have dichotomies/proxy-nca and the row "ProxyNCA" of "A Metric
Learning Reality Check".

Source: Movshovitz-Attias et al. 2017, No Fuss Distance Metric Learning using Proxies (ICCV),
Algorithm 1; the authors released no code. Value and gradients equal ProxyNCA_classic of
euwern/proxynca_pp; proxies start as N(0, 1) / 8, as there.
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
    "Movshovitz-Attias et al. 2017, No Fuss Distance Metric Learning using Proxies, ICCV 2017, "
    "Algorithm 1"
)
YEAR = 2017
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {"scale": FloatDistribution(0.1, 10.0)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "scale": "square roots of 0.01 and 100, the reality check's bounds for ProxyNCA's "
    "softmax_scale = scale^2; public re-implementations use 3",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "paper"


class Loss(nn.Module):
    """ProxyNCA over proxies [n_classes, dim]; the default is the value of the public codes."""

    def __init__(self, *, n_classes: int, dim: int, scale: float = 3.0) -> None:
        super().__init__()
        check("n_classes", n_classes, ">= 2: there must be another class", ok=n_classes >= 2)
        check("scale", scale, "> 0 and finite", ok=0 < scale < math.inf)
        self.n_classes, self.scale = n_classes, scale
        self.proxies = nn.Parameter(torch.randn(n_classes, dim) / 8)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        # -||x - p||^2 up to the constant 2 scale^2, which cancels
        logits = 2.0 * self.scale**2 * cosine
        target = logits.gather(1, labels[:, None])[:, 0]
        others = logits.scatter(1, labels[:, None], -math.inf).logsumexp(1)
        return (others - target).mean()
