"""What the two mean-field losses share: proxies as mean fields, and their mutual distances.

Source: Furusawa 2024, Mean Field Theory in Deep Metric Learning (ICLR, arXiv 2306.15368); code
"Official implementation of Mean Field Theory in Deep Metric Learning", BaseMeanFieldLoss.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from losses._shared import ENTRIES, by_blocks


def distances(embeddings: Tensor, fields: Tensor) -> Tensor:
    """One minus the cosine [N, C] of rows [N, D] and of the mean fields of classes [C, D]."""
    return 1.0 - F.normalize(embeddings) @ F.normalize(fields).T


def repulsion(fields: Tensor, penalty: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean over classes of the summed squared penalties of distances to all other classes."""
    n_classes = len(fields)
    classes = torch.arange(n_classes, device=fields.device)

    def of_classes(rows: Tensor, own: Tensor) -> Tensor:
        squares = penalty(distances(rows, fields)).square()
        return squares.masked_fill(own[:, None] == classes, 0.0).sum()

    size = max(1, ENTRIES // n_classes)
    return torch.stack(by_blocks(of_classes, fields, classes, size=size)).sum() / n_classes
