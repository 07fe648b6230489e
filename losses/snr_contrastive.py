"""Contrastive loss on the noise-to-signal ratio: the variance of a difference over the anchor's.

With the variance taken over the D entries of an embedding, d(i, j) = var(x_i - x_j) / var(x_i)
(divided by the anchor's variance, so not symmetric), over unit-length embeddings,

    mean over non-zero terms of [d(i, j) - pos_margin]_+   over pairs of the same class
  + mean over non-zero terms of [neg_margin - d(i, j)]_+   over pairs of different classes
  + regularizer_weight * mean over i of |sum over entries of x_i|.

Source: Yuan, Deng, Tang, Tang and Chen 2019 (CVPR), Eq. 6, 7 and 10. No code of the authors is
known. This is the form of Musgrave et al. 2020, with the mean over non-zero terms and unit-length
embeddings (the ratio depends on lengths; the paper does not normalise). It equals
pytorch-metric-learning's SignalToNoiseRatioContrastiveLoss with ZeroMeanRegularizer. It is written
out here because the library divides zero by zero for a constant embedding, whose var(x_i) is raised
to 1e-6 here. Without positives (negatives) their term is zero.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32, non_zero_mean, positives_and_negatives

PAPER = (
    "Yuan, Deng, Tang, Tang and Chen 2019, Signal-to-Noise Ratio: A Robust Distance Metric for "
    "Deep Metric Learning, CVPR; on unit-length embeddings as in Musgrave et al. 2020"
)
YEAR = 2019
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "pos_margin": FloatDistribution(0.0, 2.0),
    "neg_margin": FloatDistribution(0.0, 2.0),
    "regularizer_weight": FloatDistribution(0.0, 1.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("regularizer_weight",), shares=("pos_margin", "neg_margin"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "pos_margin": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "neg_margin": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "regularizer_weight": "Musgrave et al. 2020, bounds of their published search plots",
} | _followup.sources(FOLLOWUP)
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
        check("dim", dim, ">= 2: one entry has no variance", ok=dim >= 2)
        check("pos_margin", pos_margin, "a finite number", ok=math.isfinite(pos_margin))
        check("neg_margin", neg_margin, "a finite number", ok=math.isfinite(neg_margin))
        check(
            "regularizer_weight",
            regularizer_weight,
            ">= 0 and finite",
            ok=0 <= regularizer_weight < math.inf,
        )
        self.n_classes = n_classes
        self.pos_margin, self.neg_margin = pos_margin, neg_margin
        self.regularizer_weight = regularizer_weight

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        positives, negatives = positives_and_negatives(labels)
        # var(x_i - x_j) (D - 1) is the squared distance of the two embeddings minus their means
        centred = embeddings - embeddings.mean(1, keepdim=True)
        signal = centred.square().sum(1)
        noise = (signal[:, None] + signal - 2.0 * centred @ centred.T).clamp_min(0.0)
        ratios = noise / signal[:, None].clamp_min(1e-6)
        far = (ratios - self.pos_margin).relu() * positives
        near = (self.neg_margin - ratios).relu() * negatives
        regularizer = embeddings.sum(1).abs().mean()
        return non_zero_mean(far) + non_zero_mean(near) + self.regularizer_weight * regularizer
