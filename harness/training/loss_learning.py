"""Whether a loss learns on toy data, and whether all its parameters do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from harness.training import loss_groups
from harness.training.embeddings import for_loss, unit_length
from harness.training.loss_batches import CLASSES, DIM, built, scale, value_of
from harness.training.loss_state import KEEP_IN_BUFFERS, goes_on_alike

IMAGES, OF_A_CLASS = 4, 12  # in a batch; in all
STEPS, ENOUGH = 200, 0.9  # of Adam; the precision at 1 that they must reach from under 0.6
SPREADS = (3, 10)
RATES = ((0.1, 0.001), (0.02, 0.02), (0.02, 0.2), (0.1, 0.1))  # of embeddings, of the loss's own


def learning(module: ModuleType, moved: set[str]) -> Iterator[str]:
    """Whether some pair of learning rates separates four classes, and then holds each together.

    `moved` are the names of parameters that had a gradient before; others must have one here.
    """
    places = torch.arange(len(CLASSES)).repeat_interleave(OF_A_CLASS)
    labels = torch.tensor(CLASSES)[places]
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(len(labels), DIM, generator=generator)
    start = unit_length(start + 0.4 * torch.randn(len(CLASSES), DIM, generator=generator)[places])
    reached = []
    for rates in RATES:
        loss, embeddings = _trained(module, start, labels, *rates, moved)
        if embeddings is None:
            reached.append(0.0)
            continue
        reached.append(_precision_at_1(module, embeddings, labels))
        if reached[-1] >= ENOUGH:
            yield from _apart(module, loss, embeddings, labels)
            yield from _untrained(loss, moved)
            if not goes_on_alike(module, loss, {}):
                yield f"after {STEPS} steps {KEEP_IN_BUFFERS}"
            return
    yield (
        f"{STEPS} steps of Adam bring the precision at 1 of four easy classes to "
        f"{100 * max(reached):.0f} % at best ({100 * ENOUGH:.0f} % is asked, at one of "
        f"{len(RATES)} pairs of learning rates); is the sign right?"
    )


def _untrained(loss: nn.Module, moved: set[str]) -> Iterator[str]:
    still = [name for name, each in loss.named_parameters() if each.requires_grad]
    if still := [name for name in still if name not in moved]:
        yield (
            f"no batch gives a gradient to {', '.join(still)}, which would never be trained: is "
            "there a detach or no_grad, or is it not used? What shall stay as it is, is a buffer "
            "(self.register_buffer in __init__)"
        )


def _trained(
    module: ModuleType, start: Tensor, labels: Tensor, lr: float, loss_lr: float, moved: set[str]
) -> tuple[nn.Module, Tensor | None]:
    """The loss and the vectors after Adam's steps; None where the loss stopped being finite.

    What had a gradient is added to `moved`.
    """
    norm, loss = scale(module), built(module, {})
    embeddings = (norm * start).requires_grad_()
    groups: list[dict[str, Any]] = [{"params": [embeddings], "lr": lr * norm}]
    for group in loss_groups.groups_of(loss, own_parameters=module.OWN_PARAMETERS):
        groups.append({"params": group["params"], "lr": loss_lr * group["lr_factor"]})
    optimiser = torch.optim.Adam(groups)
    generator = torch.Generator().manual_seed(4)
    for _ in range(STEPS):
        drawn = torch.rand(len(CLASSES), OF_A_CLASS, generator=generator).argsort(1)[:, :IMAGES]
        batch = (drawn + OF_A_CLASS * torch.arange(len(CLASSES))[:, None]).flatten()
        optimiser.zero_grad()
        value = loss(for_loss(embeddings[batch], module), labels[batch])
        if not bool(torch.isfinite(value)):
            return loss, None
        if value.requires_grad:
            torch.autograd.backward(value)
        moved |= with_gradient(loss, moved)
        optimiser.step()
    return loss, embeddings.detach()


def with_gradient(loss: nn.Module, known: set[str]) -> set[str]:
    """The names of the loss's parameters, but those known already, whose gradient is not zero."""
    return {
        name
        for name, each in loss.named_parameters()
        if name not in known and each.grad is not None and bool(each.grad.any())
    }


def _precision_at_1(module: ModuleType, embeddings: Tensor, labels: Tensor) -> float:
    ended = unit_length(embeddings) if module.RETRIEVAL == "cosine" else embeddings
    nearest = torch.cdist(ended, ended).fill_diagonal_(math.inf).argmin(1)
    return float((labels[nearest] == labels).float().mean())


def _apart(
    module: ModuleType, loss: nn.Module, embeddings: Tensor, labels: Tensor
) -> Iterator[str]:
    """Whether the trained loss does not mind that every class is spread more widely."""
    by_class = embeddings.reshape(len(CLASSES), OF_A_CLASS, DIM)
    centres = by_class.mean(1, keepdim=True).expand_as(by_class).flatten(0, 1)
    with torch.no_grad():
        before, *after = (
            float(
                value_of(loss, for_loss(centres + wider * (embeddings - centres), module), labels)
            )
            for wider in (1, *SPREADS)
        )
    if max(after) <= before:
        times = " or ".join(map(str, SPREADS))
        yield (
            f"four separated classes get no larger loss when each is spread {times} times as "
            f"widely: {before:.4g}, then {' and '.join(f'{value:.4g}' for value in after)}; is the "
            "sign of the term that pulls a class together right?"
        )
