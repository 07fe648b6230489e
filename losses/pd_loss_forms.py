"""PD-Loss with its logarithm or without, and with proxies that start at random or at class means.

genuine, impostor, their means mu and variances var are those of `pd_loss`. With the logarithm the
loss is that of `pd_loss`, to which value and gradients are equal; without it

    loss = -d' = -(mu_gen - mu_imp) / sqrt((var_gen + var_imp) / 2).

With start = "class_means" the proxy of a class becomes the mean of its unit-length embeddings in
the first batch that holds the class; from then on it is learned. So no pass over the training
images is needed before the first step, and none of a class is forgotten that comes late.

The paper compares these forms (Fig. 2: with and without the logarithm) and its README starts the
proxies at class means; how it computes them is not published. This file is for that comparison:
`pd_loss` is the method.

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
    "Silva et al. 2025, PD-Loss: Proxy-Decidability for Efficient Metric Learning, "
    "arXiv 2508.17082, the forms of Fig. 2"
)
YEAR = 2025
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE: dict[str, BaseDistribution] = {}
FIXED = {
    "logarithm": "names the form: each is a variant of a study",
    "start": "names the form: each is a variant of a study",
    "eps": "numerical floor of the variances, not part of the method",
    "min_gap": "bounds the gradient where the logarithm's would be infinite; not in the method",
}
FOLLOWUP: dict[str, BaseDistribution] = {}
REFERENCE_NORM: dict[str, float] = {}
SOURCES: dict[str, str] = {}
COST = "O(B C D)"
STATUS = "paper"
STARTS = ("random", "class_means")


class Loss(nn.Module):
    """PD-Loss over proxies [n_classes, dim] in one of its forms."""

    started: Tensor  # [n_classes], whether a class has had its first batch

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        logarithm: bool = True,
        start: str = "random",
        eps: float = 1e-6,
        min_gap: float = 0.01,
    ) -> None:
        super().__init__()
        check("n_classes", n_classes, ">= 2, or there are no impostors", ok=n_classes >= 2)
        check("eps", eps, "> 0 and finite", ok=0 < eps < math.inf)
        check("min_gap", min_gap, "0 < min_gap < 2", ok=0 < min_gap < 2)
        if start not in STARTS:
            raise ValueError(f"start = {start!r}; known: {', '.join(STARTS)}")
        self.n_classes, self.logarithm, self.eps, self.min_gap = n_classes, logarithm, eps, min_gap
        self.proxies = nn.Parameter(F.normalize(torch.randn(n_classes, dim)))
        self.register_buffer("started", torch.full((n_classes,), start == "random"))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        rows = F.normalize(check_batch(embeddings, labels, self.n_classes))
        self._start(rows.detach(), labels)
        cosine = rows @ F.normalize(self.proxies).T
        is_target = F.one_hot(labels, self.n_classes).bool()
        genuine, impostor = cosine[is_target], cosine[~is_target]
        gap = genuine.mean() - impostor.mean()
        variances = genuine.var(correction=0) + impostor.var(correction=0)
        if not self.logarithm:
            return -gap / (0.5 * variances.clamp_min(self.eps)).sqrt()
        tangent = math.log(self.min_gap) + (gap - self.min_gap) / self.min_gap
        log_gap = torch.where(gap >= self.min_gap, gap.clamp_min(self.min_gap).log(), tangent)
        return 0.5 * variances.clamp_min(self.eps).log() - log_gap

    def _start(self, rows: Tensor, labels: Tensor) -> None:
        """Put the proxies of classes that come for the first time at their means in the batch."""
        if bool(self.started.all()):
            return
        one_hot = F.one_hot(labels, self.n_classes).to(rows.dtype)
        counts = one_hot.sum(0)
        means = (one_hot.T @ rows) / counts.clamp_min(1)[:, None]
        first = (counts > 0) & ~self.started
        self.proxies.data = torch.where(first[:, None], means, self.proxies.data)
        self.started |= first
