"""Potential field (PFML): images and proxies as charges whose pull fades with distance.

The charges are the batch's embeddings and all proxies, M a class, all of unit length. With d the
Euclidean distance of two charges, the potential of a pair is

    same class:    -(delta / max(d, delta))^alpha        no force inside delta, a fading pull beyond
    other classes:  (delta / min(d, delta))^alpha - 1    a push inside delta, no force beyond

and the loss is the sum over all ordered pairs of charges, over the batch size. The paper's
potentials are these over delta^alpha, and without the -1. Neither changes the direction of a
gradient. The paper sums over embeddings and proxies alike; the number to divide by is open, and an
optimiser that rescales gradients hardly sees it.

No code was released. Formulas and values are from a summary of the paper and from two programs that
others wrote after it, which agree; the paper's own text was not read. Left open there, and chosen
here: proxies start as N(0, 1), normalised; the push, the slope of the potential, is constant below
delta / 10, where the potential goes on as a straight line, so that both are finite where charges of
two classes coincide. alpha = 4 and delta = 0.2 are the middles of the ranges that the authors
cross-validated, {0..6} and [0.1, 0.3].

Source: Bhatnagar and Ahuja 2025, Potential Field Based Deep Metric Learning (CVPR, arXiv
2405.18560), Eq. 1 to 6.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import ENTRIES, by_blocks, check, check_batch, in_float32

PAPER = (
    "Bhatnagar and Ahuja 2025, Potential Field Based Deep Metric Learning, CVPR 2025, the total "
    "potential energy, Eq. 6"
)
YEAR = 2025
KIND = "hybrid"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {"alpha": FloatDistribution(0.5, 6.0), "delta": FloatDistribution(0.05, 0.6)}
FIXED = {
    "proxies_per_class": "the authors' 15 on CUB and Cars and 2 on SOP: None takes 15 up to 1000 "
    "classes and 2 beyond, where 15 a class would be 170,000 charges on SOP"
}
FOLLOWUP = _followup.ratios(shares=("alpha", "delta"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "alpha": "the authors' {0..6}, without values near 0, at which charges feel no force",
    "delta": "inferred: the authors' 0.1 to 0.3, widened by a factor of 2 at either end",
} | _followup.sources(FOLLOWUP)
COST = "O((B + C M)^2 D)"
STATUS = "paper"


class Loss(nn.Module):
    """Total potential of the batch and of proxies [n_classes * M, dim], a class's M together."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        alpha: float = 4.0,
        delta: float = 0.2,
        proxies_per_class: int | None = None,
    ) -> None:
        super().__init__()
        check("alpha", alpha, "> 0, at most 6", ok=0 < alpha <= 6)
        check("delta", delta, "> 0, at most 2", ok=0 < delta <= 2)
        m = proxies_per_class or (15 if n_classes <= 1000 else 2)
        check("proxies_per_class", m, "an integer >= 1", ok=m >= 1 and m == int(m))
        self.n_classes, self.alpha, self.delta = n_classes, alpha, delta
        self.proxies = nn.Parameter(torch.randn(n_classes * m, dim))
        self.classes: Tensor
        self.siblings: Tensor
        classes = torch.arange(n_classes)
        pairs = m * classes[:, None] + torch.triu_indices(m, m, 1)[:, None]  # of each class
        self.register_buffer("classes", classes.repeat_interleave(m), persistent=False)
        self.register_buffer("siblings", pairs.flatten(1), persistent=False)

    def potential(self, distance: Tensor, same: Tensor) -> Tensor:
        """Potentials of pairs of charges, from distances and whether both are of one class."""
        pull = -((self.delta / distance.clamp_min(self.delta)) ** self.alpha)
        nearest = 0.1 * self.delta
        push = (self.delta / distance.clamp(nearest, self.delta)) ** self.alpha - 1.0
        slope = self.alpha * 10.0**self.alpha / nearest
        return torch.where(same, pull, push + slope * (nearest - distance).relu())

    @torch.no_grad()
    def pairs(self, charges: Tensor, classes: Tensor, n_images: int) -> Tensor:
        """Indices [2, P] of the pairs of charges, each once, whose potential is not zero."""
        same = (classes[:n_images, None] == classes).triu(1)
        lists = [same.nonzero().T, self.siblings + n_images]
        size, near = max(1, ENTRIES // (8 * len(charges))), 1.0 - self.delta**2 / 2.0
        for start in range(0, len(charges), size):
            close = charges[start : start + size] @ charges[start:].T > near
            pairs = close.triu(1).nonzero().T + start
            lists.append(pairs[:, classes[pairs[0]] != classes[pairs[1]]])
        return torch.cat(lists, dim=1)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        charges = F.normalize(torch.cat([embeddings, self.proxies]))
        classes = torch.cat([labels, self.classes])

        def of_pairs(first: Tensor, second: Tensor) -> Tensor:
            squares = (charges[first] - charges[second]).square().sum(1)
            distance = squares.clamp_min(1e-12).sqrt()
            return self.potential(distance, classes[first] == classes[second]).sum()

        size = max(1, ENTRIES // charges.shape[1])
        parts = by_blocks(of_pairs, *self.pairs(charges, classes, len(labels)), size=size)
        return 2.0 * torch.stack(parts).sum() / len(embeddings)
