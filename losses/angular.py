"""Angular loss: the angle at the negative of every triangle of anchor, positive and negative.

For each ordered positive pair (a, p) of unit-length embeddings, with the negatives n of a,

    log(1 + sum_n exp(4 tan^2(alpha) (x_a + x_p) . x_n - 2 (1 + tan^2(alpha)) x_a . x_p)),

and the loss is the mean over the pairs. `alpha` is in degrees: the angle that triangles may have.
pytorch-metric-learning's AngularLoss computes it. The paper takes one pair of each class (as
N-pairs do), and adds the N-pair loss to it in its best results; the library's form has neither.

Source: Wang, Zhou, Wen, Liu and Lin 2017, Deep Metric Learning with Angular Loss (ICCV, arXiv
1708.01682), Eq. 8 over all pairs. The authors released no code. A batch without positives or
without negatives has a loss of zero.
"""

from __future__ import annotations

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import AngularLoss
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Wang, Zhou, Wen, Liu and Lin 2017, Deep Metric Learning with Angular Loss, ICCV 2017, Eq. 8 "
    "over all pairs"
)
YEAR = 2017
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {"alpha": FloatDistribution(20.0, 70.0)}
FIXED: dict[str, str] = {}
FOLLOWUP = _followup.ratios(shares=("alpha",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "alpha": "inferred: the paper's 36 to 55 degrees, widened by 15 at either end",
} | _followup.sources(FOLLOWUP)
COST = "O(B^3 + B^2 D)"
STATUS = "library"


class Loss(nn.Module):
    """Angular loss over all positive pairs; the default is the library's 40 degrees."""

    def __init__(self, *, n_classes: int, dim: int, alpha: float = 40.0) -> None:
        super().__init__()
        check("alpha", alpha, "between 0 and 90 degrees", ok=0 < alpha < 90)
        self.n_classes = n_classes
        self.pairs = AngularLoss(alpha)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        loss: Tensor = self.pairs(embeddings, labels)
        return loss
