"""Normalised softmax: cross-entropy of cosines over a temperature.

The mean over the batch of CE(x . w_j / ||w_j|| / temperature, y), with x of unit length already
(the loss does not normalise it again, as in the authors' code). The temperature DIVIDES.

pytorch-metric-learning's NormalizedSoftmaxLoss gives the same value but normalises x once more,
which removes the radial part of the gradient. It draws weights from N(0, 1), where the authors take
U(-1/sqrt(D), 1/sqrt(D)): that changes the effective learning rate by a factor, but not the value.

Source: Zhai and Wu 2019, Classification is a Strong Baseline for Deep Metric Learning (BMVC), the
normalised softmax with temperature; code azgo14/classification_metric_learning, to which value and
gradients are equal.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Zhai and Wu 2019, Classification is a Strong Baseline for Deep Metric Learning, BMVC 2019, "
    "normalised softmax with temperature"
)
YEAR = 2019
KIND = "classification"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {"temperature": FloatDistribution(0.01, 100.0, log=True)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("temperature",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "temperature": "Musgrave et al. 2020, bounds of their published search plots, every dataset; "
    "authors' 0.05",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "authors"


class Loss(nn.Module):
    """Normalised softmax over weights [n_classes, dim]; the default is the authors' value."""

    def __init__(self, *, n_classes: int, dim: int, temperature: float = 0.05) -> None:
        super().__init__()
        check("temperature", temperature, "> 0 and finite", ok=0 < temperature < math.inf)
        self.n_classes, self.temperature = n_classes, temperature
        bound = 1 / math.sqrt(dim)
        self.proxies = nn.Parameter(torch.empty(n_classes, dim).uniform_(-bound, bound))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosine = embeddings @ F.normalize(self.proxies).T
        return F.cross_entropy(cosine / self.temperature, labels)
