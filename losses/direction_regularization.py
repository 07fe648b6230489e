"""Direction regularisation on triplets: negatives are to leave at a right angle to the positives.

With d the Euclidean distance of unit-length embeddings and cos(p - a, n - a) the cosine at the
anchor between the ways to the positive and to the negative,

    mean over non-zero terms of [d_ap - d_an + margin - gamma cos(p - a, n - a)]_+

over all triplets of the batch. A negative on the positive's side is pushed less, because the push
from the anchor would move it towards the positive. gamma = 0 is `triplet`.

The paper adds the term to the triplet, Proxy-NCA and multi-similarity losses; no code was
released. This is its triplet form as an independent re-implementation has it (alpoler/mohan2020,
where a search on CUB chose margin 0.28 and gamma 0.49). Whether the paper's distances are squared
could not be established: they are not here, nor in `triplet`. Where two images of a class coincide
the way has no direction, and its cosine is damped to 0. Without triplets the loss is zero.

Source: Mohan, Sankaran, Fedorishin, Setlur and Govindaraju 2020, Moving in the Right Direction: A
Regularization for Deep Metric Learning (CVPR).
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import (
    check,
    check_batch,
    euclidean_distance,
    in_float32,
    non_zero_mean,
    positives_and_negatives,
)

PAPER = (
    "Mohan, Sankaran, Fedorishin, Setlur and Govindaraju 2020, Moving in the Right Direction: A "
    "Regularization for Deep Metric Learning, CVPR 2020, on triplets"
)
YEAR = 2020
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"margin": FloatDistribution(-0.2, 2.0), "gamma": FloatDistribution(0.0, 1.0)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("gamma",), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "Musgrave et al. 2020, bounds of triplet's search plots, every dataset",
    "gamma": "inferred: a share of a distance; 0.49 in the re-implementation",
} | _followup.sources(FOLLOWUP)
COST = "O(B^3 + B^2 D)"
STATUS = "paper"


class Loss(nn.Module):
    """Direction-regularised triplets; the defaults are choices of this project."""

    def __init__(
        self, *, n_classes: int, dim: int, margin: float = 0.2, gamma: float = 0.5
    ) -> None:
        super().__init__()
        check("margin", margin, "a finite number", ok=math.isfinite(margin))
        check("gamma", gamma, ">= 0 and finite", ok=0 <= gamma < math.inf)
        self.n_classes, self.margin, self.gamma = n_classes, margin, gamma

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        positives, negatives = positives_and_negatives(labels)
        anchor, positive = positives.nonzero(as_tuple=True)
        products = embeddings @ embeddings.T
        distances = euclidean_distance(embeddings, embeddings)
        near, far = distances[anchor, positive][:, None], distances[anchor]
        along = products[positive] - products[anchor, positive][:, None] - products[anchor]
        along = along + products[anchor, anchor][:, None]  # (p - a) . (n - a)
        cosine = along / (near * far).clamp_min(1e-4)
        terms = (near - far + self.margin - self.gamma * cosine).relu()
        return non_zero_mean(terms.where(negatives[anchor], 0.0))
