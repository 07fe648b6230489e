"""What is searched for a loss in a study, with the ranges that depend on the network put in."""

from __future__ import annotations

from harness.protocol import search
from harness.schema import Study
from harness.training import network
from harness.training.loss_files import declared


def of_loss(study: Study, loss: str, channels: int | None = 3) -> search.Space:
    """The search space of a loss or variant.

    ModuleNotFoundError where losses/ has no such file, Problem where that lacks a constant. Ranges
    that are stated for a norm of the embeddings follow the network's initial norm on images of so
    many channels; Problem where that is not known beforehand.
    """
    module = declared(study.base_of(loss))
    study = study.for_loss(loss)
    fixed = study.loss_params.get(loss, {})
    scaled = any(name not in fixed for name in module.REFERENCE_NORM)
    norm = network.initial_norm(study, channels) if scaled else 1.0
    return search.space_of(study, module, norm, loss)
