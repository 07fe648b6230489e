"""Histogram loss: how likely a random negative pair is more similar than a random positive pair.

Cosines lie in [-1, 1]; each is shared linearly between the two nearest of n_bins + 1 nodes. With
h+ and h- the two normalised histograms, of all positive and of all negative pairs of the batch, and
H+ the cumulative sum of h+, the loss is the sum over nodes of h- H+.

pytorch-metric-learning's HistogramLoss is the same up to rounding; it fails where a cosine is 1,
as between two equal images, and leaves out pairs of images that have no positive.

Source: Ustinova and Lempitsky 2016, Learning Deep Embeddings with Histogram Loss (NeurIPS, arXiv
1611.00822), Eq. 2 to 7. A batch without positives or without negatives has a loss of zero.
"""

from __future__ import annotations

import torch
from optuna.distributions import IntDistribution
from torch import Tensor, nn

from losses._shared import (
    attached_zero,
    check,
    check_batch,
    in_float32,
    positives_and_negatives,
)

PAPER = (
    "Ustinova and Lempitsky 2016, Learning Deep Embeddings with Histogram Loss, NeurIPS 2016, "
    "Eq. 2-7"
)
YEAR = 2016
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"n_bins": IntDistribution(10, 500, log=True)}
FIXED: dict[str, str] = {}
FOLLOWUP: dict[str, IntDistribution] = {}  # how finely cosines are read, not how hard they push
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {"n_bins": "inferred around the library's 100; the paper found little difference"}
COST = "O(B^2 (D + n_bins))"
STATUS = "library"


class Loss(nn.Module):
    """Histogram loss with `n_bins` intervals over [-1, 1]; the default is the library's."""

    def __init__(self, *, n_classes: int, dim: int, n_bins: int = 100) -> None:
        super().__init__()
        check("n_bins", n_bins, "a whole number >= 1", ok=n_bins == int(n_bins) >= 1)
        self.n_classes, self.n_bins = n_classes, int(n_bins)

    def histogram(self, cosines: Tensor) -> Tensor:
        """Shares [n_bins + 1] of cosines [P] at the nodes; differentiable."""
        places = (cosines.clamp(-1.0, 1.0) + 1.0) * (self.n_bins / 2.0)
        nodes = torch.arange(self.n_bins + 1, device=cosines.device)
        return (1.0 - (places[:, None] - nodes).abs()).relu().mean(0)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        positives, negatives = positives_and_negatives(labels)
        if not (positives.any() and negatives.any()):
            return attached_zero(embeddings)
        # each pair once: both orders have the same cosine
        cosines = (embeddings @ embeddings.T).triu(1)
        upper = torch.ones_like(positives).triu(1)
        of_positives = self.histogram(cosines[positives & upper])
        return (self.histogram(cosines[negatives & upper]) * of_positives.cumsum(0)).sum()
