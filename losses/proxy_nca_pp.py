"""ProxyNCA++: the probability that a point is assigned to the proxy of its class.

With x and p both of unit length, the loss is the mean over the batch of

    -log( exp(-||x - p_y||^2 / temperature) / sum_j exp(-||x - p_j||^2 / temperature) ),

where the proxy of the image's class is INCLUDED in the denominator: CE(2 cos(x, p_j) /
temperature, y). The authors multiply x and p by a scale of 3, which is a temperature of 1 / 9. The
loss normalises x itself, so unit embeddings and raw ones give the same value.

pytorch-metric-learning calls this loss ProxyNCALoss, with softmax_scale = 1 / temperature (equal in
value and gradient), and so does the row "ProxyNCA" of "A Metric Learning Reality Check". The
ProxyNCA of Movshovitz-Attias et al. is `proxy_nca`. The library draws its proxies from N(0, 1), the
authors (and this file) divide that by 8: this does not change the value, but makes the effective
learning rate 64 times larger.

Source: Teh, DeVries and Taylor 2020, ProxyNCA++ (ECCV), the proxy assignment probability; code
euwern/proxynca_pp, ProxyNCA_prob, to which value and gradients are equal. Its label smoothing, 0
in every configuration of the authors, gives smoothing / (C - 1) to each of the other classes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32
from losses.cross_entropy import smoothed_cross_entropy

PAPER = (
    "Teh, DeVries and Taylor 2020, ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood "
    "Component Analysis, ECCV 2020, proxy assignment probability"
)
YEAR = 2020
KIND = "proxy"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {"temperature": FloatDistribution(0.01, 100.0, log=True)}
FIXED = {
    "label_smoothing": "0 in every configuration of the authors and in the reality check's search"
}
FOLLOWUP = _followup.ratios(factors=("temperature",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "temperature": "1 / softmax_scale of the reality check's ProxyNCA row, which searched 0.01 to "
    "100; log because the range spans both sides of 1; authors' 1 / 9",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "authors"


class Loss(nn.Module):
    """ProxyNCA++ over proxies [n_classes, dim]; defaults are the authors' values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        temperature: float = 1 / 9,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check("temperature", temperature, "> 0 and finite", ok=0 < temperature < math.inf)
        check("label_smoothing", label_smoothing, "0 <= value < 1", ok=0 <= label_smoothing < 1)
        self.n_classes, self.temperature = n_classes, temperature
        self.label_smoothing = label_smoothing
        self.proxies = nn.Parameter(torch.randn(n_classes, dim) / 8)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        return smoothed_cross_entropy(2.0 * cosine / self.temperature, labels, self.label_smoothing)
