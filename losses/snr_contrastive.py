"""Contrastive loss on the noise-to-signal ratio: how much of the anchor's variance a change is.

With the variance taken over the D entries of an embedding, d(i, j) = var(x_i - x_j) / var(x_i)
(the anchor below, so not symmetric), over unit-length embeddings,

    mean over non-zero terms of [d(i, j) - pos_margin]_+   over pairs of the same class
  + mean over non-zero terms of [neg_margin - d(i, j)]_+   over pairs of different classes
  + regularizer_weight * mean over i of |sum over entries of x_i|.

Source: Yuan, Deng, Tang, Tang and Chen 2019 (CVPR), Eq. 6, 7 and 10. No code of the authors is
known. This is the form of Musgrave et al. 2020: unit-length embeddings (the ratio depends on
lengths; the paper does not normalise) and the mean over non-zero terms;
pytorch-metric-learning's SignalToNoiseRatioContrastiveLoss with ZeroMeanRegularizer is equal.
Written out here because the library divides zero by zero for a constant embedding, where var(x_i)
is raised to 1e-6. Without positives (negatives) their term is zero.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses._shared import check, check_batch, in_float32, non_zero_mean, positives_and_negatives

PAPER = (
    "Yuan, Deng, Tang, Tang and Chen 2019, Signal-to-Noise Ratio: A Robust Distance Metric for "
    "Deep Metric Learning, CVPR; on unit-length embeddings as in Musgrave et al. 2020"
)
YEAR = 2019
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "pos_margin": FloatDistribution(0.0, 2.0),
    "neg_margin": FloatDistribution(0.0, 2.0),
    "regularizer_weight": FloatDistribution(0.0, 1.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = dict(SPACE)
SCALED: dict[str, float] = {}
SOURCES = {
    "pos_margin": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "neg_margin": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "regularizer_weight": "Musgrave et al. 2020, bounds of their published search plots",
}
COST = "O(B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Contrastive loss on noise-to-signal ratios; default margins are the library's."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        pos_margin: float = 0.0,
        neg_margin: float = 1.0,
        regularizer_weight: float = 0.0,
    ) -> None:
        super().__init__()
        check("dim", dim, ">= 2: one entry has no variance", dim >= 2)
        check("pos_margin", pos_margin, "a finite number", math.isfinite(pos_margin))
        check("neg_margin", neg_margin, "a finite number", math.isfinite(neg_margin))
        ok = 0 <= regularizer_weight < math.inf
        check("regularizer_weight", regularizer_weight, ">= 0 and finite", ok)
        self.n_classes = n_classes
        self.pos_margin, self.neg_margin = pos_margin, neg_margin
        self.regularizer_weight = regularizer_weight

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        positives, negatives = positives_and_negatives(labels)
        # var(x_i - x_j) (D - 1) is the squared distance of the embeddings less their own means.
        centred = embeddings - embeddings.mean(1, keepdim=True)
        signal = centred.square().sum(1)
        noise = (signal[:, None] + signal - 2.0 * centred @ centred.T).clamp_min(0.0)
        ratios = noise / signal[:, None].clamp_min(1e-6)
        far = (ratios - self.pos_margin).relu() * positives
        near = (self.neg_margin - ratios).relu() * negatives
        spread = embeddings.sum(1).abs().mean()
        return non_zero_mean(far) + non_zero_mean(near) + self.regularizer_weight * spread
