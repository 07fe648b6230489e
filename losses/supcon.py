"""Supervised contrastive loss (SupCon): a softmax over all other images, averaged over positives.

With s_ij the cosine of unit-length embeddings and P(i) the anchor's positives, the mean over the
anchors that have a positive of

    -1/|P(i)| sum_{p in P(i)} log( exp(s_ip / temperature) / sum_{j != i} exp(s_ij / temperature) ).

All other images stand in the denominator, the positives too: that is the difference to `nt_xent`.
pytorch-metric-learning's SupConLoss computes it, after the authors' code; by default it leaves out
anchors whose loss is zero, as it is in float32 at small temperatures, and here they count. The
authors multiply by temperature / 0.07, take two views of every image and a projection that is
dropped after training; here the batch is as it is for every loss, and the embedding is what is
trained.

Source: Khosla et al. 2020, Supervised Contrastive Learning (NeurIPS, arXiv 2004.11362), Eq. 2
(L_out). A batch without positives or without negatives has a loss of zero.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import DotProductSimilarity
from pytorch_metric_learning.losses import SupConLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32, positives_and_negatives

PAPER = "Khosla et al. 2020, Supervised Contrastive Learning, NeurIPS 2020, Eq. 2 (L_out)"
YEAR = 2020
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"temperature": FloatDistribution(1e-3, 10.0, log=True)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("temperature",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "temperature": "inferred: two decades around the authors' 0.1; the reality check's bounds for "
    "NT-Xent are wider",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """SupCon over all positive pairs of the batch; the default is the authors' temperature."""

    def __init__(self, *, n_classes: int, dim: int, temperature: float = 0.1) -> None:
        super().__init__()
        check("temperature", temperature, "> 0 and finite", ok=0 < temperature < math.inf)
        self.n_classes = n_classes
        cosine = DotProductSimilarity(normalize_embeddings=False)
        self.pairs = SupConLoss(temperature, distance=cosine, reducer=MeanReducer())

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.pairs(embeddings, labels)  # over all anchors: 0 without a positive
        with_positive = positives_and_negatives(labels)[0].any(1).to(loss.dtype).mean()
        return loss / with_positive.clamp_min(1 / len(labels))
