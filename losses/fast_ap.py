"""FastAP: average precision with ranks read off a soft histogram of distances.

Squared distances of unit-length embeddings lie in [0, 4]. Each is shared linearly between the two
nearest of num_bins + 1 centres. With h+ and h the histograms of the anchor's positives and of all
other images, and H+ and H their cumulative sums, FastAP = 1/|P| sum over bins of h+ H+ / H. The
loss is 1 minus its mean over the anchors that have a positive.

Source: Cakir, He, Xia, Kulis and Sclaroff 2019 (CVPR), Eq. 7 to 11; code
kunhe/FastAP-metric-learning, to which the value is equal, through pytorch-metric-learning's
FastAPLoss. The authors wrote the gradient by hand, and theirs is B/2 times the gradient of the
value they report; here it is the gradient of the value. A batch without positives has a loss of
zero.
"""

from __future__ import annotations

from optuna.distributions import IntDistribution
from pytorch_metric_learning.losses import FastAPLoss
from torch import Tensor, nn

from losses._shared import check, check_batch, in_float32

PAPER = "Cakir, He, Xia, Kulis and Sclaroff 2019, Deep Metric Learning to Rank, CVPR, Eq. 7-11"
YEAR = 2019
KIND = "ranking"
EMBEDDING = "unit"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"num_bins": IntDistribution(2, 32)}
FIXED: dict[str, str] = {}
FOLLOWUP: dict[str, IntDistribution] = {}  # how finely ranks are read, not how hard they push
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {"num_bins": "Musgrave et al. 2020, their published sweep (batches of 256: up to 250)"}
COST = "O(B^2 (D + num_bins))"
STATUS = "authors"


class Loss(nn.Module):
    """FastAP with `num_bins` intervals over [0, 4]; the default is the authors'."""

    def __init__(self, *, n_classes: int, dim: int, num_bins: int = 10) -> None:
        super().__init__()
        check("num_bins", num_bins, "a whole number >= 1", ok=num_bins == int(num_bins) >= 1)
        self.n_classes = n_classes
        self.histogram = FastAPLoss(int(num_bins))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.histogram(embeddings, labels)
        return loss
