"""Circle loss: every similarity weighted by how far it is from its optimum.

With s_ij the cosine of unit-length embeddings and sg() a stop of the gradient, the mean over the
anchors i of softplus(LSE over positives of  gamma sg([1 + m - s_ij]_+) (1 - m - s_ij)
                    + LSE over negatives of  gamma sg([s_ij + m]_+)     (s_ij - m)).

Source: Sun et al. 2020 (CVPR, arXiv 2002.10857), Eq. 6 to 8, pairwise labels. The authors released
no code. pytorch-metric-learning's CircleLoss computes it. Here the mean is over all anchors, as in
fastreid; the library's default leaves out anchors whose loss is zero. An anchor without positives
or without negatives counts as zero.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import CircleLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Sun et al. 2020, Circle Loss: A Unified Perspective of Pair Similarity Optimization, CVPR, "
    "Eq. 6-8"
)
YEAR = 2020
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "m": FloatDistribution(0.0, 1.0),
    "gamma": FloatDistribution(1.0, 1000.0, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("gamma",), shares=("m",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "m": "inferred; the paper's 0.4 for fine-grained retrieval, 0.25 for faces",
    "gamma": "inferred; the paper's 80 for fine-grained retrieval, 256 for faces",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Circle loss over all pairs; defaults are the paper's for fine-grained retrieval."""

    def __init__(self, *, n_classes: int, dim: int, m: float = 0.4, gamma: float = 80.0) -> None:
        super().__init__()
        check("m", m, "between 0 and 1", ok=0 <= m <= 1)
        check("gamma", gamma, "> 0 and finite", ok=0 < gamma < math.inf)
        self.n_classes = n_classes
        self.pairs = CircleLoss(m=m, gamma=gamma, reducer=MeanReducer())

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.pairs(embeddings, labels)
        return loss
