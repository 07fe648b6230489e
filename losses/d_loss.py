"""D-Loss: the decidability index d' between the distances within classes and across them.

Over all pairs of the batch, take the Euclidean distances of unit-length embeddings: genuine ones
within a class, impostor ones between two classes. Then

    d' = (mean impostor - mean genuine) / sqrt((variance genuine + variance impostor) / 2),

with variances that divide by the number of pairs. The loss is -d'; it has no parameter.

Source: Silva, Moreira, Freitas, Silva, Menotti and Luz 2022 (IJCNN, arXiv 2109.05524): a loss that
maximises d' over a mini-batch. The authors released no code, and which decreasing function of d'
they minimise could not be established. It is not the logarithm, which their later PD-Loss
introduces. All such functions have the same gradient of one batch up to a positive factor, and -d'
is the plainest. d' is signed here (biometrics take the absolute value), so that classes whose
distances lie the wrong way round are still corrected. 1e-8 in the root keeps the gradient finite
where all distances are equal. The moments need large batches. Without positives or without
negatives d' is undefined and the loss is zero.
"""

from __future__ import annotations

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses._shared import (
    attached_zero,
    check_batch,
    euclidean_distance,
    in_float32,
    positives_and_negatives,
)

PAPER = (
    "Silva, Moreira, Freitas, Silva, Menotti and Luz 2022, A Decidability-Based Loss Function, "
    "IJCNN"
)
YEAR = 2022
KIND = "pair"
EMBEDDING = "unit"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE: dict[str, FloatDistribution] = {}
FIXED: dict[str, str] = {}
FOLLOWUP: dict[str, FloatDistribution] = {}
REFERENCE_NORM: dict[str, float] = {}
SOURCES: dict[str, str] = {}
COST = "O(B^2 D)"
STATUS = "paper"


class Loss(nn.Module):
    """The negative decidability index of the batch's distances."""

    def __init__(self, *, n_classes: int, dim: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        positives, negatives = positives_and_negatives(labels)
        if not (positives.any() and negatives.any()):
            return attached_zero(embeddings)
        distances = euclidean_distance(embeddings, embeddings)
        genuine, impostor = distances[positives], distances[negatives]
        variances = genuine.var(correction=0) + impostor.var(correction=0)
        return (genuine.mean() - impostor.mean()) / (0.5 * variances + 1e-8).sqrt()
