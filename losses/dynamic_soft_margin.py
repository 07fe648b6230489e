"""Dynamic soft margin: triplets weighted by how hard they are among those of recent batches.

With g = d_ap - d_an of unit-length embeddings for every triplet of the batch, a histogram of g over
[-2, 2] is kept as a moving average (each g shared linearly between its two nearest nodes). The loss
is the mean over triplets of CDF(g) g, with CDF the cumulative share of the node at or below g. The
weight has no gradient. The first batch's histogram is taken whole; each next one counts by
`momentum`. The histogram is part of the state, and only `train()` moves it.

Source: Zhang and Rusinkiewicz 2019, Learning Local Descriptors with a CDF-Based Dynamic Soft Margin
(ICCV), Eq. 5 to 7. The paper takes one hardest negative a pair; this is the form with labels of
pytorch-metric-learning's DynamicSoftMarginLoss, over all triplets. The library has no node at the
upper end, so it fails on g above 1.6, and its histogram keeps the graph of earlier batches; neither
is so here. A batch without triplets has a loss of zero.
"""

from __future__ import annotations

import torch
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import (
    attached_zero,
    check,
    check_batch,
    euclidean_distance,
    in_float32,
    positives_and_negatives,
)

PAPER = (
    "Zhang and Rusinkiewicz 2019, Learning Local Descriptors with a CDF-Based Dynamic Soft Margin, "
    "ICCV 2019, over all triplets"
)
YEAR = 2019
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "num_bins": IntDistribution(5, 500, log=True),
    "momentum": FloatDistribution(0.001, 1.0, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(shares=("momentum",))  # the number of bins is a shape of the state
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "num_bins": "inferred around the library's 10",
    "momentum": "inferred around the library's 0.01",
} | _followup.sources(FOLLOWUP)
COST = "O(B^3 + B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Triplets weighted by a moving histogram [num_bins + 1]; defaults are the library's."""

    def __init__(
        self, *, n_classes: int, dim: int, num_bins: int = 10, momentum: float = 0.01
    ) -> None:
        super().__init__()
        check("num_bins", num_bins, "a whole number >= 1", ok=num_bins == int(num_bins) >= 1)
        check("momentum", momentum, "above 0, at most 1", ok=0 < momentum <= 1)
        self.n_classes, self.bins, self.momentum = n_classes, int(num_bins), momentum
        self.histogram: Tensor
        self.register_buffer("histogram", torch.zeros(self.bins + 1))

    @torch.no_grad()
    def shares(self, places: Tensor) -> Tensor:
        """The moving histogram after a batch whose gaps stand at `places` in 0..bins."""
        lower = places.floor().long().clamp_max(self.bins - 1)
        upper_share = (places - lower) / len(places)
        batch = torch.zeros_like(self.histogram)
        batch = batch.index_add(0, lower, 1.0 / len(places) - upper_share)
        batch = batch.index_add(0, lower + 1, upper_share)
        momentum = torch.where(self.histogram.sum() > 0, self.momentum, 1.0)
        return (1.0 - momentum) * self.histogram + momentum * batch

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        positives, negatives = positives_and_negatives(labels)
        if not (positives.any() and negatives.any()):
            return attached_zero(embeddings)
        distances = euclidean_distance(embeddings, embeddings)
        anchor, positive = positives.nonzero(as_tuple=True)
        gaps = distances[anchor, positive][:, None] - distances[anchor]
        gaps = gaps[negatives[anchor]]
        places = ((gaps.detach() + 2.0) * (self.bins / 4.0)).clamp(0.0, self.bins)
        shares = self.shares(places)
        if self.training:
            self.histogram.copy_(shares)
        return (shares.cumsum(0)[places.floor().long()] * gaps).mean()
