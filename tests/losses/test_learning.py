"""The contract of losses/__init__.py over every file of losses/: how losses behave on batches."""

from __future__ import annotations

import re
import typing
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tests.losses.contract import (
    BATCHES,
    DIM,
    N_CLASSES,
    backward,
    batch_of,
    build,
    defaults_of,
    draws_of,
    every_loss,
    every_published_loss,
    followup_of,
    module_of,
    scale_of,
    value_of,
)


@every_published_loss
@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_value_and_gradients_are_finite(name: str, kind: str, precision: str) -> None:
    module = module_of(name)
    batch, labels = batch_of(module, kind)
    for params in [{}, *draws_of(module)]:
        loss = build(module, **params)
        embeddings = batch.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            inputs = embeddings.bfloat16() if precision == "bfloat16" else embeddings
            value = value_of(loss, inputs, labels)
        assert value.shape == (), params
        assert value.dtype == torch.float32, params
        assert torch.isfinite(value), params
        backward(value)
        assert embeddings.grad is not None, params
        assert torch.isfinite(embeddings.grad).all(), params
        for key, parameter in loss.named_parameters():
            if parameter.grad is not None:
                assert torch.isfinite(parameter.grad).all(), (key, params)


@every_loss
def test_what_is_trained_receives_a_gradient(name: str) -> None:
    module = module_of(name)
    loss = build(module)
    scattered, labels = batch_of(module, "ordinary")
    sizes: dict[str, float] = {"embeddings": 0.0}
    # two batches, because every hinge may be zero on one of them
    means = scattered.view(4, 3, DIM).mean(1)[labels]
    gathered = scale_of(module) * normalize(means + 0.3 * scattered)
    for batch in (scattered, gathered):
        embeddings = batch.clone().requires_grad_()
        loss.zero_grad()
        backward(value_of(loss, embeddings, labels))
        assert embeddings.grad is not None
        sizes["embeddings"] += float(embeddings.grad.abs().sum())
        for key, parameter in loss.named_parameters():
            if parameter.grad is not None:
                sizes[key] = sizes.get(key, 0.0) + float(parameter.grad.abs().sum())
    of_parameters = [size for key, size in sizes.items() if key != "embeddings"]
    if module.OWN_PARAMETERS:  # embeddings may have none yet: a classifier may start at zero
        assert any(size > 0 for size in of_parameters), sizes
    else:
        assert not of_parameters
        assert sizes["embeddings"] > 0


@every_loss
def test_batch_order_does_not_matter_unless_declared(name: str) -> None:
    module = module_of(name)
    embeddings, labels = batch_of(module, "ordinary")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))
    declared = re.search(r"\border\b[^.]*\bmatters?\b", module.__doc__ or "")
    for params in [{}, *draws_of(module)]:
        first = value_of(build(module, **params), embeddings, labels)
        if declared:  # then at least the same batch gives the same value
            again = value_of(build(module, **params), embeddings, labels)
        else:
            again = value_of(build(module, **params), embeddings[order], labels[order])
        torch.testing.assert_close(again, first, rtol=1e-5, atol=1e-5)


def nearest_neighbour_accuracy(embeddings: Tensor, labels: Tensor, retrieval: str) -> float:
    if retrieval == "cosine":
        embeddings = normalize(embeddings)
    distances = torch.cdist(embeddings, embeddings).fill_diagonal_(float("inf"))
    return float((labels[distances.argmin(1)] == labels).float().mean())


def trained(module: ModuleType, start: Tensor, labels: Tensor, lr: float, loss_lr: float) -> Tensor:
    """`start` [4 * 12, D] after 200 steps of Adam on batches of 4 images of each of 4 classes.

    The loss's parameters are trained too. It ends earlier once the classes are separated.
    """
    loss, scale = build(module, n_classes=4), scale_of(module)
    embeddings = (scale * start).requires_grad_()
    groups: list[dict[str, Any]] = [{"params": [embeddings], "lr": lr * scale}]
    if hasattr(loss, "groups"):
        for group in typing.cast(Any, loss).groups():
            groups.append({"params": group["params"], "lr": loss_lr * group["lr_factor"]})
    elif module.OWN_PARAMETERS:
        groups.append({"params": list(loss.parameters()), "lr": loss_lr})
    optimiser = torch.optim.Adam(groups, fused=True)
    generator = torch.Generator().manual_seed(4)
    for step in range(200):
        if step in (50, 100, 150):
            accuracy = nearest_neighbour_accuracy(embeddings.detach(), labels, module.RETRIEVAL)
            if accuracy >= 0.95:
                break
        images = torch.rand(4, 12, generator=generator).argsort(1)[:, :4]
        batch = (images + 12 * torch.arange(4)[:, None]).flatten()
        inputs = embeddings[batch]
        optimiser.zero_grad()
        inputs = normalize(inputs) if module.EMBEDDING == "unit" else inputs
        backward(loss(inputs, labels[batch]))
        optimiser.step()
    return embeddings.detach()


@every_loss
def test_200_steps_separate_the_classes(name: str) -> None:
    module = module_of(name)
    torch.manual_seed(2)
    labels = torch.arange(4).repeat_interleave(12)
    start = normalize(torch.randn(48, DIM) + 0.4 * torch.randn(4, DIM)[labels])
    before = nearest_neighbour_accuracy(start, labels, module.RETRIEVAL)
    assert before < 0.6
    accuracies: list[float] = []
    # learning rates are searched, as in a study: the first pair that learns is enough
    for lr, loss_lr in [(0.1, 0.001), (0.02, 0.02), (0.02, 0.2), (0.1, 0.1)]:
        end = trained(module, start, labels, lr, loss_lr)
        accuracies.append(nearest_neighbour_accuracy(end, labels, module.RETRIEVAL))
        if accuracies[-1] >= 0.9:
            break
    assert accuracies[-1] >= 0.9, (before, accuracies)


@every_loss
def test_state_passes_through_a_followup_instance(name: str) -> None:
    module = module_of(name)
    embeddings, labels = batch_of(module, "ordinary")
    params = defaults_of(module)
    loss = build(module)
    for _ in range(3):  # so that what the loss remembers of batches has changed
        value_of(loss, embeddings, labels)
        with torch.no_grad():
            for parameter in loss.parameters():
                parameter.mul_(1.01)
    second = module.Loss(n_classes=N_CLASSES, dim=DIM, **followup_of(module, params))
    second.load_state_dict(loss.state_dict())
    assert torch.isfinite(second(embeddings, labels))
    second.load_state_dict(loss.state_dict())
    third = module.Loss(n_classes=N_CLASSES, dim=DIM, **params)
    third.load_state_dict(second.state_dict())
    torch.testing.assert_close(
        value_of(third, embeddings, labels), value_of(loss, embeddings, labels), rtol=0, atol=0
    )
