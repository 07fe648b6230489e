"""CBML: a contrastive Bayesian loss, soft sums whose offset and slope differ for the two sides.

With s_ij the cosine of unit-length embeddings, P(i) the anchor's positives (of cosine at most
1 - 1e-5, as in the authors' code) and N(i) its negatives, the anchor keeps the positives with
s_ij - margin < its hardest negative and the negatives with s_ij + margin > its hardest positive.
Its loss is, with m_i = hyper_weight * mean of P(i) + (1 - hyper_weight) * mean of N(i),

    log(1 + sum over kept positives of exp(-(s_ij - pos_a) / pos_b))
  + log(1 + sum over kept negatives of exp( (s_ij - neg_a) / neg_b))
  + weight * sum over all N(i) of (s_ij - m_i)^2,

and zero if it keeps no positive or no negative. The loss of the batch is the sum over the anchors
divided by B. The last term is a sum, not a mean, and its gradient also flows through m_i.

Source: Kan, He, Cen, Li, Mladenovic and He 2022 (TPAMI, arXiv 2210.04402); code kanshichao/CBML,
type "log" with adaptive negatives (its default), to which this is equal wherever theirs does not
overflow. A batch without positives or without negatives has a loss of zero.
"""

from __future__ import annotations

import math

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32, positives_and_negatives

PAPER = (
    "Kan, He, Cen, Li, Mladenovic and He 2022, Contrastive Bayesian Analysis for Deep Metric "
    "Learning, IEEE TPAMI"
)
YEAR = 2022
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "pos_a": FloatDistribution(0.0, 1.0),
    "pos_b": FloatDistribution(0.01, 10.0, log=True),
    "neg_a": FloatDistribution(0.0, 1.5),
    "neg_b": FloatDistribution(0.005, 1.0, log=True),
    "margin": FloatDistribution(0.0, 1.0),
    "weight": FloatDistribution(0.01, 10.0, log=True),
    "hyper_weight": FloatDistribution(0.0, 1.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(
    factors=("pos_b", "neg_b", "weight"), shares=("pos_a", "neg_a", "margin", "hyper_weight")
)
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "pos_a": "inferred around the authors' 0.5",
    "pos_b": "inferred around the authors' 0.5",
    "neg_a": "inferred around the authors' 1.0",
    "neg_b": "inferred around the authors' 0.01",
    "margin": "the range of multi-similarity's epsilon in Musgrave et al. 2020; authors' 0.1",
    "weight": "inferred around the authors' 1",
    "hyper_weight": "inferred around the authors' 0.1 (0.2 on CUB with ResNet50)",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "authors"


class Loss(nn.Module):
    """Contrastive Bayesian loss; defaults are the authors'."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        pos_a: float = 0.5,
        pos_b: float = 0.5,
        neg_a: float = 1.0,
        neg_b: float = 0.01,
        margin: float = 0.1,
        weight: float = 1.0,
        hyper_weight: float = 0.1,
    ) -> None:
        super().__init__()
        check("pos_a", pos_a, "a finite number", ok=math.isfinite(pos_a))
        check("pos_b", pos_b, "> 0 and finite", ok=0 < pos_b < math.inf)
        check("neg_a", neg_a, "a finite number", ok=math.isfinite(neg_a))
        check("neg_b", neg_b, "> 0 and finite", ok=0 < neg_b < math.inf)
        check("margin", margin, "a finite number", ok=math.isfinite(margin))
        check("weight", weight, ">= 0 and finite", ok=0 <= weight < math.inf)
        check("hyper_weight", hyper_weight, "between 0 and 1", ok=0 <= hyper_weight <= 1)
        self.n_classes, self.margin = n_classes, margin
        self.pos_a, self.pos_b, self.neg_a, self.neg_b = pos_a, pos_b, neg_a, neg_b
        self.weight, self.hyper_weight = weight, hyper_weight

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosines = embeddings @ embeddings.T
        positives, negatives = positives_and_negatives(labels)
        positives &= cosines.detach() < 1.0 - 1e-5
        hardest_negative = cosines.masked_fill(~negatives, -math.inf).amax(1, keepdim=True)
        hardest_positive = cosines.masked_fill(~positives, math.inf).amin(1, keepdim=True)
        kept_positives = positives & (cosines - self.margin < hardest_negative)
        kept_negatives = negatives & (cosines + self.margin > hardest_positive)
        pull = _soft_sum((self.pos_a - cosines) / self.pos_b, kept_positives)
        push = _soft_sum((cosines - self.neg_a) / self.neg_b, kept_negatives)
        means = self.hyper_weight * _row_means(cosines, positives)
        means = means + (1.0 - self.hyper_weight) * _row_means(cosines, negatives)
        variance = ((cosines - means).square() * negatives).sum(1)
        anchors = kept_positives.any(1) & kept_negatives.any(1)
        return ((pull + push + self.weight * variance) * anchors).sum() / len(labels)


def _soft_sum(exponents: Tensor, mask: Tensor) -> Tensor:
    """log(1 + sum of exp) over the masked entries of each row [B, B]: [B]."""
    zero = exponents.new_zeros(len(exponents), 1)  # exp(0) is the 1 in log(1 + sum)
    return torch.cat([exponents.masked_fill(~mask, -math.inf), zero], 1).logsumexp(1)


def _row_means(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the masked entries of each row [B, B], zero where there are none: [B, 1]."""
    return (values * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp_min(1)
