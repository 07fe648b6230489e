"""Lifted structured embedding: a positive pair against all negatives of both its ends.

With d_ij = ||x_i - x_j||, embeddings not normalised, for every pair i < j of the same class

    J_ij = log( sum over negatives k of i of exp(neg_margin - d_ik)
              + sum over negatives l of j of exp(neg_margin - d_jl) ) + d_ij ;

the loss is 1 / (2 * number of pairs) * sum of [J_ij]_+^2, plus l2_reg_weight times the mean
squared norm of the embeddings.

Source: Song, Xiang, Jegelka and Savarese 2016 (CVPR, arXiv 1511.06452), Eq. 4; code
rksltnl/Caffe-Deep-Metric-Learning-CVPR16, to which the loss is equal at l2_reg_weight 0, and so is
pytorch-metric-learning's LiftedStructureLoss without its default normalisation. That holds every
positive pair beside every negative one; here the sum over an image's negatives is taken once. The
authors' layer has no L2 term; re-implementations add one, because nothing else bounds the norm.
neg_margin is a distance between raw embeddings, so its range depends on their norm. The authors'
margin is 1 for 64 dimensions. With weights of variance 1 / (number of inputs) and inputs of unit
second moment, such a head starts at norm sqrt(64) = 8: SPACE states the range for that norm.
A batch without positives or without negatives has only the L2 term.
"""

from __future__ import annotations

import math

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import (
    check,
    check_batch,
    euclidean_distance,
    in_float32,
    positives_and_negatives,
)

PAPER = (
    "Song, Xiang, Jegelka and Savarese 2016, Deep Metric Learning via Lifted Structured Feature "
    "Embedding, CVPR, Eq. 4"
)
YEAR = 2016
KIND = "pair"
EMBEDDING = "unbounded"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "neg_margin": FloatDistribution(0.1, 10.0, log=True),
    "l2_reg_weight": FloatDistribution(1e-5, 1e-1, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("neg_margin", "l2_reg_weight"))
REFERENCE_NORM = {"neg_margin": 8.0}
SOURCES = {
    "neg_margin": "inferred around the authors' 1 at an initial norm of about 8",
    "l2_reg_weight": "inferred around 0.005, the weight of Roth et al. 2020's re-implementation",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "authors"


class Loss(nn.Module):
    """Lifted structure over all positive pairs; defaults are the authors'."""

    def __init__(
        self, *, n_classes: int, dim: int, neg_margin: float = 1.0, l2_reg_weight: float = 0.0
    ) -> None:
        super().__init__()
        check("neg_margin", neg_margin, "a finite number", ok=math.isfinite(neg_margin))
        check("l2_reg_weight", l2_reg_weight, ">= 0 and finite", ok=0 <= l2_reg_weight < math.inf)
        self.n_classes, self.neg_margin = n_classes, neg_margin
        self.l2_reg_weight = l2_reg_weight

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        positive, negative = positives_and_negatives(labels)
        distances = euclidean_distance(embeddings, embeddings)
        pushed = (self.neg_margin - distances).masked_fill(~negative, -torch.inf).logsumexp(1)
        terms = (torch.logaddexp(pushed[:, None], pushed) + distances).relu().square() / 2
        used = positive & negative.any(1, keepdim=True)
        loss = torch.where(used, terms, 0.0).sum() / used.sum().clamp_min(1)
        return loss + self.l2_reg_weight * embeddings.square().sum(1).mean()
