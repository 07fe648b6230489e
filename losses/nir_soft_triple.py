"""NIR with SoftTriple: a flow must map a class's centres to its samples one to one.

With x and the centres w_ck of unit length, s_ck = x . w_ck, a flow f (five conditional GLOW
blocks), q_k = softmax_k(s_yk / gamma) and p_y the unit-length mean of class y's centres, weighted
by q,

    mean_i exp( 1/2 ||z_i||^2 - log|det df/dx|_i )  +  w_align * L_proxy,   z = f(x | p_y),
    L_proxy = CE( la (S_c - margin [c = y]) ) + tau R,
    S_c = sum_k softmax_k(s_ck / gamma) s_ck,
    R = sum over the pairs k < l of a class of sqrt(2 + 1e-5 - 2 w_ck . w_cl), / (C K (K - 1)).

The paper reports SoftTriple with NIR and adds the weighted negative log likelihood to the proxy
loss. The released code takes the exponential of the likelihood and puts the weight on the PROXY
loss, as here, but has no SoftTriple. So it had to be chosen which of a class's K centres conditions
the flow. It is the mean to which SoftTriple itself assigns the sample, with the gradient of q; with
K = 1 this is the condition of the released code. Weights and learning rates are those of
Proxy-Anchor with NIR.

Source: Roth, Vinyals and Akata 2022 (CVPR); code ExplainableML/NonIsotropicProxyDML,
criteria/nir.py; Qian et al. 2019 (ICCV), arXiv 1909.05235, with idstcv/SoftTriple for L_proxy.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor, nn

from losses import _followup
from losses._nir import Flow, lr_groups, negative_log_likelihood
from losses._shared import ENTRIES, by_blocks, check, check_batch, in_float32

PAPER = (
    "Roth, Vinyals and Akata 2022, Non-isotropy Regularization for Proxy-based Deep Metric "
    "Learning, CVPR 2022; with the SoftTriple of Qian et al. 2019"
)
YEAR = 2022
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "la": FloatDistribution(0.01, 200.0),
    "gamma": FloatDistribution(1e-4, 100.0),
    "tau": FloatDistribution(0.0, 1.0),
    "margin": FloatDistribution(0.0, 1.0),
    "centers_per_class": IntDistribution(1, 20),
    "w_align": FloatDistribution(1e-4, 1.0, log=True),
    "flow_lr_factor": FloatDistribution(1e-4, 0.03, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("la", "gamma", "tau", "w_align"), shares=("margin",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "la": "the reality check's range of SoftTriple over CUB, Cars and SOP; authors' 20",
    "gamma": "the reality check's range of SoftTriple over CUB, Cars and SOP; authors' 0.1",
    "tau": "the reality check's range of its reg_weight (w there is 2 w here); authors' 0.2",
    "margin": "the reality check's range of SoftTriple; authors' 0.01",
    "centers_per_class": "inferred around SoftTriple's 10; not searched by the reality check",
    "w_align": "inferred around NIR's 0.0075 (CUB), 0.01 (Cars), 0.3 (SOP) with Proxy-Anchor",
    "flow_lr_factor": "inferred around NIR's 50 / 4000 (CUB, Cars) and 1 / 4000 (SOP); "
    "0.1 of a loss_lr of 0.03 overflows in the first steps of RMSprop (glyphs), 0.0125 does not",
} | _followup.sources(FOLLOWUP)
COST = "O(B C K D + C K^2 D + B (128^2 + 128 D)), K centres"
STATUS = "paper"


class Loss(nn.Module):
    """SoftTriple with NIR over centres [n_classes, K, dim]; defaults are both papers' authors'."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        la: float = 20.0,
        gamma: float = 0.1,
        tau: float = 0.2,
        margin: float = 0.01,
        w_align: float = 0.0075,
        flow_lr_factor: float = 0.0125,
        centers_per_class: int = 10,
    ) -> None:
        super().__init__()
        check("la", la, "> 0", ok=la > 0)
        check("gamma", gamma, "> 0", ok=gamma > 0)
        check("tau", tau, ">= 0", ok=tau >= 0)
        check("margin", margin, ">= 0", ok=margin >= 0)
        check("w_align", w_align, ">= 0", ok=w_align >= 0)
        check("flow_lr_factor", flow_lr_factor, "> 0", ok=flow_lr_factor > 0)
        check("centers_per_class", centers_per_class, ">= 1", ok=centers_per_class >= 1)
        self.n_classes, self.la, self.gamma, self.margin = n_classes, la, gamma, margin
        self.tau, self.w_align, self.flow_lr_factor = tau, w_align, flow_lr_factor
        self.proxies = nn.Parameter(torch.empty(n_classes, centers_per_class, dim))
        nn.init.uniform_(self.proxies, -(dim**-0.5), dim**-0.5)
        self.flow = Flow(dim)

    def groups(self) -> list[dict[str, Any]]:
        """The centres at the loss's learning rate, the flow at `flow_lr_factor` times it."""
        return lr_groups(self.proxies, self.flow.parameters(), self.flow_lr_factor)

    def of_classes(self, embeddings: Tensor, proxies: Tensor) -> tuple[Tensor, Tensor]:
        """S [B, C] of unit-length embeddings and some classes with proxies [C, K, D]; their R."""
        centres = F.normalize(proxies, dim=2)
        # [K, B, C]: a softmax over the first dimension is several times as fast as over the last
        cosine = embeddings @ centres.permute(1, 2, 0)
        return ((cosine / self.gamma).softmax(0) * cosine).sum(0), self.spread(centres)

    def spread(self, centres: Tensor) -> Tensor:
        """SoftTriple's R of unit-length centres [C, K, D] of some classes; zero with one centre."""
        per_class = centres.shape[1]
        if per_class == 1:
            return centres.sum() * 0.0
        first, second = torch.triu_indices(per_class, per_class, 1, device=centres.device)
        cosine = (centres @ centres.mT)[:, first, second]
        total = (2.0 + 1e-5 - 2.0 * cosine).clamp_min(1e-12).sqrt().sum()
        return total / (self.n_classes * per_class * (per_class - 1))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        unit = F.normalize(embeddings)
        parts = by_blocks(
            lambda proxies: self.of_classes(unit, proxies),
            self.proxies,
            size=max(1, ENTRIES // self.proxies[0].numel()),
        )
        similarity = torch.cat([of_classes for of_classes, _ in parts], 1)
        target = F.one_hot(labels, self.n_classes).to(similarity.dtype)
        proxy_loss = F.cross_entropy(self.la * (similarity - self.margin * target), labels)
        centres = F.normalize(self.proxies[labels], dim=2)
        assigned = (torch.einsum("bd,bkd->bk", unit, centres) / self.gamma).softmax(1)
        condition = (assigned[:, :, None] * centres).sum(1)
        nll = negative_log_likelihood(self.flow, embeddings, F.normalize(condition))
        proxy_loss = proxy_loss + self.tau * torch.stack([spread for _, spread in parts]).sum()
        return nll.exp().mean() + self.w_align * proxy_loss
