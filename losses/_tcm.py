"""Threshold-consistent margins: one pair of cosine margins for all classes, added to a base loss.

Source: Zhang et al. 2024, Threshold-Consistent Margin Loss for Open-World Deep Metric Learning
(ICLR, arXiv 2307.04047); pytorch-metric-learning's ThresholdConsistentMarginLoss. The first version
of the paper calls it Calibration-Aware Margin loss. No code of the authors is known.
"""

from __future__ import annotations

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, positives_and_negatives

SPACE = {
    "tcm_weight": FloatDistribution(0.01, 10.0, log=True),
    "positive_margin": FloatDistribution(0.5, 1.0),
    "negative_margin": FloatDistribution(0.0, 0.7),
}
FOLLOWUP = _followup.ratios(factors=("tcm_weight",), shares=("positive_margin", "negative_margin"))
SOURCES = {
    "tcm_weight": "inferred around the library's 1 for both terms",
    "positive_margin": "inferred around the library's 0.9",
    "negative_margin": "inferred around the library's 0.5",
}


class Margins(nn.Module):
    """The regulariser: mean excess of hard positives and of hard negatives over their margins."""

    def __init__(self, positive_margin: float, negative_margin: float) -> None:
        super().__init__()
        positive, negative = positive_margin, negative_margin
        check("positive_margin", positive, "a cosine: -1 to 1", ok=-1 <= positive <= 1)
        check("negative_margin", negative, "a cosine: -1 to 1", ok=-1 <= negative <= 1)
        self.positive, self.negative = positive, negative

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar, of unit-length embeddings [B, D]; a term without hard pairs is zero."""
        cosine = embeddings @ embeddings.T
        positives, negatives = positives_and_negatives(labels)
        positives, negatives = (
            positives & (cosine <= self.positive),
            negatives & (cosine >= self.negative),
        )
        pull = (self.positive - cosine).where(positives, 0.0).sum()
        push = (cosine - self.negative).where(negatives, 0.0).sum()
        return pull / positives.sum().clamp_min(1) + push / negatives.sum().clamp_min(1)
