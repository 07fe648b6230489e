"""Smooth-AP: average precision with the step function of a rank replaced by a sigmoid.

With s_qj the dot product of unit-length embeddings, sigma the logistic function and
t = s_qj - s_qi, the rank of image i for query q among all images, and among those of q's class:

    R(i) = 1 + sum over j != i of sigma(t / tau),  R+(i) the same over the images of q's class.

AP_q is the mean over the images i of q's class, q itself among them, of R+(i) / R(i). The loss is
1 minus the mean AP over all queries, computed as the mean of (R - R+) / R, so that no digits are
lost by cancellation. sigma's argument is clamped to +-50, as in the authors' code.

Source: Brown, Xie, Kalogeiton and Zisserman 2020 (ECCV, arXiv 2007.12163), Eq. 6 to 8; code
Andrew-Brown1/Smooth_AP, to which value and gradients are equal. The authors need classes of equal
size that lie one after another; here any batch will do, however it is arranged. If a class has one
image in the batch, that image is its only positive. pytorch-metric-learning 2.9's SmoothAPLoss is
not used: it groups by the wrong number unless the batch has as many classes as images per class.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32, similarity_gaps, smooth_step

PAPER = (
    "Brown, Xie, Kalogeiton and Zisserman 2020, Smooth-AP: Smoothing the Path Towards Large-Scale "
    "Image Retrieval, ECCV, Eq. 6-8"
)
YEAR = 2020
KIND = "ranking"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"tau": FloatDistribution(1e-3, 1.0, log=True)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("tau",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {"tau": "inferred around the authors' 0.01"} | _followup.sources(FOLLOWUP)
COST = "O(B^2 (D + K)) for K images of a class"
STATUS = "authors"


class Loss(nn.Module):
    """1 - Smooth-AP over all queries of the batch; the default tau is the authors'."""

    def __init__(self, *, n_classes: int, dim: int, tau: float = 0.01) -> None:
        super().__init__()
        check("tau", tau, "> 0 and finite", ok=0 < tau < math.inf)
        self.n_classes, self.tau = n_classes, tau

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        same = labels[:, None] == labels
        queries = same.nonzero(as_tuple=True)[0]
        gaps, others = similarity_gaps(embeddings, same)
        steps = smooth_step(gaps, self.tau) * others
        wrong = (steps * ~same[queries]).sum(1)
        shares = wrong / (1.0 + steps.sum(1))
        return (shares / same.sum(1)[queries]).sum() / len(labels)
