"""Function softmax: a Euclidean softmax whose distances pass through a function each.

With d_j = ||x - p_j|| (neither x nor p normalised, not squared) and y the label, the loss is the
mean over the batch of

    CE(-temperature [f1(d_y); f2(d_j), j != y], y)                                      (Eq. 6, 8)

`function` names f1 = f2 = f (Eq. 5). For s = `scale` every f has f(0) = 0 and f(s) = s, so that one
temperature serves all:

    identity t,  t_log t log(1 + t/s) / log 2,  power_3_2 sqrt(t^3 / s),  square t^2 / s     convex
    sqrt sqrt(s t),  log s log(1 + t/s) / log 2,  saturating s (1 - e^(-t/s)) / (1 - 1/e)   concave

or `warp`, where f1 is Eq. 7 of `warped` and f2 = t. There k1 and k2 are any positive slopes. An
alpha that no distance reaches leaves half a warp, with outward forces everywhere for k1 < 1, and
alpha = 0 the other half, with inward ones for k2 > 1.
sqrt starts at slope 1/2 sqrt(s/1e-6), because distances are clamped at 1e-6.

This is no loss that the paper proposes: it is what the ablation of its Table III and Fig. 9 takes
apart. The scale is a choice of this project; the paper does not say how it matched the functions.

Source: DeMoor and Prevost 2024, arXiv 2408.15656, Eq. 5-8, section IV-E.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, euclidean_distance, in_float32

PAPER = (
    "DeMoor and Prevost 2024, Realigned Softmax Warping for Deep Metric Learning, "
    "arXiv 2408.15656, Eq. 5-8 and the ablation of section IV-E"
)
YEAR = 2024
KIND = "proxy"
EMBEDDING = "unbounded"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {"temperature": FloatDistribution(0.1, 20.0, log=True)}
FIXED = {
    "function": "names the loss: each function is a variant of a study",
    "scale": "the distance at which all functions agree; about the embedding's norm",
    "alpha": "of the warp, as a study's variant sets it; `warped` searches it",
    "k1": "of the warp, as a study's variant sets it; `warped` searches it",
    "k2": "of the warp, as a study's variant sets it; `warped` searches it",
    "margin": "of the warp, as a study's variant sets it; `warped` searches it",
}
FOLLOWUP = _followup.ratios(factors=("temperature",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {"temperature": "as for `warped`"} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "paper"

# Of t / s; times s they are the functions above.
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda t: t,
    "t_log": lambda t: t * torch.log1p(t) / math.log(2),
    "power_3_2": lambda t: t * t.sqrt(),
    "square": lambda t: t.square(),
    "sqrt": lambda t: t.sqrt(),
    "log": lambda t: torch.log1p(t) / math.log(2),
    "saturating": lambda t: -torch.expm1(-t) / (1 - math.exp(-1)),
}


class Loss(nn.Module):
    """Function softmax over proxies [n_classes, dim]; the warp's defaults are `warped`'s."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        function: str = "identity",
        temperature: float = 4.525,
        scale: float = 16.0,
        alpha: float = 28.4,
        k1: float = 0.93,
        k2: float = 1.15,
        margin: float = 1.3,
    ) -> None:
        super().__init__()
        known = (*FUNCTIONS, "warp")
        if function not in known:
            raise ValueError(f"function = {function!r}; known: {', '.join(known)}")
        for name, value in {"temperature": temperature, "scale": scale, "k1": k1, "k2": k2}.items():
            check(name, value, "> 0 and finite", ok=0 < value < math.inf)
        check("alpha", alpha, ">= 0 and finite", ok=0 <= alpha < math.inf)
        check("margin", margin, ">= 1 and finite", ok=1 <= margin < math.inf)
        self.n_classes, self.function, self.temperature = n_classes, function, temperature
        self.scale, self.alpha, self.k1, self.k2, self.margin = scale, alpha, k1, k2, margin
        self.proxies = nn.Parameter(torch.empty(n_classes, dim))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        distances = euclidean_distance(embeddings, self.proxies)
        if self.function == "warp":
            warped = self._warped(distances.gather(1, labels[:, None]))
            logits = distances.scatter(1, labels[:, None], warped)
        else:
            logits = self.scale * FUNCTIONS[self.function](distances / self.scale)
        return F.cross_entropy(-self.temperature * logits, labels)

    def _warped(self, target: Tensor) -> Tensor:
        """Eq. 7 of the distances to the proxies of the images' classes."""
        stopped = target.detach()
        near = self.k1 * target + self.margin * (1 - self.k1) * stopped
        far = self.k2 * target + self.alpha * (1 - self.k2)
        return torch.where(stopped < self.alpha, near, far)
