"""SGSL: softmax loss plus a term that compares x with class weights but does not move them.

With class weights w (no bias), x as the head gives it, sg() a stop of the gradient and CE smoothed
by label_smoothing / (C - 1) on each other class, the loss is

    CE(W x, y)
  + mean log(1 + exp( (1/gamma) LSE_{c != y}(gamma cos(x, sg(w_c))) - cos(x, sg(w_y)) )),

where the second term counts only on batches whose first term is at most ce_gate, and gives W no
gradient. A useful gate depends on the number of classes and the smoothing, since the first term
starts near log C: 4.6 for 100 classes, 9.3 for SOP's. The authors' x is the output of a BatchNorm
neck on the pooled features; here it is that of the harness's head. They divide the first term by
the number of its non-zero terms, which with smoothing is the batch size.

Source: Yang, Wang and Zhang 2023, Stop-Gradient Softmax Loss for Deep Metric Learning (AAAI); code
luyang-NWPU/SGSL, embedding_head.py and cross_entroy_loss.py, whose formula this is (its parameter
neg_r is not used; gamma is its constant 30). W starts as N(0, 0.001^2), as classifiers do in the
fastreid framework on which that code is built.
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

PAPER = "Yang, Wang and Zhang 2023, Stop-Gradient Softmax Loss for Deep Metric Learning, AAAI 2023"
YEAR = 2023
KIND = "classification"
EMBEDDING = "unbounded"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "gamma": FloatDistribution(1.0, 100.0, log=True),
    "label_smoothing": FloatDistribution(0.0, 0.6),
    "ce_gate": FloatDistribution(1.0, 6.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("gamma", "ce_gate"), shares=("label_smoothing",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "gamma": "inferred around the authors' 30",
    "label_smoothing": "inferred around the authors' 0.4, 0.4, 0.1",
    "ce_gate": "inferred around the authors' 3",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "authors"


class Loss(nn.Module):
    """SGSL over class weights [n_classes, dim]; defaults are the authors' CUB values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        gamma: float = 30.0,
        label_smoothing: float = 0.4,
        ce_gate: float = 3.0,
    ) -> None:
        super().__init__()
        check("n_classes", n_classes, ">= 2", ok=n_classes >= 2)
        check("gamma", gamma, "> 0 and finite", ok=0 < gamma < math.inf)
        check("label_smoothing", label_smoothing, "0 <= value < 1", ok=0 <= label_smoothing < 1)
        check("ce_gate", ce_gate, ">= 0", ok=ce_gate >= 0)
        self.n_classes, self.gamma = n_classes, gamma
        self.label_smoothing, self.ce_gate = label_smoothing, ce_gate
        self.proxies = nn.Parameter(0.001 * torch.randn(n_classes, dim))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        first = smoothed_cross_entropy(embeddings @ self.proxies.T, labels, self.label_smoothing)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies.detach()).T
        target = cosine.gather(1, labels[:, None])[:, 0]
        others = (self.gamma * cosine).scatter(1, labels[:, None], -math.inf).logsumexp(1)
        second = F.softplus(others / self.gamma - target).mean()
        return first + torch.where(first.detach() <= self.ce_gate, second, 0.0)
