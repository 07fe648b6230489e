"""Whether a loss goes on from its state_dict: in an interrupted run and in the follow-up phase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from harness.protocol.ranges import FOLLOWUP
from harness.protocol.search import loss_params
from harness.training.embeddings import for_loss
from harness.training.loss_batches import (
    CLASSES,
    N_CLASSES,
    at,
    batch,
    built,
    defaults,
    points,
    value_of,
)

BATCHES = 3  # before a loss is saved, and again after it was restored
KEEP_IN_BUFFERS = (
    "a new loss that is given the state_dict has other values, so an interrupted run would end "
    "with other numbers: keep what changes from batch to batch, and what is drawn, in buffers "
    "(self.register_buffer in __init__), counters too"
)


def restored(module: ModuleType) -> Iterator[str]:
    """Whether a loss goes on from its state_dict as it would have gone on itself."""
    for where, params in points(module):
        loss = built(module, params)
        for embeddings, labels in _batches(module, range(BATCHES)):
            value_of(loss, embeddings, labels)
        if not goes_on_alike(module, loss, params):
            yield f"after {BATCHES} batches {where} {KEEP_IN_BUFFERS}"
            return


def goes_on_alike(module: ModuleType, loss: nn.Module, params: Mapping[str, Any]) -> bool:
    """Whether one that another process built has the same values as the loss, by its state_dict.

    A process that carries on draws other first values than the one that began.
    """
    copy = built(module, params, seed=1)
    copy.load_state_dict(loss.state_dict())
    return all(
        torch.equal(value_of(loss, *batch), value_of(copy, *batch))
        for batch in _batches(module, range(BATCHES, 2 * BATCHES))
    )


def _batches(module: ModuleType, seeds: range) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches as the loss takes them, each of other images and classes."""
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        classes = torch.randperm(N_CLASSES, generator=generator)[: len(CLASSES)].tolist()
        embeddings, labels = batch(module, 3, classes=classes, seed=100 + seed)
        yield for_loss(embeddings, module), labels


def followup(module: ModuleType) -> Iterator[str]:
    """Whether a loss with the values of the second phase takes up the state of the first."""
    embeddings, labels = batch(module, 3)
    start = defaults(module) | {name: at(space, 0.5) for name, space in module.SPACE.items()}
    ratios = {name: at(space, 0.5) for name, space in module.FOLLOWUP.items()}
    first = built(module, start)
    try:
        changed = {f"{FOLLOWUP}{name}": value for name, value in ratios.items()}
        second = built(module, loss_params({}, start | changed)[1], seed=1)
        second.load_state_dict(first.state_dict())
        value = value_of(second, for_loss(embeddings, module), labels)
    except (Exception, SystemExit) as error:
        yield f"the follow-up phase cannot begin: {type(error).__name__}: {error}"
        return
    if not bool(torch.isfinite(value)):
        yield f"the loss is {float(value)} at the start of the follow-up phase"
