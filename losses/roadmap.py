"""ROADMAP: SupAP, a smooth bound of average precision, plus a calibration of the similarities.

It is Smooth-AP with a step of t = s_qj - s_qi that treats right and wrong images differently.
For j of the query's class it is the exact step: 1 where t >= 0, without gradient. For other j:

    t <= 0          sigma(t / tau)
    0 < t <= delta  1/2 + sigma(t / tau)
    t > delta       rho (t - delta) + offset          (it does not saturate)

R+ and R are 1 plus the steps over the images j != i of the class, and over all; SupAP is
1 minus the mean of R+ / R over the queries and the images of their class, the query included. The
calibration is a contrastive loss on cosines: mean over non-zero terms of [pos_margin - s]_+ over
positives plus that of [s - neg_margin]_+ over negatives. Only the calibration normalises the
embeddings, as in the authors' code. The loss is SupAP + weight * calibration.

Source: Ramzi, Thome, Rambour, Audebert and Bitot 2021 (NeurIPS, arXiv 2110.01445), Eq. 5 to 9;
code elias-ramzi/ROADMAP, to which value and gradients are equal. The code has weight 1, the paper
(1 - lambda) SupAP + lambda calibration with lambda = 1/2: the same direction. Without positives
(negatives) the calibration has only its other term. If a class has one image in the batch, that
image is its only positive.
"""

from __future__ import annotations

import math

import torch
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import DotProductSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32, similarity_gaps, smooth_step

PAPER = (
    "Ramzi, Thome, Rambour, Audebert and Bitot 2021, Robust and Decomposable Average Precision "
    "for Image Retrieval, NeurIPS, Eq. 5-9"
)
YEAR = 2021
KIND = "ranking"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "tau": FloatDistribution(1e-3, 1.0, log=True),
    "rho": FloatDistribution(1.0, 1000.0, log=True),
    "delta": FloatDistribution(0.0, 0.3),
    "pos_margin": FloatDistribution(0.5, 1.0),
    "neg_margin": FloatDistribution(0.0, 0.9),
    "weight": FloatDistribution(0.1, 10.0, log=True),
}
FIXED = {"offset": "1.44, the authors' value of the step at delta; near 1/2 + sigma(delta / tau)"}
FOLLOWUP = _followup.ratios(
    factors=("tau", "rho", "weight"), shares=("delta", "pos_margin", "neg_margin")
)
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "tau": "inferred around the authors' 0.01",
    "rho": "inferred around the authors' 100",
    "delta": "inferred around the authors' 0.05",
    "pos_margin": "inferred around the authors' 0.9, a cosine",
    "neg_margin": "inferred around the authors' 0.6, a cosine",
    "weight": "inferred: lambda from 0.09 to 0.91 around the authors' 1/2",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 (D + K)) for K images of a class"
STATUS = "authors"


class Loss(nn.Module):
    """SupAP plus calibration; defaults are the authors'."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        tau: float = 0.01,
        rho: float = 100.0,
        offset: float = 1.44,
        delta: float = 0.05,
        pos_margin: float = 0.9,
        neg_margin: float = 0.6,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        check("tau", tau, "> 0 and finite", ok=0 < tau < math.inf)
        check("rho", rho, ">= 0 and finite", ok=0 <= rho < math.inf)
        check("offset", offset, "> 0 and finite", ok=0 < offset < math.inf)
        check("delta", delta, ">= 0 and finite", ok=0 <= delta < math.inf)
        check("pos_margin", pos_margin, "a finite number", ok=math.isfinite(pos_margin))
        check("neg_margin", neg_margin, "a finite number", ok=math.isfinite(neg_margin))
        check("weight", weight, ">= 0 and finite", ok=0 <= weight < math.inf)
        self.n_classes, self.tau, self.rho = n_classes, tau, rho
        self.offset, self.delta, self.weight = offset, delta, weight
        self.calibration = ContrastiveLoss(pos_margin, neg_margin, distance=DotProductSimilarity())

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        same = labels[:, None] == labels
        queries = same.nonzero(as_tuple=True)[0]
        gaps, others = similarity_gaps(embeddings, same)
        right = ((gaps.detach() >= 0) & others & same[queries]).sum(1)
        wrong = (self.step(gaps) * ~same[queries]).sum(1)
        shares = wrong / (1.0 + right + wrong)
        sup_ap = (shares / same.sum(1)[queries]).sum() / len(labels)
        calibration: Tensor = self.calibration(embeddings, labels)
        return sup_ap + self.weight * calibration

    def step(self, gaps: Tensor) -> Tensor:
        """How much a wrong image at similarity gap t adds to a rank."""
        smooth = smooth_step(gaps, self.tau)
        steep = self.rho * (gaps - self.delta) + self.offset
        return torch.where(gaps > self.delta, steep, smooth + 0.5 * (gaps > 0))
