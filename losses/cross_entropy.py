"""Plain cross-entropy: a linear classifier on the raw embedding, with dropout and smoothed labels.

With logits z = W dropout(x) + b over the embedding x as it is (not normalised), and targets t that
put 1 - label_smoothing on the label and label_smoothing / (C - 1) on each other class, the loss is
the mean over the batch of

    KL(t || softmax(z)) = CE_t(z) - H(t).

The entropy H(t) is a constant, subtracted so that the least value is 0. W and b start at zero, so
the first gradient of the embedding is zero and the classifier moves first. torch's own
`label_smoothing` is spread over all C classes: a value v here is v C / (C - 1) there. Dropout draws
a mask by position, so batch order matters to the value of one draw; `eval()` switches it off.
The authors apply the loss to the trunk's features (2048 wide, batch-normalised for Cars and SOP, no
layer between); here x is the output of the harness's head. pytorch-metric-learning does not have
this loss.

Source: Boudiaf et al. 2020, A Unifying Mutual Information View of Metric Learning (ECCV), the
cross-entropy that it compares with pairwise losses; formula and start as SmoothCrossEntropy and
BaseModel of the code jeromerony/dml_cross_entropy.
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
    "Boudiaf et al. 2020, A Unifying Mutual Information View of Metric Learning: Cross-Entropy vs. "
    "Pairwise Losses, ECCV 2020, the cross-entropy loss"
)
YEAR = 2020
KIND = "classification"
EMBEDDING = "unbounded"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "label_smoothing": FloatDistribution(0.0, 0.5),
    "dropout": FloatDistribution(0.0, 0.7),
}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(shares=("label_smoothing", "dropout"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "label_smoothing": "inferred around the authors' 0.1",
    "dropout": "inferred around the authors' 0.5 for ResNet50",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "authors"


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy of logits [B, C] with smoothing / (C - 1) on every class but the label."""
    log_p = F.log_softmax(logits, dim=1)
    target_log_p = log_p.gather(1, labels[:, None])[:, 0]
    if smoothing == 0.0:
        return -target_log_p.mean()
    mean_of_others = (log_p.sum(1) - target_log_p) / (logits.shape[1] - 1)
    return -((1 - smoothing) * target_log_p + smoothing * mean_of_others).mean()


class Loss(nn.Module):
    """Cross-entropy over class weights [n_classes, dim] and a bias; the authors' defaults."""

    def __init__(
        self, *, n_classes: int, dim: int, label_smoothing: float = 0.1, dropout: float = 0.5
    ) -> None:
        super().__init__()
        check("n_classes", n_classes, ">= 2", ok=n_classes >= 2)
        check("label_smoothing", label_smoothing, "0 <= value < 1", ok=0 <= label_smoothing < 1)
        check("dropout", dropout, "0 <= value < 1", ok=0 <= dropout < 1)
        self.n_classes, self.label_smoothing, self.dropout = n_classes, label_smoothing, dropout
        self.proxies = nn.Parameter(torch.zeros(n_classes, dim))
        self.bias = nn.Parameter(torch.zeros(n_classes))
        e = label_smoothing
        self.entropy = 0.0
        if e > 0:
            self.entropy = -(1 - e) * math.log(1 - e) - e * math.log(e / (n_classes - 1))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        inputs = F.dropout(embeddings, self.dropout, self.training)
        logits = F.linear(inputs, self.proxies, self.bias)
        return smoothed_cross_entropy(logits, labels, self.label_smoothing) - self.entropy
