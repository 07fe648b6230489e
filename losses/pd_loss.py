"""PD-Loss: the decidability of genuine against impostor similarities, measured with proxies.

With x and the proxies both of unit length, genuine = {cos(x_i, p_{y_i})} and impostor =
{cos(x_i, p_c), c != y_i} over the whole batch, their means mu and variances var give

    loss = -log(mu_gen - mu_imp) + 1/2 log(var_gen + var_imp),

the negative logarithm of the decidability index d' up to a constant. The abstract mentions a
temperature that divides the similarities; it cancels between the two terms and is left out.

No code is released (ufopcsilab/pdloss holds a README). What the text leaves open is chosen here.
Variances are the biased ones, which are defined for one image too. Their sum is clamped from below
at eps, where it has no gradient. Below min_gap, -log is continued along its tangent. An untrained
network may have such a gap of means, even a negative one: with a clamp the batch would have no
gradient, with the bare logarithm no value. Proxies start in random directions, as in the paper's
figures; its README starts them at the class means.

Source: Silva et al. 2025, PD-Loss: Proxy-Decidability for Efficient Metric Learning,
arXiv 2508.17082.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import BaseDistribution
from torch import Tensor, nn

from losses._shared import check, check_batch, in_float32

PAPER = (
    "Silva et al. 2025, PD-Loss: Proxy-Decidability for Efficient Metric Learning, arXiv 2508.17082"
)
YEAR = 2025
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE: dict[str, BaseDistribution] = {}
FIXED = {
    "eps": "numerical floor of the variances, not part of the method",
    "min_gap": "bounds the gradient where the logarithm's would be infinite; not in the method",
}
FOLLOWUP: dict[str, BaseDistribution] = {}
REFERENCE_NORM: dict[str, float] = {}
SOURCES: dict[str, str] = {}
COST = "O(B C D)"
STATUS = "paper"


class Loss(nn.Module):
    """PD-Loss over proxies [n_classes, dim]; eps and min_gap are choices of this project."""

    def __init__(
        self, *, n_classes: int, dim: int, eps: float = 1e-6, min_gap: float = 0.01
    ) -> None:
        super().__init__()
        check("n_classes", n_classes, ">= 2, or there are no impostors", ok=n_classes >= 2)
        check("eps", eps, "> 0 and finite", ok=0 < eps < math.inf)
        check("min_gap", min_gap, "0 < min_gap < 2", ok=0 < min_gap < 2)
        self.n_classes, self.eps, self.min_gap = n_classes, eps, min_gap
        self.proxies = nn.Parameter(F.normalize(torch.randn(n_classes, dim)))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        is_target = F.one_hot(labels, self.n_classes).bool()
        genuine, impostor = cosine[is_target], cosine[~is_target]
        gap = genuine.mean() - impostor.mean()
        tangent = math.log(self.min_gap) + (gap - self.min_gap) / self.min_gap
        log_gap = torch.where(gap >= self.min_gap, gap.clamp_min(self.min_gap).log(), tangent)
        variances = genuine.var(correction=0) + impostor.var(correction=0)
        return 0.5 * variances.clamp_min(self.eps).log() - log_gap
