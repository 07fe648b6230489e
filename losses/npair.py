"""N-pair loss: each class's anchor must find its positive among the positives of all classes.

With one pair (x_i, x_i+) of every class, embeddings not normalised, the mean over the pairs of
log(1 + sum over j != i of exp(x_i . x_j+  -  x_i . x_i+)), plus l2_reg_weight times the mean
squared norm of the batch's embeddings.

The paper's batches hold two images of each class. Here the first two images of every class in the
batch are one such batch, the third and fourth another, and so on; the mean is over all pairs. The
last image of an odd number is left out. So the order within a class matters: it decides who is
paired. Without pairs the loss is the L2 term alone.

Source: Sohn 2016 (NIPS), Eq. 8, L2 term of Sec. 3.2.2. The author released no code. With two images
of a class it equals pytorch-metric-learning's NPairsLoss without its default normalisation (the
paper does not normalise). With more images of a class, that library uses only two of them.
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
    "Sohn 2016, Improved Deep Metric Learning with Multi-class N-pair Loss Objective, NIPS, Eq. 8"
)
YEAR = 2016
KIND = "pair"
EMBEDDING = "unbounded"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"l2_reg_weight": FloatDistribution(1e-5, 1e-1, log=True)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("l2_reg_weight",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "l2_reg_weight": "inferred around 0.005, the paper's 0.02 times its factor 0.25"
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """N-pair loss over consecutive pairs of every class; the default weight is the paper's."""

    def __init__(self, *, n_classes: int, dim: int, l2_reg_weight: float = 0.005) -> None:
        super().__init__()
        check("l2_reg_weight", l2_reg_weight, ">= 0 and finite", ok=0 <= l2_reg_weight < math.inf)
        self.n_classes, self.l2_reg_weight = n_classes, l2_reg_weight

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        penalty = self.l2_reg_weight * embeddings.square().sum(1).mean()
        same = labels[:, None] == labels
        position = same.tril(-1).sum(1)  # 0 for the first image of its class, 1 for the second, ...
        partners = same & (position == position[:, None] + 1) & (position[:, None] % 2 == 0)
        anchors, positives = partners.nonzero(as_tuple=True)
        if len(anchors) == 0:
            return penalty
        same_round = position[anchors][:, None] == position[anchors]
        logits = embeddings[anchors] @ embeddings[positives].T
        logits = logits.masked_fill(~same_round, -math.inf)
        targets = torch.arange(len(anchors), device=labels.device)
        return F.cross_entropy(logits, targets) + penalty
