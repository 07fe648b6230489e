"""Mean-field contrastive loss: the contrastive loss against one learnt mean field a class.

With d_ic one minus the cosine of image i and the mean field of class c, and D_cd that of two mean
fields,

    mean over images of ( [d_iy - pos_margin]_+ + sum_{c != y} [neg_margin - d_ic]_+ )
  + field_weight / C sum_c sum_{d != c} [neg_margin - D_cd]_+^2.

The second line keeps the mean fields apart, as the mean-field limit of their own interaction. Mean
fields are normalised when used and start as N(0, 1); they are called `proxies` here, like every
class weight. All commands in the authors' README set the weight of the second line to 0.

Source: Furusawa 2024, Mean Field Theory in Deep Metric Learning (ICLR, arXiv 2306.15368), the
MeanFieldContrastive loss; the authors' code, class MeanFieldContrastiveLoss with mf_power = 2, to
which value and gradients are equal.
"""

from __future__ import annotations

import math

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup, _mean_field
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Furusawa 2024, Mean Field Theory in Deep Metric Learning, ICLR 2024, MeanFieldContrastive loss"
)
YEAR = 2024
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "pos_margin": FloatDistribution(0.0, 1.0),
    "neg_margin": FloatDistribution(0.0, 1.0),
    "field_weight": FloatDistribution(0.0, 1.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("field_weight",), shares=("pos_margin", "neg_margin"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "pos_margin": "inferred: distances up to a right angle; the authors' 0.02",
    "neg_margin": "inferred: distances up to a right angle; the authors' 0.3",
    "field_weight": "inferred, with the 0 of the authors' commands",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D + C^2 D)"
STATUS = "authors"


class Loss(nn.Module):
    """Contrastive loss against mean fields [n_classes, dim]; defaults are the authors' values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        pos_margin: float = 0.02,
        neg_margin: float = 0.3,
        field_weight: float = 0.0,
    ) -> None:
        super().__init__()
        check("pos_margin", pos_margin, ">= 0 and finite", ok=0 <= pos_margin < math.inf)
        check("neg_margin", neg_margin, ">= 0 and finite", ok=0 <= neg_margin < math.inf)
        check("field_weight", field_weight, ">= 0 and finite", ok=0 <= field_weight < math.inf)
        self.n_classes, self.pos_margin, self.neg_margin = n_classes, pos_margin, neg_margin
        self.field_weight = field_weight
        self.proxies = nn.Parameter(torch.randn(n_classes, dim))

    def near(self, distances: Tensor) -> Tensor:
        """How far inside the negative margin distances are."""
        return (self.neg_margin - distances).relu()

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        distances = _mean_field.distances(embeddings, self.proxies)
        far = (distances.gather(1, labels[:, None]) - self.pos_margin).relu()
        near = self.near(distances).scatter(1, labels[:, None], 0.0)
        loss = far.mean() + near.sum(1).mean()
        if self.field_weight > 0:
            loss = loss + self.field_weight * _mean_field.repulsion(self.proxies, self.near)
        return loss
