"""Center loss: softmax plus the squared distance to the class's centre, a moving mean.

With logits W x + b and centres c, x not normalised, the loss is

    mean_i CE(W x_i + b, y_i) + lam / 2 mean_i ||x_i - c_{y_i}||^2,

and each training batch moves the centres, by the authors' rule and not by the loss's gradient:

    c <- c - center_lr sum_{i: y_i = c} (c - x_i) / (1 + n_c),   n_c its images in the batch.

The rule does not contain lam and has a rate of its own. It cannot be written as a gradient: an
optimiser such as RMSprop divides gradients by their running size. Therefore the centres are a
buffer, which `forward` moves after it has computed the loss, in `train()` mode with gradients
enabled. This is the paper's Algorithm 1; the Caffe solver of the released example adds momentum
and weight decay to it. `loss_lr` is the classifier's. W and c start uniform in +-sqrt(3 / D)
(Caffe's xavier), b at 0. pytorch-metric-learning 2.9 does not have this loss.

Source: Wen et al. 2016, A Discriminative Feature Learning Approach for Deep Face Recognition
(ECCV), Eq. 2 to 5 and Algorithm 1; code ydwen/caffe-face, center_loss_layer.cpp.
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
    "Wen et al. 2016, A Discriminative Feature Learning Approach for Deep Face Recognition, "
    "ECCV 2016, Eq. 2-5"
)
YEAR = 2016
KIND = "classification"
EMBEDDING = "unbounded"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "lam": FloatDistribution(1e-5, 1.0, log=True),
    "center_lr": FloatDistribution(0.01, 1.0),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(factors=("lam",), shares=("center_lr",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "lam": "inferred around the authors' 0.003 (paper) to 0.01 (released examples)",
    "center_lr": "inferred around the paper's 0.5; above 1 the centres overshoot",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "authors"


class Loss(nn.Module):
    """Softmax and center loss over weights and centers [n_classes, dim]; authors' defaults."""

    def __init__(
        self, *, n_classes: int, dim: int, lam: float = 0.008, center_lr: float = 0.5
    ) -> None:
        super().__init__()
        check("lam", lam, ">= 0 and finite", ok=0 <= lam < math.inf)
        check("center_lr", center_lr, "0 <= center_lr <= 1", ok=0 <= center_lr <= 1)
        self.n_classes, self.lam, self.center_lr = n_classes, lam, center_lr
        bound = math.sqrt(3 / dim)
        self.proxies = nn.Parameter(torch.empty(n_classes, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(n_classes))
        self.centers: Tensor
        self.register_buffer("centers", torch.empty(n_classes, dim).uniform_(-bound, bound))

    @torch.no_grad()
    def move_centers(self, embeddings: Tensor, labels: Tensor) -> None:
        """One step of the authors' rule on the centres of the batch's classes."""
        offsets = self.centers[labels] - embeddings
        offset_sums = torch.zeros_like(self.centers).index_add_(0, labels, offsets)
        counts = torch.bincount(labels, minlength=self.n_classes)[:, None]
        self.centers -= self.center_lr * offset_sums / (1 + counts)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        logits = F.linear(embeddings, self.proxies, self.bias)
        to_centers = (embeddings - self.centers[labels]).square().sum(1).mean()
        if self.training and torch.is_grad_enabled():
            self.move_centers(embeddings, labels)
        return F.cross_entropy(logits, labels) + 0.5 * self.lam * to_centers
