"""Multi-similarity loss without its miner: soft sums over all positives and all negatives.

With s_ij the cosine of unit-length embeddings, P(i) and N(i) the anchor's positives and negatives,
the mean over all anchors of

    1/alpha log(1 + sum over P(i) of exp(-alpha (s_ij - base)))
  + 1/beta  log(1 + sum over N(i) of exp( beta  (s_ij - base))).

Source: Wang et al. 2019 (CVPR, arXiv 1904.06627), Eq. 15 with all pairs kept. The authors' code
(MalongTech/research-ms-loss) always mines: that is `multi_similarity_miner`. The form without a
miner is a row of Musgrave et al. 2020, and pytorch-metric-learning's MultiSimilarityLoss computes
it. An anchor without positives (negatives) has a zero in that term.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import DotProductSimilarity
from pytorch_metric_learning.losses import MultiSimilarityLoss
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Wang, Han, Huang, Dong and Scott 2019, Multi-Similarity Loss with General Pair Weighting for "
    "Deep Metric Learning, CVPR, Eq. 15 over all pairs"
)
YEAR = 2019
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "alpha": FloatDistribution(0.01, 100.0),
    "beta": FloatDistribution(0.01, 100.0),
    "base": FloatDistribution(0.0, 1.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("alpha", "beta"), shares=("base",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "alpha": "Musgrave et al. 2020, bounds of their published search plots (CUB from 0.001)",
    "beta": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "base": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Multi-similarity over all pairs of the batch; defaults are the authors' (with miner)."""

    def __init__(
        self, *, n_classes: int, dim: int, alpha: float = 2.0, beta: float = 50.0, base: float = 0.5
    ) -> None:
        super().__init__()
        check("alpha", alpha, "> 0 and finite", ok=0 < alpha < math.inf)
        check("beta", beta, "> 0 and finite", ok=0 < beta < math.inf)
        check("base", base, "a finite number", ok=math.isfinite(base))
        self.n_classes = n_classes
        self.pairs = MultiSimilarityLoss(
            alpha, beta, base, distance=DotProductSimilarity(normalize_embeddings=False)
        )

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.pairs(embeddings, labels)
        return loss
