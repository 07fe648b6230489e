"""Soft orthogonal proxies: Proxy-Anchor with proxies that are drawn towards right angles.

With P the proxies [C, D], normalised, the loss is that of `proxy_anchor` plus

    orthogonality / C || P P^T - I ||_F^2,

the mean over proxies of their squared cosines with all others. No code was released, and only the
abstract of the paper could be read: Proxy-Anchor with a soft orthogonality constraint on proxies,
trained with a transformer (DeiT). Soft orthogonality is the regulariser of that name of Bansal et
al. 2018. Chosen here: unit proxies, which is how Proxy-Anchor uses them; the division by C, so that
the term's size does not depend on the number of classes; and the range of its weight.

Source: Saberi-Movahed et al. 2023, Deep Metric Learning with Soft Orthogonal Proxies, arXiv
2306.13055; Bansal, Chen and Wang 2018, Can We Gain More from Orthogonality Regularizations in
Training Deep CNNs? (NeurIPS), the soft orthogonality regulariser.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup, proxy_anchor
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Saberi-Movahed et al. 2023, Deep Metric Learning with Soft Orthogonal Proxies, arXiv "
    "2306.13055, as its abstract describes it"
)
YEAR = 2023
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "margin": FloatDistribution(0.0, 1.0),
    "alpha": FloatDistribution(0.01, 200.0),
    "orthogonality": FloatDistribution(1e-3, 10.0, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("alpha", "orthogonality"), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "inferred: range of Proxy-Anchor here; its authors' 0.1",
    "alpha": "inferred: range of Proxy-Anchor here; its authors' 32",
    "orthogonality": "inferred; the authors' value is not established",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D + C D^2)"
STATUS = "paper"


class Loss(nn.Module):
    """Proxy-Anchor over soft orthogonal proxies [n_classes, dim]; defaults see above."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        margin: float = 0.1,
        alpha: float = 32.0,
        orthogonality: float = 0.1,
    ) -> None:
        super().__init__()
        check("orthogonality", orthogonality, ">= 0 and finite", ok=0 <= orthogonality < math.inf)
        self.n_classes, self.orthogonality = n_classes, orthogonality
        self.base = proxy_anchor.Loss(n_classes=n_classes, dim=dim, margin=margin, alpha=alpha)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        proxies = F.normalize(self.base.proxies)
        # || P P^T - I ||^2 = || P^T P ||^2 - C for unit rows, in D x D entries and not C x C
        squares = (proxies.T @ proxies).square().sum() / self.n_classes - 1.0
        loss: Tensor = self.base(embeddings, labels)
        return loss + self.orthogonality * squares
