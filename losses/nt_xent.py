"""NT-Xent with labels: every positive pair against the anchor's negatives, a softmax of cosines.

With s_ij the cosine of unit-length embeddings, the mean over all ordered positive pairs (i, j) of

    -log( exp(s_ij / temperature)
          / (exp(s_ij / temperature) + sum over negatives n of i of exp(s_in / temperature)) ).

The anchor's other positives are not in the denominator (unlike supervised contrastive learning).

Source: Sohn 2016; Chen et al. 2020 (SimCLR, ICML), Eq. 1, there with two views of each image as
the only positives. The use with labels is that of Musgrave et al. 2020 and of
pytorch-metric-learning's NTXentLoss, to which the loss is equal. The library adds the smallest
float32 number inside the logarithm, so a pair's term is at most about 87 and has no gradient there.
A temperature below about 0.02 can reach that. A batch without positives or without negatives has a
loss of zero. The library holds every positive pair beside every negative one; the pairs of an
anchor share their sum over negatives, which is taken once here.
"""

from __future__ import annotations

import math

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32, positives_and_negatives

PAPER = (
    "Chen, Kornblith, Norouzi and Hinton 2020, A Simple Framework for Contrastive Learning of "
    "Visual Representations, ICML, Eq. 1; with labels as in Musgrave et al. 2020"
)
YEAR = 2020
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"temperature": FloatDistribution(1e-5, 100.0, log=True)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("temperature",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "temperature": "Musgrave et al. 2020, bounds of their published search plots (CUB from 1e-4)",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """NT-Xent over all positive pairs; the default temperature is the library's."""

    def __init__(self, *, n_classes: int, dim: int, temperature: float = 0.07) -> None:
        super().__init__()
        check("temperature", temperature, "> 0 and finite", ok=0 < temperature < math.inf)
        self.n_classes, self.temperature = n_classes, temperature

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        positive, negative = positives_and_negatives(labels)
        scaled = embeddings @ embeddings.T / self.temperature
        negatives = scaled.masked_fill(~negative, -torch.inf).logsumexp(1, keepdim=True)
        # the pair's share of all that its anchor is compared with, as the library has it
        share = torch.exp(scaled - torch.logaddexp(scaled, negatives))
        terms = -torch.log(share + torch.finfo(share.dtype).tiny)
        used = positive & negative.any(1, keepdim=True)
        return torch.where(used, terms, 0.0).sum() / used.sum().clamp_min(1)
