"""Margin loss with distance-weighted sampling and one learned boundary beta for all classes.

With d = ||x_i - x_j|| over unit-length embeddings, for every sampled triplet (a, p, n)

    [d_ap - beta + margin]_+  and  [beta - d_an + margin]_+ ;

the loss is the sum of both over the triplets, plus nu times the sum of their betas, divided by the
number of non-zero terms. Every (anchor, positive) pair of the batch gives one triplet. Its negative
is drawn with a probability inverse to the density of distances on the sphere,

    log q(d) = (D - 2) log d + (D - 3)/2 log(1 - d^2 / 4),

where d is raised to at least 0.5 and negatives farther than 1.4 are left out. The draws come from
torch's global generator, so the order of the batch matters: it decides which draw belongs to which
pair. `sampling="all"` takes every triplet and draws nothing: the Margin rows of Musgrave et al.

Source: Wu, Manmatha, Smola and Kraehenbuehl 2017 (ICCV, arXiv 1706.07567), Sec. 4; code
apache/mxnet example/gluon/embedding_learning, equal given the triplets (their root adds 1e-8). An
anchor whose negatives all lie beyond 1.4 draws evenly from them; the authors' code draws from the
whole batch then, images of the anchor's class included. pytorch-metric-learning's MarginLoss does
not learn beta by default, and its miner returns K, not K - 1, triplets per anchor. A batch without
triplets has a loss of zero.
"""

from __future__ import annotations

import math

import torch
from optuna.distributions import FloatDistribution
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
    "Wu, Manmatha, Smola and Kraehenbuehl 2017, Sampling Matters in Deep Embedding Learning, ICCV"
)
YEAR = 2017
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = True
SPACE = {"margin": FloatDistribution(-0.2, 2.0), "beta": FloatDistribution(-0.2, 2.0)}
FIXED = {
    "nu": "0, the authors' default; the value of Musgrave et al. is not published",
    "sampling": "distance-weighted sampling is the paper's contribution, no number to tune",
}
# beta is only the initial value of what has been learned
FOLLOWUP = _followup.ratios(shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
    "beta": "Musgrave et al. 2020, bounds of their published search plots, every dataset",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "authors"
NEAREST, FARTHEST = 0.5, 1.4  # the authors' cutoff and nonzero_loss_cutoff


class Loss(nn.Module):
    """Margin loss with a learned scalar beta; defaults are the authors'."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        margin: float = 0.2,
        beta: float = 1.2,
        nu: float = 0.0,
        sampling: str = "distance_weighted",
    ) -> None:
        super().__init__()
        check_parameters(margin=margin, beta=beta, nu=nu, sampling=sampling)
        self.n_classes, self.margin, self.nu, self.sampling = n_classes, margin, nu, sampling
        self.beta = nn.Parameter(torch.full((1,), float(beta)))

    def groups(self) -> list[dict[str, object]]:
        """Beta has no weight decay: zero is no meaningful value for it (Musgrave et al.)."""
        return [{"params": [self.beta], "lr_factor": 1.0, "weight_decay": 0.0}]

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        betas = self.beta.expand(len(labels))
        return margin_loss(
            embeddings, labels, betas, margin=self.margin, nu=self.nu, sampling=self.sampling
        )


def check_parameters(*, margin: float, beta: float, nu: float, sampling: str) -> None:
    """Raise a ValueError that names the first parameter outside its domain."""
    check("margin", margin, "a finite number", ok=math.isfinite(margin))
    check("beta", beta, "a finite number", ok=math.isfinite(beta))
    check("nu", nu, ">= 0 and finite", ok=0 <= nu < math.inf)
    if sampling not in ("distance_weighted", "all"):
        raise ValueError(f"sampling = {sampling!r}: it must be 'distance_weighted' or 'all'")


def margin_loss(
    embeddings: Tensor, labels: Tensor, betas: Tensor, *, margin: float, nu: float, sampling: str
) -> Tensor:
    """The loss of embeddings [B, D] with labels [B], whose boundaries as anchors are betas [B]."""
    positives, negatives = positives_and_negatives(labels)
    distances = euclidean_distance(embeddings, embeddings)
    if sampling == "all":
        a, p, n = (positives[:, :, None] & negatives[:, None, :]).nonzero(as_tuple=True)
    else:
        a, p = (positives & negatives.any(1, keepdim=True)).nonzero(as_tuple=True)
        n = sample_negatives(distances.detach(), negatives, a, dim=embeddings.shape[1])
    near = (distances[a, p] - betas[a] + margin).relu()
    far = (betas[a] - distances[a, n] + margin).relu()
    terms = (near > 0).sum() + (far > 0).sum()
    if terms == 0:
        return attached_zero(embeddings, betas)
    return ((near + far).sum() + nu * betas[a].sum()) / terms


def sample_negatives(distances: Tensor, negatives: Tensor, anchors: Tensor, *, dim: int) -> Tensor:
    """One negative for each of anchors [P], distance-weighted in `dim` dimensions: indices [P].

    distances [B, B] between all images; negatives [B, B] is the mask of pairs of two classes.
    """
    if len(anchors) == 0:
        return anchors
    d = distances.clamp(NEAREST, FARTHEST)
    log_weights = (2.0 - dim) * d.log() - 0.5 * (dim - 3.0) * (1.0 - 0.25 * d.square()).log()
    allowed = negatives & (distances < FARTHEST)
    allowed = torch.where(allowed.any(1, keepdim=True), allowed, negatives)
    weights = log_weights.masked_fill(~allowed, -math.inf)[anchors].softmax(1)
    return torch.multinomial(weights, 1).squeeze(1)
