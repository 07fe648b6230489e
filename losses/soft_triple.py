"""SoftTriple: a softmax over classes that have several centres each.

With unit centres w_ck (k = 1..K of class c) and x of unit length already (the loss does not
normalise it again, as in the authors' code), s_ck = x . w_ck and

    S_c = sum_k softmax_k(s_c / gamma) s_ck,

the loss is the mean over the batch of CE(la (S_c - margin [c = y]), y), plus, when tau > 0, K > 1,

    tau / (C K (K - 1)) sum_c sum_{k < l} sqrt(2 + 1e-5 - 2 w_ck . w_cl).

gamma DIVIDES similarities: values far above 1 average the K centres evenly. K = 1 is the normalised
softmax with a margin, and gamma and tau then have no effect.

pytorch-metric-learning has the regulariser only if SparseCentersRegularizer is passed, with weight
tau. (The reality check used an early release that divided by half as many pairs: its weight w is
2 w here.) The library normalises x once more, which removes the radial part of the gradient.

Source: Qian et al. 2019, SoftTriple Loss: Deep Metric Learning Without Triplet Sampling (ICCV),
the SoftTriple loss with its centre regulariser; code idstcv/SoftTriple, to which value and
gradients are equal.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import ENTRIES, by_blocks, check, check_batch, in_float32

PAPER = (
    "Qian et al. 2019, SoftTriple Loss: Deep Metric Learning Without Triplet Sampling, ICCV 2019, "
    "SoftTriple loss with the regulariser of its centres"
)
YEAR = 2019
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "la": FloatDistribution(0.01, 200.0),
    "gamma": FloatDistribution(0.0001, 100.0),
    "tau": FloatDistribution(0.0, 1.0),
    "margin": FloatDistribution(0.0, 1.0),
    "centers_per_class": IntDistribution(1, 20),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("la", "gamma", "tau"), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "la": "Musgrave et al. 2020, bounds of their search plots: 100, SOP widened to 200",
    "gamma": "Musgrave et al. 2020, bounds of their search plots: CUB's reach down to 0.0001",
    "tau": "Musgrave et al. 2020, half of reg_weight's range in their search plots (see above)",
    "margin": "Musgrave et al. 2020, bounds of their search plots, every dataset",
    "centers_per_class": "inferred around the authors' 10; not searched by the reality check",
} | _followup.sources(FOLLOWUP)
COST = "O(B C K D + C K^2 D)"
STATUS = "authors"


class Loss(nn.Module):
    """SoftTriple over centers [dim, n_classes * K], a class's K columns side by side."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        la: float = 20.0,
        gamma: float = 0.1,
        tau: float = 0.2,
        margin: float = 0.01,
        centers_per_class: int = 10,
    ) -> None:
        super().__init__()
        k = centers_per_class
        check("la", la, "> 0 and finite", ok=0 < la < math.inf)
        check("gamma", gamma, "> 0 and finite", ok=0 < gamma < math.inf)
        check("tau", tau, ">= 0 and finite", ok=0 <= tau < math.inf)
        check("margin", margin, ">= 0 and finite", ok=0 <= margin < math.inf)
        check("centers_per_class", k, "an integer >= 1", ok=k >= 1 and k == int(k))
        self.n_classes, self.k = n_classes, int(k)
        self.la, self.gamma, self.tau, self.margin = la, gamma, tau, margin
        self.centers = nn.Parameter(torch.empty(dim, n_classes * self.k))
        nn.init.kaiming_uniform_(self.centers, a=math.sqrt(5))

    def of_classes(self, embeddings: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
        """S [B, C] of some classes with centers [D, C K], and the sum over their pairs."""
        centers = F.normalize(centers, dim=0)
        # [K, B, C]: a softmax over the first dimension is several times as fast as over the last
        similarity = embeddings @ centers.view(len(centers), -1, self.k).permute(2, 0, 1)
        weights = F.softmax(similarity / self.gamma, dim=0)
        relaxed = (weights * similarity).sum(0)
        if self.tau == 0 or self.k == 1:
            return relaxed, relaxed.new_zeros(())
        by_class = centers.T.view(-1, self.k, len(centers))
        first, second = torch.triu_indices(self.k, self.k, 1, device=centers.device)
        cosine = (by_class @ by_class.mT)[:, first, second]
        return relaxed, (2.0 + 1e-5 - 2.0 * cosine).sqrt().sum()

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        parts = by_blocks(
            lambda centers: self.of_classes(embeddings, centers),
            self.centers,
            size=max(1, ENTRIES // (self.k * embeddings.shape[1])) * self.k,
            dim=1,
        )
        relaxed = torch.cat([similarity for similarity, _ in parts], 1)
        margins = torch.zeros_like(relaxed).scatter(1, labels[:, None], self.margin)
        loss = F.cross_entropy(self.la * (relaxed - margins), labels)
        if self.tau == 0 or self.k == 1:
            return loss
        spread = torch.stack([of_pairs for _, of_pairs in parts]).sum()
        return loss + self.tau * spread / (self.n_classes * self.k * (self.k - 1))
