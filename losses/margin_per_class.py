"""Margin loss with distance-weighted sampling and a learned boundary beta for every class.

This is `margin` with the beta of the anchor's class. For every sampled triplet (a, p, n)

    [d_ap - beta_{y_a} + margin]_+  and  [beta_{y_a} - d_an + margin]_+ ;

the loss is the sum of both, plus nu times the sum of the triplets' betas, divided by the number of
non-zero terms. The negatives are drawn from torch's global generator, so the order of the batch
matters: it decides which draw belongs to which pair. `sampling="all"` takes every triplet and draws
nothing.

Source: Wu, Manmatha, Smola and Kraehenbuehl 2017 (ICCV, arXiv 1706.07567), Sec. 4.2 (class-specific
beta); code apache/mxnet example/gluon/embedding_learning, equal given the triplets. In
pytorch-metric-learning this is MarginLoss(num_classes=C, learn_beta=True). A batch without triplets
has a loss of zero.
"""

from __future__ import annotations

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check_batch, in_float32
from losses.margin import check_parameters, margin_loss

PAPER = (
    "Wu, Manmatha, Smola and Kraehenbuehl 2017, Sampling Matters in Deep Embedding Learning, ICCV, "
    "with class-specific beta"
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


class Loss(nn.Module):
    """Margin loss with learned beta [n_classes]; defaults are the authors'."""

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
        self.beta = nn.Parameter(torch.full((n_classes,), float(beta)))

    def groups(self) -> list[dict[str, object]]:
        """Beta has no weight decay: zero is no meaningful value for it (Musgrave et al.)."""
        return [{"params": [self.beta], "lr_factor": 1.0, "weight_decay": 0.0}]

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        betas = self.beta[labels]
        return margin_loss(
            embeddings, labels, betas, margin=self.margin, nu=self.nu, sampling=self.sampling
        )
