"""Ranked list loss: positives inside one sphere around the query, negatives outside a larger one.

With d the Euclidean distance of unit-length embeddings and alpha = 1 + margin / 2, the query i has

    P(i): images of its class with d > alpha - margin,      N(i): others with d < alpha,
    L+ = sum_P w+ (d - alpha + margin) / (sum_P w+ + 1e-5 B),  w+ = exp(t_p (d - alpha + margin)),
    L- = sum_N w- (alpha - d)          / (sum_N w- + 1e-5 B),  w- = exp(t_n (alpha - d)),

and the loss is the mean over queries of (1 - imbalance) L+ + imbalance L-. Gradients flow through
the weights too. It equals pytorch-metric-learning's RankedListLoss, whose two spheres lie at equal
distances from 1; the authors' alpha = 1.2 with margin 0.4 is the same pair.

Source: Wang, Hua, Kodirov, Hu, Garnier and Robertson 2019, Ranked List Loss for Deep Metric
Learning (CVPR, arXiv 1903.03238), the simpler form, RLL-S.
"""

from __future__ import annotations

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import (
    check,
    check_batch,
    euclidean_distance,
    in_float32,
    positives_and_negatives,
)

PAPER = (
    "Wang, Hua, Kodirov, Hu, Garnier and Robertson 2019, Ranked List Loss for Deep Metric "
    "Learning, CVPR 2019, RLL-S"
)
YEAR = 2019
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "margin": FloatDistribution(0.0, 1.5),
    "t_n": FloatDistribution(0.0, 20.0),
    "imbalance": FloatDistribution(0.1, 0.9),
}
FIXED = {"t_p": "0 in the simpler form: positives count alike"}
FOLLOWUP = _followup.ratios(factors=("t_n",), shares=("margin", "imbalance"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "inferred around the authors' 0.4; 2 would leave no positive outside its sphere",
    "t_n": "inferred around the authors' 10",
    "imbalance": "inferred around the library's 0.5",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Ranked list loss over all queries of the batch; margins are distances of unit vectors."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        margin: float = 0.4,
        t_n: float = 10.0,
        t_p: float = 0.0,
        imbalance: float = 0.5,
    ) -> None:
        super().__init__()
        check("margin", margin, "0 to 2", ok=0 <= margin <= 2)
        check("t_n", t_n, "0 to 200", ok=0 <= t_n <= 200)
        check("t_p", t_p, "0 to 200", ok=0 <= t_p <= 200)
        check("imbalance", imbalance, "0 to 1", ok=0 <= imbalance <= 1)
        self.n_classes, self.margin, self.imbalance = n_classes, margin, imbalance
        self.t_n, self.t_p = t_n, t_p

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        distances = euclidean_distance(embeddings, embeddings)
        positives, negatives = positives_and_negatives(labels)
        outer = 1.0 + self.margin / 2.0
        far = weighted_mean(distances - outer + self.margin, positives, self.t_p)
        near = weighted_mean(outer - distances, negatives, self.t_n)
        return ((1.0 - self.imbalance) * far + self.imbalance * near).mean()


def weighted_mean(excess: Tensor, pairs: Tensor, temperature: float) -> Tensor:
    """Mean excess [B] over each row's pairs [B, B] with a positive one, by exp(temperature excess).

    Weights are relative to the row's largest, so that they cannot overflow.
    """
    excess = excess.where(pairs, 0.0).relu()
    shift = temperature * excess.detach().amax(1, keepdim=True)
    weights = (temperature * excess - shift).exp().where(excess > 0, 0.0)
    few = 1e-5 * len(excess) * (-shift[:, 0]).exp()  # the library's addition to the sum of weights
    total = weights.sum(1) + few
    return (weights * excess).sum(1) / total.clamp_min(1e-30)
