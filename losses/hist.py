"""HIST: class distributions span a hypergraph over the batch, on which a network classifies.

Every class c has a mean mu_c and diagonal variances exp(relu6(log_vars_c)). With x and mu of unit
length, the squared Mahalanobis distance M_ic = sum_k (x_ik - mu_ck)^2 / var_ck gives

    L_D = mean_i CE(-tau M_i, y_i)                                       the distribution loss
    H_ic = 1 if y_i = c, else exp(-alpha M_ic)    over the classes c present in the batch
    G = D_v^(-1/2) H D_e^(-1) H^T D_v^(-1/2)     with D_v, D_e the row and column sums of H
    z = G theta2(LeakyReLU_0.1(BatchNorm(G theta1(x))))       on the output x NOT normalised,

and the loss is L_D + lambda_s CE(z, y). Because of the last line `forward` receives the head's raw
output; retrieval is by cosine. As in the authors' code, L_D leaves out samples whose probability
of their own class underflows to zero. If that is every sample of the batch, L_D = 0. A batch of one
image, for which batch normalisation is undefined, has L_D alone; in evaluation mode the
normalisation uses its running statistics.

Learning rates: the authors train mu and log_vars at 0.1, 0.1, 0.01 (CUB, Cars, SOP) and the
hypergraph network at 5, 10, 10 times the trunk's 1e-4, which is 0.006, 0.01 and 0.1 of the first.
`loss_lr` is the rate of mu and log_vars; `groups()` multiplies it by hgnn_lr_factor for the
network.

Source: Lim et al. 2022, Hypergraph-Induced Semantic Tuplet Loss for Deep Metric Learning (CVPR),
distribution loss and hypergraph tuplet loss; code ljin0429/HIST, to which value and gradients are
equal.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Lim et al. 2022, Hypergraph-Induced Semantic Tuplet Loss for Deep Metric Learning, CVPR 2022, "
    "distribution loss and hypergraph tuplet loss"
)
YEAR = 2022
KIND = "proxy"
EMBEDDING = "unbounded"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "tau": FloatDistribution(1.0, 128.0, log=True),
    "alpha": FloatDistribution(0.1, 10.0, log=True),
    "lambda_s": FloatDistribution(0.1, 10.0, log=True),
    "hgnn_lr_factor": FloatDistribution(0.001, 1.0, log=True),
}
FIXED = {"hidden": "the network's width, 512 on every dataset of the authors"}
FOLLOWUP = _followup.ratios(factors=("tau", "alpha", "lambda_s"), shares=("hgnn_lr_factor",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "tau": "inferred around the authors' 32, 32, 16",
    "alpha": "inferred around the authors' 1.1, 0.9, 2",
    "lambda_s": "inferred around the authors' 1",
    "hgnn_lr_factor": "inferred around the authors' ratios of learning rates, 0.006, 0.01, 0.1",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D + B^2 (hidden + C) + B hidden (D + C))"
STATUS = "authors"


class Loss(nn.Module):
    """HIST over means and log_vars [n_classes, dim]; defaults are the authors' CUB values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        tau: float = 32.0,
        alpha: float = 1.1,
        lambda_s: float = 1.0,
        hgnn_lr_factor: float = 0.006,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        check("tau", tau, "> 0 and finite", ok=0 < tau < math.inf)
        check("alpha", alpha, ">= 0 and finite", ok=0 <= alpha < math.inf)
        check("lambda_s", lambda_s, ">= 0 and finite", ok=0 <= lambda_s < math.inf)
        check(
            "hgnn_lr_factor", hgnn_lr_factor, ">= 0 and finite", ok=0 <= hgnn_lr_factor < math.inf
        )
        check("hidden", hidden, ">= 1", ok=hidden >= 1)
        self.n_classes, self.tau, self.alpha, self.lambda_s = n_classes, tau, alpha, lambda_s
        self.hgnn_lr_factor = hgnn_lr_factor
        self.means = nn.Parameter(torch.empty(n_classes, dim))
        self.log_vars = nn.Parameter(torch.empty(n_classes, dim))
        nn.init.kaiming_normal_(self.means, mode="fan_out")
        nn.init.kaiming_normal_(self.log_vars, mode="fan_out")
        self.theta1 = nn.Linear(dim, hidden)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.theta2 = nn.Linear(hidden, n_classes)

    def groups(self) -> list[dict[str, Any]]:
        """The distributions at the loss's learning rate, the network at hgnn_lr_factor times it."""
        network = [p for part in (self.theta1, self.bn1, self.theta2) for p in part.parameters()]
        return [
            {"params": [self.means, self.log_vars], "lr_factor": 1.0},
            {"params": network, "lr_factor": self.hgnn_lr_factor},
        ]

    def mahalanobis(self, x: Tensor) -> Tensor:
        """Squared distances [B, C] of unit rows x [B, D] to the class distributions."""
        precision = torch.exp(-F.relu6(self.log_vars))
        mu = F.normalize(self.means)
        cross = x.square() @ precision.T - 2.0 * x @ (mu * precision).T
        return (cross + (mu.square() * precision).sum(1)).clamp_min(0.0)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        distances = self.mahalanobis(F.normalize(embeddings))
        log_p = F.log_softmax(-self.tau * distances, dim=1).gather(1, labels[:, None])[:, 0]
        counted = log_p.detach().exp() > 0
        loss = -(log_p * counted).sum() / counted.sum().clamp_min(1)
        if self.training and len(labels) == 1:
            return loss
        present = torch.bincount(labels, minlength=self.n_classes).nonzero()[:, 0]
        soft = torch.exp(-self.alpha * distances[:, present])
        h = torch.where(labels[:, None] == present, 1.0, soft)
        half = h / h.sum(1, keepdim=True).sqrt()
        g = (half / h.sum(0)) @ half.T
        hidden = F.leaky_relu(self.bn1(g @ self.theta1(embeddings)), 0.1)
        return loss + self.lambda_s * F.cross_entropy(g @ self.theta2(hidden), labels)
