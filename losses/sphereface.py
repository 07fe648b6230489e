"""SphereFace: the angle to the image's class is multiplied by an integer, with annealing.

With w_j of unit length and theta_j the angle between x and w_j, the mean over the batch of

    CE(scale ||x|| [t(theta_y); cos theta_j, j != y], y),
    t(theta) = (phi(theta) + lambda cos theta) / (1 + lambda),
    phi(theta) = (-1)^k cos(margin theta) - 2 k  on  k pi / margin <= theta <= (k + 1) pi / margin,
    lambda = max(lambda_min, 1000 / (1 + 0.12 n))  at the n-th training batch.

The count n is part of the state and continues in the follow-up phase; only `train()` advances it. x
is not normalised: its length is the scale of its logits, and `scale` multiplies that (1 in the
paper). The value is that of the authors' Caffe layer. Their backward pass is not the gradient of
that value: for w it ignores the margin, and for x it is rescaled to length 1. Here the gradients
are the true ones. The authors also rescale w in place after each step; here w is normalised when it
is used. pytorch-metric-learning's SphereFaceLoss has lambda = 0, which is another loss, known to be
hard to optimise.

Source: Liu et al. 2017, SphereFace: Deep Hypersphere Embedding for Face Recognition (CVPR), the
A-Softmax loss; code wy1iu/sphereface, margin_inner_product_layer.cpp.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Liu et al. 2017, SphereFace: Deep Hypersphere Embedding for Face Recognition, CVPR 2017, "
    "A-Softmax loss"
)
YEAR = 2017
KIND = "classification"
EMBEDDING = "unbounded"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "margin": IntDistribution(1, 6),
    "scale": FloatDistribution(0.01, 100.0, log=True),
    "lambda_min": FloatDistribution(0.1, 50.0, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale", "lambda_min"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "inferred around the authors' 4; their code has 1 to 4",
    "scale": "inferred: multiplies the embedding's length, 1 in the paper",
    "lambda_min": "inferred around the authors' 5",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "paper"


class Loss(nn.Module):
    """SphereFace over weights [n_classes, dim]; defaults are the authors' values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        margin: int = 4,
        scale: float = 1.0,
        lambda_min: float = 5.0,
    ) -> None:
        super().__init__()
        check("margin", margin, "an integer >= 1", ok=margin >= 1 and margin == int(margin))
        check("scale", scale, "> 0 and finite", ok=0 < scale < math.inf)
        check("lambda_min", lambda_min, ">= 0 and finite", ok=0 <= lambda_min < math.inf)
        self.n_classes, self.margin = n_classes, int(margin)
        self.scale, self.lambda_min = scale, lambda_min
        self.proxies = nn.Parameter(torch.randn(n_classes, dim) / math.sqrt(dim))
        self.batches: Tensor
        self.register_buffer("batches", torch.zeros((), dtype=torch.float32))

    def phi(self, cosine: Tensor) -> Tensor:
        """The monotone extension of cos(margin theta) to theta in 0..pi, from cos theta."""
        angle = cosine.detach().clamp(-1.0, 1.0).acos()
        k = (angle * self.margin / math.pi).floor().clamp_max(self.margin - 1)
        # cos(margin theta) by the recurrence of Chebyshev polynomials, from T_0 and T_1
        previous, multiple = torch.ones_like(cosine), cosine
        for _ in range(self.margin - 1):
            previous, multiple = multiple, 2.0 * cosine * multiple - previous
        return (1.0 - 2.0 * (k % 2)) * multiple - 2.0 * k

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        if self.training:
            self.batches += 1
        annealed = (1000.0 / (1.0 + 0.12 * self.batches)).clamp_min(self.lambda_min)
        norm = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        target = cosine.gather(1, labels[:, None])
        penalised = (self.phi(target) + annealed * target) / (1.0 + annealed)
        logits = self.scale * norm * cosine.scatter(1, labels[:, None], penalised)
        return F.cross_entropy(logits, labels)
