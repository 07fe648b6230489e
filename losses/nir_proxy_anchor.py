"""NIR with Proxy-Anchor: a flow must map each class's proxy to its samples one to one.

With x and p of unit length, s their cosine, a flow f (five conditional GLOW blocks) and
z = f(x | p_y), the released code minimises

    mean_i exp( 1/2 ||z_i||^2 - log|det df/dx|_i )  +  w_align * L_proxy,
    L_proxy = mean over the batch's images i of log(1 + sum_{j: y_j = y_i} e^(-alpha (s_j,yi - m)))
            + mean over all proxies c of        log(1 + sum_{j: y_j != c} e^( alpha (s_j,c  + m))).

The paper weights the negative log likelihood itself and adds it to the proxy loss. The code, which
this file follows, takes the exponential of it and puts the weight on the PROXY loss. Nothing is
detached, so flow, network and proxies all learn from both terms. The positive term is a mean over
images, so a class counts as often as it is in the batch (in Proxy-Anchor: once). The authors train
the network at 1e-5, proxies at 4000 times that and the flow at 50 times (SOP: 1). `flow_lr_factor`
is relative to the proxies' rate, which is the loss's own: hence 50 / 4000. Their first epoch, with
the trunk frozen, is not part of a loss and is left out.

Source: Roth, Vinyals and Akata 2022 (CVPR), Non-isotropy Regularization for Proxy-based Deep Metric
Learning, the objective from the change of variables; code ExplainableML/NonIsotropicProxyDML,
criteria/nir.py.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._nir import Flow, lr_groups, negative_log_likelihood
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Roth, Vinyals and Akata 2022, Non-isotropy Regularization for Proxy-based Deep Metric "
    "Learning, CVPR 2022; the objective of criteria/nir.py"
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
    "w_align": FloatDistribution(1e-4, 1.0, log=True),
    "flow_lr_factor": FloatDistribution(1e-4, 0.03, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("alpha", "w_align"), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "margin": "inferred: a cosine margin, range of CosFace in the reality check; authors' 0.1",
    "alpha": "inferred: a scale, range of CosFace in the reality check; authors' 32",
    "w_align": "inferred around the authors' 0.0075 (CUB), 0.01 (Cars), 0.3 (SOP)",
    "flow_lr_factor": "inferred around the authors' 50 / 4000 (CUB, Cars) and 1 / 4000 (SOP); "
    "0.1 of a loss_lr of 0.03 overflows in the first steps of RMSprop (glyphs), 0.0125 does not",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D + B (128^2 + 128 D))"
STATUS = "authors"


class Loss(nn.Module):
    """Proxy-Anchor with NIR over proxies [n_classes, dim]; defaults are the authors' for CUB."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        margin: float = 0.1,
        alpha: float = 32.0,
        w_align: float = 0.0075,
        flow_lr_factor: float = 0.0125,
    ) -> None:
        super().__init__()
        check("margin", margin, "any finite number", ok=abs(margin) < float("inf"))
        check("alpha", alpha, "> 0", ok=alpha > 0)
        check("w_align", w_align, ">= 0", ok=w_align >= 0)
        check("flow_lr_factor", flow_lr_factor, "> 0", ok=flow_lr_factor > 0)
        self.n_classes, self.margin, self.alpha, self.w_align = n_classes, margin, alpha, w_align
        self.flow_lr_factor = flow_lr_factor
        self.proxies = nn.Parameter(torch.randn(n_classes, dim) / 8)
        self.flow = Flow(dim)

    def groups(self) -> list[dict[str, Any]]:
        """The proxies at the loss's learning rate, the flow at `flow_lr_factor` times it."""
        return lr_groups(self.proxies, self.flow.parameters(), self.flow_lr_factor)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        proxies = F.normalize(self.proxies)
        cosine = F.normalize(embeddings) @ proxies.T
        same = labels[:, None] == torch.arange(self.n_classes, device=labels.device)
        pull = (-self.alpha * (cosine - self.margin)).masked_fill(~same, float("-inf"))
        push = (self.alpha * (cosine + self.margin)).masked_fill(same, float("-inf"))
        zero = cosine.new_zeros(1, self.n_classes)  # exp(0) is the 1 in log(1 + sum)
        positive = torch.cat([zero, pull]).logsumexp(0)[labels].mean()
        negative = torch.cat([zero, push]).logsumexp(0).mean()
        nll = negative_log_likelihood(self.flow, embeddings, proxies[labels])
        return nll.exp().mean() + self.w_align * (positive + negative)
