"""NIR with ProxyNCA: a flow must map each class's proxy to its samples one to one.

With x and p of unit length, a flow f (five conditional GLOW blocks) and z = f(x | p_y),

    mean_i exp( 1/2 ||z_i||^2 - log|det df/dx|_i )  +  w_align * L_proxy,
    L_proxy = mean_i -log( e^(-d_iy) / sum_{c != y_i} e^(-d_ic) ),  d = scale^2 ||x - p||^2.

The paper reports ProxyNCA with NIR and adds the weighted negative log likelihood to the proxy loss.
The released code takes the exponential of the likelihood and puts the weight on the PROXY loss, as
here, but uses its Proxy-Anchor form only (see `nir_proxy_anchor`). Two things had to be chosen. The
proxy loss is ProxyNCA as first published: the proxy of the image's class is not in the denominator,
and `scale` is the length of x and p, as in `proxy_nca`. Weights and learning rates are those of the
Proxy-Anchor form.

Source: Roth, Vinyals and Akata 2022 (CVPR); code ExplainableML/NonIsotropicProxyDML,
criteria/nir.py; Movshovitz-Attias et al. 2017 (ICCV), arXiv 1703.07464, for L_proxy.
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
    "Learning, CVPR 2022; with the ProxyNCA of Movshovitz-Attias et al. 2017"
)
YEAR = 2022
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "scale": FloatDistribution(0.1, 10.0),
    "w_align": FloatDistribution(1e-4, 1.0, log=True),
    "flow_lr_factor": FloatDistribution(1e-4, 0.03, log=True),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("scale", "w_align"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "scale": "square roots of 0.01 and 100, the reality check's bounds of softmax_scale = scale^2",
    "w_align": "inferred around the authors' 0.0075 (CUB), 0.01 (Cars), 0.3 (SOP), Proxy-Anchor",
    "flow_lr_factor": "inferred around the authors' 50 / 4000 (CUB, Cars) and 1 / 4000 (SOP); "
    "0.1 of a loss_lr of 0.03 overflows in the first steps of RMSprop (glyphs), 0.0125 does not",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D + B (128^2 + 128 D))"
STATUS = "paper"


class Loss(nn.Module):
    """ProxyNCA with NIR over proxies [n_classes, dim]; `scale` as in `proxy_nca`."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        scale: float = 3.0,
        w_align: float = 0.0075,
        flow_lr_factor: float = 0.0125,
    ) -> None:
        super().__init__()
        check("n_classes", n_classes, ">= 2: there must be another proxy", ok=n_classes >= 2)
        check("scale", scale, "> 0", ok=scale > 0)
        check("w_align", w_align, ">= 0", ok=w_align >= 0)
        check("flow_lr_factor", flow_lr_factor, "> 0", ok=flow_lr_factor > 0)
        self.n_classes, self.scale, self.w_align = n_classes, scale, w_align
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
        logits = 2.0 * self.scale**2 * F.normalize(embeddings) @ proxies.T  # -d + a constant
        target = logits.gather(1, labels[:, None])[:, 0]
        others = logits.scatter(1, labels[:, None], float("-inf")).logsumexp(1)
        nll = negative_log_likelihood(self.flow, embeddings, proxies[labels])
        return nll.exp().mean() + self.w_align * (others - target).mean()
