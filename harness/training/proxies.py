"""The proxies of a loss, one a class, and how far the embeddings of the classes are from them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.measure.geometry import distance_to_proxies
from harness.schema import BASELINES, Part, Run
from harness.training import embeddings, network
from harness.training.loss_files import loss_file

NAME = "proxies"  # of the parameter in losses/, [n_classes, D]


def proxies_of(loss: nn.Module, n_classes: int) -> Tensor | None:
    """The proxies [n_classes, D] of a loss; None where it has none, or several a class."""
    for name, parameter in loss.named_parameters():
        if name.rpartition(".")[2] == NAME and parameter.shape[:1] == (n_classes,):
            return parameter.detach()
    return None


def mean_distance(
    model: network.Network, loss: nn.Module, part: Part, run: Run, device: torch.device
) -> float | None:
    """AvgDTP of a part's images, not augmented; None for a loss without a proxy a class.

    Embeddings and proxies are both as the loss's formula takes embeddings: at unit length or not.
    """
    proxies = None if run.loss in BASELINES else proxies_of(loss, part.n_classes)
    if proxies is None:
        return None
    embedded = embeddings.for_proxies(model, part, run, device)
    labels = torch.from_numpy(part.labels).to(embedded.device)
    proxies = embeddings.for_loss(proxies, loss_file(run.study, run.loss))
    return distance_to_proxies(embedded, labels, proxies)
