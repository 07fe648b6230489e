"""TCM with Proxy-Anchor: the same two margins for the pairs of every class, beside the proxies.

With s_ij the cosine of two images of the batch, the loss is that of `proxy_anchor` plus

    tcm_weight (mean of (positive_margin - s_ij) over positive pairs with s_ij <= positive_margin
              + mean of (s_ij - negative_margin) over negative pairs with s_ij >= negative_margin).

The paper has a weight for each of the two terms, and the library gives both 1; here one weight is
searched for both. A term without such pairs is zero. Proxies learn from Proxy-Anchor only.

Source: Zhang et al. 2024 (ICLR, arXiv 2307.04047), the TCM regulariser on top of a base loss. No
code of the authors is known; pytorch-metric-learning's ThresholdConsistentMarginLoss is the second
term. The first version of the paper calls it Calibration-Aware Margin (CAM) loss.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup, _tcm, proxy_anchor
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Zhang et al. 2024, Threshold-Consistent Margin Loss for Open-World Deep Metric Learning, "
    "ICLR 2024, on Proxy-Anchor"
)
YEAR = 2024
KIND = "hybrid"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = True
SPACE = {
    "margin": FloatDistribution(0.0, 1.0),
    "alpha": FloatDistribution(0.01, 200.0),
} | _tcm.SPACE
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("alpha",), shares=("margin",)) | _tcm.FOLLOWUP
REFERENCE_NORM: dict[str, float] = {}
SOURCES = (
    {
        "margin": "inferred: range of Proxy-Anchor here; its authors' 0.1",
        "alpha": "inferred: range of Proxy-Anchor here; its authors' 32",
    }
    | _tcm.SOURCES
    | _followup.sources(FOLLOWUP)
)
COST = "O(B C D + B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Proxy-Anchor over proxies [n_classes, dim], and margins of pairs; defaults the library's."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        margin: float = 0.1,
        alpha: float = 32.0,
        tcm_weight: float = 1.0,
        positive_margin: float = 0.9,
        negative_margin: float = 0.5,
    ) -> None:
        super().__init__()
        check("tcm_weight", tcm_weight, ">= 0 and finite", ok=0 <= tcm_weight < math.inf)
        self.n_classes, self.tcm_weight = n_classes, tcm_weight
        self.base = proxy_anchor.Loss(n_classes=n_classes, dim=dim, margin=margin, alpha=alpha)
        self.margins = _tcm.Margins(positive_margin, negative_margin)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.base(embeddings, labels)
        consistency: Tensor = self.margins(embeddings, labels)
        return loss + self.tcm_weight * consistency
