"""ProxyGML: class scores summed over the proxies of a sub-graph of each image's nearest ones.

Every class has N = proxies_per_class unit proxies; x is of unit length already. For each image the
k = ceil(r C N) most similar proxies are kept, those of its class first whatever their similarity.
The kept similarities are summed per class: z_c. Classes with z_c = 0 (none kept) are masked out:

    p_c = exp(logit_scale z_c) / (1e-8 + sum_{c unmasked} exp(logit_scale z_c))
    loss = mean -log(p_y + 1e-20) + reg_lambda CE(sum over a class's proxies of q . proxies, class)

with q each proxy and class its class. The authors have logit_scale = 1 (20 for SOP in a line they
commented out) and plain exponentials, which overflow for larger scales; here log-sum-exps are
shifted. A small r that keeps no proxy of another class would leave nothing to learn from, so k is
at least N + 1; for the authors' settings this changes nothing. An embedding of zeros has all
classes masked: its value is -log 1e-20, without a gradient.

Source: Zhu et al. 2020, Fewer is More: A Deep Graph Metric Learning Perspective Using Fewer
Proxies (NeurIPS), the reverse label propagation loss with proxy regularisation; code
YuehuaZhu/ProxyGML, whose formula this is. There proxies are columns; here they are rows, [C N, D],
class after class, with the same start.
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
    "Zhu et al. 2020, Fewer is More: A Deep Graph Metric Learning Perspective Using Fewer Proxies, "
    "NeurIPS 2020, reverse label propagation with proxy regularisation"
)
YEAR = 2020
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "proxies_per_class": IntDistribution(1, 12, log=True),
    "r": FloatDistribution(0.01, 1.0, log=True),
    "reg_lambda": FloatDistribution(0.0, 1.0),
    "logit_scale": FloatDistribution(1.0, 50.0, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("reg_lambda", "logit_scale"), shares=("r",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "proxies_per_class": "inferred around the authors' 12, 12, 1",
    "r": "inferred around the authors' 0.05",
    "reg_lambda": "inferred around the authors' 0.3, 0.3, 0",
    "logit_scale": "inferred around the authors' 1; they tried 20 for SOP",
} | _followup.sources(FOLLOWUP)
COST = "O(B C N D + C^2 N D)"
STATUS = "authors"


class Loss(nn.Module):
    """ProxyGML over proxies [n_classes * N, dim]; defaults are the authors' CUB values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        proxies_per_class: int = 12,
        r: float = 0.05,
        reg_lambda: float = 0.3,
        logit_scale: float = 1.0,
    ) -> None:
        super().__init__()
        n = proxies_per_class
        check("n_classes", n_classes, ">= 2", ok=n_classes >= 2)
        check("proxies_per_class", n, "an integer >= 1", ok=n >= 1 and n == int(n))
        check("r", r, "0 < r <= 1", ok=0 < r <= 1)
        check("reg_lambda", reg_lambda, ">= 0 and finite", ok=0 <= reg_lambda < math.inf)
        check("logit_scale", logit_scale, "> 0 and finite", ok=0 < logit_scale < math.inf)
        self.n_classes, self.n = n_classes, int(n)
        self.n_nearest = max(math.ceil(r * n_classes * self.n), self.n + 1)
        self.reg_lambda, self.logit_scale = reg_lambda, logit_scale
        bound = 1 / math.sqrt(n_classes * self.n)
        self.proxies = nn.Parameter(torch.empty(n_classes * self.n, dim).uniform_(-bound, bound))

    def per_class(self, similarity: Tensor) -> Tensor:
        """Sums [M, C] of similarities [M, C N] over each class's proxies."""
        return similarity.view(len(similarity), self.n_classes, self.n).sum(2)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        proxies = F.normalize(self.proxies)
        classes = torch.arange(self.n_classes, device=labels.device).repeat_interleave(self.n)
        similarity = embeddings @ proxies.T
        ranked = similarity.detach() + 1000.0 * (labels[:, None] == classes)
        nearest = ranked.topk(self.n_nearest, dim=1).indices
        graph = torch.zeros_like(similarity).scatter(1, nearest, 1.0)
        z = self.per_class(graph * similarity)
        masked = (self.logit_scale * z).masked_fill(z == 0, -math.inf)
        floor = masked.new_full((len(masked), 1), math.log(1e-8))
        log_p = masked.gather(1, labels[:, None]) - torch.cat([masked, floor], 1).logsumexp(
            1, keepdim=True
        )
        loss = -torch.logaddexp(log_p, floor.new_full((), math.log(1e-20))).mean()
        if self.reg_lambda == 0:
            return loss
        return loss + self.reg_lambda * self.regulariser(proxies, classes)

    def regulariser(self, proxies: Tensor, classes: Tensor) -> Tensor:
        """Cross entropy of unit proxies [C N, D] of these classes, a block of them at a time.

        A sum over a class's proxies of q . proxies is q . their sum. Still the scores [C N, C] of
        SOP's classes are 6 GB.
        """
        sums = proxies.view(self.n_classes, self.n, -1).sum(1)

        def block(part: Tensor, targets: Tensor) -> Tensor:
            return F.cross_entropy(part @ sums.T, targets, reduction="sum")

        size = max(1, ENTRIES // self.n_classes)
        return torch.stack(by_blocks(block, proxies, classes, size=size)).sum() / len(proxies)
