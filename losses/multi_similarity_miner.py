"""Multi-similarity loss with its miner: soft sums over the pairs that are hard enough.

With s_ij the cosine of unit-length embeddings, the anchor i keeps the positives with
s_ij - epsilon < its hardest negative and the negatives with s_ij + epsilon > its hardest positive.
The loss is the mean over all anchors of the batch (an anchor that keeps nothing counts as zero) of

    1/alpha log(1 + sum over kept positives of exp(-alpha (s_ij - base)))
  + 1/beta  log(1 + sum over kept negatives of exp( beta  (s_ij - base))).

Source: Wang et al. 2019 (CVPR, arXiv 1904.06627), Eq. 10 to 15; code MalongTech/research-ms-loss,
to which value and gradients are equal, through pytorch-metric-learning's MultiSimilarityMiner and
MultiSimilarityLoss. One difference: the authors leave out the anchor itself by dropping positives
of cosine above 1 - 1e-5, and so drop duplicates too. Without positives or without negatives no
pair is kept and the loss is zero.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import DotProductSimilarity
from pytorch_metric_learning.losses import MultiSimilarityLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Wang, Han, Huang, Dong and Scott 2019, Multi-Similarity Loss with General Pair Weighting for "
    "Deep Metric Learning, CVPR, Eq. 10-15"
)
YEAR = 2019
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "alpha": FloatDistribution(0.01, 100.0),
    "beta": FloatDistribution(0.01, 200.0),
    "base": FloatDistribution(0.0, 1.0),
    "epsilon": FloatDistribution(0.0, 1.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("alpha", "beta"), shares=("base", "epsilon"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "alpha": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "beta": "Musgrave et al. 2020, bounds of their published search plots (CUB, Cars up to 100)",
    "base": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "epsilon": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "authors"


class Loss(nn.Module):
    """Multi-similarity over mined pairs; defaults are the authors'."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        epsilon: float = 0.1,
    ) -> None:
        super().__init__()
        check("alpha", alpha, "> 0 and finite", ok=0 < alpha < math.inf)
        check("beta", beta, "> 0 and finite", ok=0 < beta < math.inf)
        check("base", base, "a finite number", ok=math.isfinite(base))
        check("epsilon", epsilon, "a finite number", ok=math.isfinite(epsilon))
        self.n_classes = n_classes
        cosine = DotProductSimilarity(normalize_embeddings=False)
        self.miner = MultiSimilarityMiner(epsilon, distance=cosine)
        self.pairs = MultiSimilarityLoss(alpha, beta, base, distance=cosine)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        kept = self.miner(embeddings, labels)
        # Not self.pairs(embeddings, labels, kept), which is 0 where one pair of each kind is kept.
        by_anchor = self.pairs.mat_based_loss(self.pairs.distance(embeddings), kept)
        loss: Tensor = self.pairs.reducer(by_anchor, embeddings, labels)
        return loss
