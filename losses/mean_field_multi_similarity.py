"""Mean-field class-wise multi-similarity: soft sums over classes, against one mean field a class.

With d_ic one minus the cosine of image i and the mean field of class c, D_cd that of two mean
fields, P the classes of the batch and E_c(f) the mean of f over the batch's images of class c,

    1/(alpha |P|)  sum_{c in P} log(1 + E_c(exp(alpha (d_ic + base - 1))))
  + 1/(2 beta |P|) sum_{c != k} log(1 + E_c(exp(-beta (d_ik + base - 1)))
                                      + E_k(exp(-beta (d_ic + base - 1))))
  + field_weight / C sum_c sum_{k != c} (softplus(beta (1 - base - D_ck)) / beta)^2,

where the expectation of a class that is not in the batch is 0. Here the exponentials are summed by
a shifted log-sum-exp; the authors sum them plainly, which overflows at large beta. Mean fields are
normalised when used and start as N(0, 1); they are called `proxies` here.

Source: Furusawa 2024, Mean Field Theory in Deep Metric Learning (ICLR, arXiv 2306.15368), the
MeanFieldClassWiseMultiSimilarity loss; the authors' code, the class of that name with mf_power = 2,
to which value and gradients are equal.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup, _mean_field
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Furusawa 2024, Mean Field Theory in Deep Metric Learning, ICLR 2024, "
    "MeanFieldClassWiseMultiSimilarity loss"
)
YEAR = 2024
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "alpha": FloatDistribution(0.01, 100.0),
    "beta": FloatDistribution(0.01, 100.0),
    "base": FloatDistribution(0.0, 1.0),
    "field_weight": FloatDistribution(0.0, 1.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("alpha", "beta", "field_weight"), shares=("base",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = dict.fromkeys(
    ("alpha", "beta", "base"),
    "the reality check's bounds for multi-similarity; the authors' 0.01, 80 and 0.8",
) | {"field_weight": "inferred, with the 0 of the authors' commands"}
SOURCES |= _followup.sources(FOLLOWUP)
COST = "O(B C D + C^2 D)"
STATUS = "authors"


class Loss(nn.Module):
    """Multi-similarity against mean fields [n_classes, dim]; defaults are the authors' values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        alpha: float = 0.01,
        beta: float = 80.0,
        base: float = 0.8,
        field_weight: float = 0.0,
    ) -> None:
        super().__init__()
        check("alpha", alpha, "> 0 and finite", ok=0 < alpha < math.inf)
        check("beta", beta, "> 0 and finite", ok=0 < beta < math.inf)
        check("base", base, "a finite number", ok=math.isfinite(base))
        check("field_weight", field_weight, ">= 0 and finite", ok=0 <= field_weight < math.inf)
        self.n_classes, self.alpha, self.beta, self.base = n_classes, alpha, beta, base
        self.field_weight = field_weight
        self.proxies = nn.Parameter(torch.randn(n_classes, dim))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        gaps = _mean_field.distances(embeddings, self.proxies) + self.base - 1.0
        classes, image = torch.unique(labels, return_inverse=True)
        far = log_mean_exp(self.alpha * gaps, image, len(classes))
        pull = F.softplus(far.gather(1, classes[:, None])).sum() / self.alpha
        near = log_mean_exp(-self.beta * gaps, image, len(classes))
        absent = F.softplus(near).index_fill(1, classes, 0.0).sum()
        within = near[:, classes]
        both = F.softplus(torch.logaddexp(within, within.T))
        push = (absent + (both.sum() - both.diagonal().sum()) / 2.0) / self.beta
        loss = (pull + push) / len(classes)
        if self.field_weight > 0:
            loss = loss + self.field_weight * _mean_field.repulsion(
                self.proxies, lambda d: F.softplus(1.0 - self.base - d, self.beta)
            )
        return loss


def log_mean_exp(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Log of the mean exponential [groups, C] of values [B, C] over the rows of each group."""
    index = group[:, None].expand_as(values)
    shift = values.new_full((groups, values.shape[1]), -math.inf)
    shift = shift.scatter_reduce(0, index, values.detach(), "amax")
    total = torch.zeros_like(shift).index_add(0, group, (values - shift[group]).exp())
    return total.log() + shift - group.bincount(minlength=groups).log()[:, None].to(values.dtype)
