"""Hierarchical proxy loss: the same proxy loss on classes and on groups of classes.

There are fine proxies p_c, one per class, and coarse proxies q_g, one per group of classes:

    L = L_proxy(x, p, y) + omega * L_proxy(x, q, group(y)),
    q_g = mean of the unit-length fine proxies of the classes in group g.

Groups are K-means clusters of the unit-length fine proxies, computed again every `recluster_every`
training batches. Between two clusterings q follows p and passes its gradient on to p. L_proxy is
Proxy-Anchor: with s the cosine,

    mean over proxies with an image in the batch of log(1 + sum_same   e^(-alpha (s - margin)))
  + mean over all proxies of                        log(1 + sum_others e^( alpha (s + margin))).

From the paper: proxies in a hierarchy, a weighted sum over its levels of any proxy loss, clusters
of fine proxies as coarse ones, re-clustering during training. Chosen here, because no code is
released and the paper's numbers could not be established: two levels, Proxy-Anchor with its
authors' margin and alpha, coarse proxies that are means and not parameters, omega = 0.1, and
re-clustering counted in batches. The number of groups is round(C ** coarse_exponent), at least 2,
so that one range serves 75 classes and 8000. K-means starts by farthest-first traversal, so the
groups are a function of the proxies.

Source: Yang, Bastan, Zhu, Gray and Samaras 2022 (WACV), arXiv 2103.13538; Kim et al. 2020 (CVPR),
arXiv 2003.13911, Eq. 4, for L_proxy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor, nn

from losses import _followup
from losses._kmeans import kmeans
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Yang, Bastan, Zhu, Gray and Samaras 2022, Hierarchical Proxy-based Loss for Deep Metric "
    "Learning, WACV 2022, arXiv 2103.13538; with Proxy-Anchor (Kim et al. 2020, Eq. 4)"
)
YEAR = 2022
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "margin": FloatDistribution(0.0, 1.0),
    "alpha": FloatDistribution(0.01, 200.0),
    "omega": FloatDistribution(0.01, 10.0, log=True),
    "coarse_exponent": FloatDistribution(0.3, 0.8),
    "recluster_every": IntDistribution(100, 1000, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("alpha", "omega"), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "inferred: a cosine margin, range of CosFace in the reality check; 0.1 in [Kim 2020]",
    "alpha": "inferred: a scale, range of CosFace in the reality check; 32 in [Kim 2020]",
    "omega": "inferred: two decades around equal weights, down to a negligible coarse level",
    "coarse_exponent": "inferred: 4 to 32 groups of 75 classes, 15 to 1300 of 8000",
    "recluster_every": "inferred: 1 to 10 of the reality check's epochs of 100 batches",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D), and O(C K D) per iteration of K-means every `recluster_every` batches"
STATUS = "paper"


class Loss(nn.Module):
    """Proxy-Anchor on classes and on groups of classes; proxies [n_classes, dim]."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        margin: float = 0.1,
        alpha: float = 32.0,
        omega: float = 0.1,
        coarse_exponent: float = 0.5,
        recluster_every: int = 100,
    ) -> None:
        super().__init__()
        check("n_classes", n_classes, ">= 2: there must be groups", ok=n_classes >= 2)
        check("margin", margin, "any finite number", ok=abs(margin) < float("inf"))
        check("alpha", alpha, "> 0", ok=alpha > 0)
        check("omega", omega, ">= 0", ok=omega >= 0)
        check("coarse_exponent", coarse_exponent, "0 <= value <= 1", ok=0 <= coarse_exponent <= 1)
        check("recluster_every", recluster_every, ">= 1", ok=recluster_every >= 1)
        self.n_classes, self.margin, self.alpha, self.omega = n_classes, margin, alpha, omega
        self.n_groups = max(2, round(n_classes**coarse_exponent))
        self.recluster_every = recluster_every
        self.proxies = nn.Parameter(torch.empty(n_classes, dim))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.register_buffer("groups_of_classes", self.clustered())

    @torch.no_grad()
    def clustered(self) -> Tensor:
        """The group of each class [n_classes], by K-means of the unit-length proxies."""
        points = F.normalize(self.proxies)[None]
        valid = torch.ones(points.shape[:2], dtype=torch.bool, device=points.device)
        return kmeans(points, valid, self.n_groups)[0][0]

    def level(self, embeddings: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        """Proxy-Anchor of unit-length embeddings [B, D] and proxies [P, D] (any length)."""
        cosine = embeddings @ F.normalize(proxies).T
        same = labels[:, None] == torch.arange(len(proxies), device=labels.device)
        pull = (-self.alpha * (cosine - self.margin)).masked_fill(~same, float("-inf"))
        push = (self.alpha * (cosine + self.margin)).masked_fill(same, float("-inf"))
        zero = cosine.new_zeros(1, len(proxies))  # exp(0) is the 1 in log(1 + sum)
        positive = torch.cat([zero, pull]).logsumexp(0).sum() / same.any(0).sum()
        return positive + torch.cat([zero, push]).logsumexp(0).mean()

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = F.normalize(check_batch(embeddings, labels, self.n_classes))
        batches, group = self.get_buffer("batches"), self.get_buffer("groups_of_classes")
        if self.training:
            batches += 1
            if int(batches) % self.recluster_every == 0:
                group.copy_(self.clustered())
        member = F.one_hot(group, self.n_groups).to(embeddings.dtype)
        # sums, not means: `level` normalises them; an empty group has no proxy and no index
        coarse = (member.T @ F.normalize(self.proxies))[member.any(0)]
        coarse_index = member.any(0).cumsum(0) - 1
        fine = self.level(embeddings, self.proxies, labels)
        return fine + self.omega * self.level(embeddings, coarse, coarse_index[group[labels]])
