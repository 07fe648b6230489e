"""P2SGrad: the cosines of image and class weights, fitted to 1 for the class and 0 for all others.

With x and w_c normalised here, the mean over the images i of the batch and the C classes of

    (cos(x_i, w_c) - [c = y_i])^2.

It has no parameter: the paper writes down gradients that need none, and this is the loss that has
them. pytorch-metric-learning's P2SGradLoss has the same value; it rescales its weights to unit
length in place, where here they are normalised when used. Weights start as N(0, 1).

Source: Zhang et al. 2019, P2SGrad: Refined Gradients for Optimizing Deep Face Models (CVPR, arXiv
1905.02479), Eq. 11, as the squared error that the library takes from the code of X. Wang. The
authors released no code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses._shared import check_batch, in_float32

PAPER = (
    "Zhang et al. 2019, P2SGrad: Refined Gradients for Optimizing Deep Face Models, CVPR 2019, "
    "Eq. 11"
)
YEAR = 2019
KIND = "classification"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE: dict[str, FloatDistribution] = {}
FIXED: dict[str, str] = {}
FOLLOWUP: dict[str, FloatDistribution] = {}
REFERENCE_NORM: dict[str, float] = {}
SOURCES: dict[str, str] = {}
COST = "O(B C D)"
STATUS = "library"


class Loss(nn.Module):
    """Mean squared error of cosines to class weights [n_classes, dim]."""

    def __init__(self, *, n_classes: int, dim: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.proxies = nn.Parameter(torch.randn(n_classes, dim))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        return F.mse_loss(cosine, F.one_hot(labels, self.n_classes).to(cosine.dtype))
