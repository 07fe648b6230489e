"""Intra-pair variance on the tuplet margin loss: pairs of a batch should be alike in similarity.

With s_ij the cosine of unit-length embeddings and mu+ and mu- its means over the positive and the
negative pairs of the batch, the loss is that of `tuplet_margin` plus

    variance_weight ( mean over positive pairs of [(1 - epsilon) mu+ - s_ij]_+^2
                    + mean over negative pairs of [s_ij - (1 + epsilon) mu-]_+^2 ).

The variance alone teaches no class: it is least where all images coincide. So it stands on the loss
of its paper here. pytorch-metric-learning's IntraPairVarianceLoss is the second term, with which
value and gradients agree; gradients flow through the means too.

Source: Yu and Tao 2019, Deep Metric Learning with Tuplet Margin Loss (ICCV), the intra-pair
variance loss added to the tuplet margin loss. The authors released no code; the weight that they
use is not established. A term without pairs is zero.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import DotProductSimilarity
from pytorch_metric_learning.losses import IntraPairVarianceLoss
from torch import Tensor, nn

from losses import _followup, tuplet_margin
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Yu and Tao 2019, Deep Metric Learning with Tuplet Margin Loss, ICCV 2019, with its intra-pair "
    "variance loss"
)
YEAR = 2019
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = tuplet_margin.SPACE | {
    "epsilon": FloatDistribution(0.0, 0.5),
    "variance_weight": FloatDistribution(0.01, 100.0, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale", "variance_weight"), shares=("margin", "epsilon"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = (
    {name: tuplet_margin.SOURCES[name] for name in tuplet_margin.SPACE}
    | {
        "epsilon": "inferred around the library's 0.01 for both kinds of pairs",
        "variance_weight": "inferred; the authors' value is not established",
    }
    | _followup.sources(FOLLOWUP)
)
COST = "O(B^3 + B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Tuplet margin loss and intra-pair variance; defaults are the authors' and the library's."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        margin: float = math.degrees(0.1),
        scale: float = 64.0,
        epsilon: float = 0.01,
        variance_weight: float = 1.0,
    ) -> None:
        super().__init__()
        check("epsilon", epsilon, "0 to 1", ok=0 <= epsilon <= 1)
        check("variance_weight", variance_weight, ">= 0", ok=0 <= variance_weight < math.inf)
        self.n_classes, self.weight = n_classes, variance_weight
        self.tuplets = tuplet_margin.Loss(n_classes=n_classes, dim=dim, margin=margin, scale=scale)
        self.variance = IntraPairVarianceLoss(
            epsilon, epsilon, distance=DotProductSimilarity(normalize_embeddings=False)
        )

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.tuplets(embeddings, labels)
        variance: Tensor = self.variance(embeddings, labels)
        return loss + self.weight * variance
