"""Embeddings seen from their two widest directions: a picture, from which nothing is measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Plane:
    """Coordinates [n, 2] and the share of the whole variance that they hold."""

    coordinates: Tensor
    share: float


def principal_plane(embedded: Tensor) -> Plane:
    """The first two principal components of embeddings [n, D], n and D at least 2.

    Each component's sign is such that its largest coordinate is positive. Source: Pearson 1901.
    """
    centred = embedded.double().cpu()
    centred = centred - centred.mean(0)
    _, values, directions = torch.linalg.svd(centred, full_matrices=False)
    coordinates = centred @ directions[:2].T
    largest = coordinates.gather(0, coordinates.abs().argmax(0, keepdim=True))
    variances = values.square()
    share = float(variances[:2].sum() / variances.sum()) if float(variances.sum()) > 0 else 0.0
    return Plane(coordinates * torch.where(largest < 0, -1.0, 1.0), share)
