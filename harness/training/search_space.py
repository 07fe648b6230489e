"""What is searched for a loss in a study, with the ranges that depend on the network put in."""

from __future__ import annotations

from types import ModuleType

from harness.protocol import search
from harness.schema import Study
from harness.training import network


def of_loss(study: Study, loss_file: ModuleType, channels: int | None = 3) -> search.Space:
    """The search space of the loss in `loss_file`, a module of losses/.

    Ranges that are stated for a norm of the embeddings follow the network's initial norm on images
    of so many channels; Problem where that is not known beforehand.
    """
    norm = network.initial_norm(study, channels) if loss_file.REFERENCE_NORM else 1.0
    return search.space_of(study, loss_file, norm)
