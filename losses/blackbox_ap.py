"""Black-box AP: average precision of the true ranks, with an interpolated gradient of the ranking.

For every query q the scores s_qj of all images of the batch are dot products of unit-length
embeddings; q itself is among the images. Noise makes them harder first: images of q's class lose
margin * |e| / 2, the others gain it, with e standard normal. With r(j) the rank of j among all
images and r+(j) its rank among the images of q's class, AP_q is the mean over that class of
r+(j) / r(j); the loss is 1 minus the mean AP. In the backward pass, with g the gradient that
reaches the normalised ranks r(s) = rank(s) / B,

    ds = -(r(s) - r(s + lambda_val * g)) / lambda_val .

r+ has no gradient. The noise is drawn from torch's global generator, so the loss is random and
the order of the batch matters: it decides which draw belongs to which pair.

Source: Rolinek, Musil, Paulus, Vlastelica, Michaelis and Martius 2020 (CVPR, arXiv 1912.03500),
Alg. 1 and Sec. 3. Formula and defaults are those of martius-lab/blackbox-backprop (mAP) and of its
port to metric learning in elias-ramzi/ROADMAP, with their guards 1e-5 and 1e-8 in denominators.
The paper's own values of lambda and margin for retrieval are not released. If a class has one
image in the batch, that image is its only positive.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Rolinek, Musil, Paulus, Vlastelica, Michaelis and Martius 2020, Optimizing Rank-based Metrics "
    "with Blackbox Differentiation, CVPR, Alg. 1"
)
YEAR = 2020
KIND = "ranking"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "lambda_val": FloatDistribution(0.1, 100.0, log=True),
    "margin": FloatDistribution(0.0, 0.5),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("lambda_val",), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "lambda_val": "inferred around 4, the default of the port to metric learning",
    "margin": "inferred around 0.02, the default of the port to metric learning",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 (D + log B))"
STATUS = "authors"


class Loss(nn.Module):
    """1 - mean AP with black-box gradients; defaults are those of the port."""

    def __init__(
        self, *, n_classes: int, dim: int, lambda_val: float = 4.0, margin: float = 0.02
    ) -> None:
        super().__init__()
        check("lambda_val", lambda_val, "> 0 and finite", ok=0 < lambda_val < math.inf)
        check("margin", margin, ">= 0 and finite", ok=0 <= margin < math.inf)
        self.n_classes, self.lambda_val, self.margin = n_classes, lambda_val, margin

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        scores = embeddings @ embeddings.T
        same = (labels[:, None] == labels).to(scores.dtype)
        scores = scores - self.margin * torch.randn_like(scores).abs() * (same - 0.5)
        ranks: Tensor = _Ranks.apply(scores, self.lambda_val)
        # ranks are at most 1, so adding 2 to the class's images puts them before all others
        ranks_within = normalised_ranks(2.0 * same - ranks.detach())
        precisions = (same * ranks_within / ranks).sum(1) / (same.sum(1) + 1e-5)
        return 1.0 - precisions.mean()


def normalised_ranks(scores: Tensor) -> Tensor:
    """Ranks 1 to N of the rows of scores [B, N], highest first, divided by N."""
    return (scores.argsort(1, descending=True).argsort(1) + 1).to(scores.dtype) / scores.shape[1]


class _Ranks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, lambda_val: float) -> Tensor:
        ranks = normalised_ranks(scores)
        ctx.save_for_backward(scores, ranks)
        ctx.lambda_val = lambda_val
        return ranks

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        scores, ranks = ctx.saved_tensors
        perturbed = normalised_ranks(scores + ctx.lambda_val * gradient)
        return -(ranks - perturbed) / (ctx.lambda_val + 1e-8), None
