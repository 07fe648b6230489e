"""What a loss file breaks of the contract of losses/__init__.py, in sentences for its author.

The harness gives a loss what it promises there: embeddings [B, D] in float32 with autocast off,
labels 0..n_classes-1, at least two classes of MIN_IMAGES_PER_CLASS images each. A loss need not
check that again. Embeddings that are not finite end the run before the loss's value counts.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from harness.training import loss_declarations as declarations
from harness.training import loss_groups, loss_learning, loss_state
from harness.training.embeddings import for_loss
from harness.training.loss_batches import (
    CLASSES,
    DIM,
    MORE_CLASSES,
    MORE_DIM,
    N_CLASSES,
    OF_MORE,
    batch,
    built,
    points,
    value_of,
)

RAISED = (Exception, SystemExit)  # what a loss, which is a program, may raise

Part = Callable[[ModuleType], Iterator[str]]


def shortfalls(module: ModuleType) -> list[str]:
    """What the file breaks, each with what to do; nothing if it keeps the contract.

    What stands later is only looked at if what stands earlier is whole: a loss that cannot be built
    is not trained.
    """
    moved: set[str] = set()  # names of parameters that had a gradient
    stages: tuple[dict[str, Part], ...] = (  # what is done with the loss, in words, and the part
        {
            "when its constants are read": declarations.constants,
            "when its docstring is read": declarations.docstring,
        },
        {
            "when its constructor is read": declarations.constructor,
            "when its ranges are read": declarations.ranges,
        },
        {"when it is built": _states},
        {"when groups() is called": _groups},
        {
            "when its value or its gradient is computed (does it change its inputs in "
            "place?)": partial(_values, moved=moved)
        },
        {"when the same batch comes in another order": _order},
        {"when the same batch comes with other labels": _labels},
        {
            "when its state_dict is loaded into a new one, as an interrupted run "
            "does": loss_state.restored
        },
        {"when the follow-up phase begins": loss_state.followup},
        {"when it is trained": partial(loss_learning.learning, moved=moved)},
    )
    for stage in stages:
        lines = [line for doing, part in stage.items() for line in _guarded(part, module, doing)]
        if lines:
            return lines
    return []


def _guarded(part: Part, module: ModuleType, doing: str) -> Iterator[str]:
    """What a part finds; where the loss raises what the part did not expect, that is found too."""
    try:
        yield from part(module)
    except RAISED as error:
        raised = traceback.extract_tb(error.__traceback__)[-1]
        yield (
            f"{type(error).__name__}: {error} ({Path(raised.filename).name}:{raised.lineno}), "
            f"{doing}"
        )


def _states(module: ModuleType) -> Iterator[str]:
    for where, params in points(module):
        try:
            loss = built(module, params)
        except RAISED as error:
            yield f"Loss cannot be built {where}: {type(error).__name__}: {error}"
            continue
        if bool(list(loss.parameters())) is not module.OWN_PARAMETERS:
            has = "no parameters" if module.OWN_PARAMETERS else "parameters of its own"
            yield (
                f"OWN_PARAMETERS = {module.OWN_PARAMETERS}, but Loss has {has} "
                "(nn.Parameter in __init__)"
            )
            return


def _groups(module: ModuleType) -> Iterator[str]:
    for where, params in points(module):
        try:
            loss_groups.groups_of(built(module, params), own_parameters=module.OWN_PARAMETERS)
        except ValueError as error:
            yield f"{error} ({where})"
            return


def _values(module: ModuleType, moved: set[str]) -> Iterator[str]:
    """Whether value and gradients are finite on batches of several forms and sizes.

    The names of parameters that have a gradient are added to `moved`.
    """
    images, learns = module.MIN_IMAGES_PER_CLASS, False
    for classes, of_a_class, spread, n_classes, dim in (
        (CLASSES, max(images, 3), 1.0, N_CLASSES, DIM),
        (CLASSES[:2], images, 1.0, N_CLASSES, DIM),
        (CLASSES, max(images, 3), 0.0, N_CLASSES, DIM),
        (OF_MORE, max(images, 4), 1.0, MORE_CLASSES, MORE_DIM),
    ):
        embeddings, labels = batch(module, of_a_class, classes=classes, dim=dim, spread=spread)
        for where, params in points(module):
            loss = built(module, params, n_classes=n_classes, dim=dim)
            on = f"on {len(classes)} classes x {of_a_class} images of {dim} numbers {where}"
            on += " whose embeddings are all the same" if spread == 0 else ""
            on += f", of {n_classes} classes in all"
            inputs = embeddings.clone().requires_grad_()
            fault = _fault_of(loss, inputs, for_loss(inputs, module), labels.clone())
            if fault:
                yield f"{fault} {on}"
                return
            moved |= loss_learning.with_gradient(loss, moved)
            gradients = [
                each.grad for each in (inputs, *loss.parameters()) if each.grad is not None
            ]
            learns |= spread > 0 and any(bool(each.any()) for each in gradients)
    if not learns:
        yield "no batch gives a gradient: nothing would be trained; is there a detach or no_grad?"


def _fault_of(loss: nn.Module, inputs: Tensor, embeddings: Tensor, labels: Tensor) -> str | None:
    """What is wrong with a loss's value, its gradients, or what it does to what it is given.

    `embeddings` are computed from the leaf `inputs`, into which the gradient flows.
    """
    before = embeddings.detach().clone(), labels.clone(), dict(loss.named_parameters())
    try:
        value = value_of(loss, embeddings, labels)
    except RAISED as error:
        return f"forward fails ({type(error).__name__}: {error})"
    for name, given, was in (("embeddings", embeddings, before[0]), ("labels", labels, before[1])):
        if not torch.equal(given.detach(), was):
            return f"forward changes its {name} in place (let it change {name}.clone())"
    if not isinstance(value, Tensor):
        return f"forward gives {type(value).__name__}, not a tensor with one number,"
    if value.shape != ():
        return f"forward gives shape {list(value.shape)}, not one number (end with .mean()),"
    if not bool(torch.isfinite(value)):
        return f"the loss is {float(value.detach())}"
    now = dict(loss.named_parameters())
    if other := [name for name in {**before[2], **now} if now.get(name) is not before[2].get(name)]:
        return (
            f"forward makes {', '.join(other)} another nn.Parameter, which no optimiser trains "
            "(make it once, in __init__, and change its .data),"
        )
    if value.requires_grad:
        torch.autograd.backward(value)
    if any(
        each.grad is not None and not bool(torch.isfinite(each.grad).all())
        for each in (inputs, *loss.parameters())
    ):
        return "a gradient is NaN or infinite (a square root or a division at 0?)"
    return None


def _order(module: ModuleType) -> Iterator[str]:
    embeddings, labels = batch(module, 3)
    embeddings = for_loss(embeddings, module)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))
    first = value_of(built(module, {}), embeddings, labels)
    if not torch.equal(first, value_of(built(module, {}), embeddings, labels)):
        yield (
            "the same batch gives another value the second time, with the same seed of torch; does "
            "the loss draw otherwise, or change its inputs in place?"
        )
    elif not torch.allclose(
        first, value_of(built(module, {}), embeddings[order], labels[order]), rtol=1e-4, atol=1e-5
    ) and not re.search(r"\border\b[^.]*\bmatters?\b", module.__doc__ or ""):
        yield "the order of the batch changes the value; if so, say: the order of a batch matters"


def _labels(module: ModuleType) -> Iterator[str]:
    """Whether a loss that keeps something for each class finds it by the label.

    The same batch with the labels 3, 0, 2, 1 for 11, 2, 7, 5 must then concern other classes.
    """
    shapes = [
        {name: each.shape for name, each in built(module, {}, n_classes=n).state_dict().items()}
        for n in (N_CLASSES, N_CLASSES + 1)
    ]
    by_class = {name for name, shape in shapes[0].items() if shapes[1].get(name) != shape}
    embeddings, labels = batch(module, 3)
    ranks = torch.tensor(CLASSES).argsort().argsort()
    as_given, numbered_anew = (
        _effects(module, for_loss(embeddings, module), each, by_class)
        for each in (labels, ranks.repeat_interleave(3))
    )
    if any(bool(each.any()) for each in as_given[1:]) and all(
        map(torch.equal, as_given, numbered_anew)
    ):
        yield (
            f"labels that are numbered anew from 0 change nothing, though {', '.join(by_class)} "
            "holds something for each class: find it by the labels as they are, numbers in "
            "0..n_classes-1 (is there a torch.unique?)"
        )


def _effects(
    module: ModuleType, embeddings: Tensor, labels: Tensor, names: set[str]
) -> list[Tensor]:
    """The value of a batch; the gradients of these parameters; what it changed of this state."""
    loss = built(module, {})
    before = {name: each.clone() for name, each in loss.state_dict().items() if name in names}
    value: Any = value_of(loss, embeddings, labels)
    if value.requires_grad:
        torch.autograd.backward(value)
    after = loss.state_dict()
    gradients = [p.grad for name, p in loss.named_parameters() if name in names]
    return [
        value.detach(),
        *(each for each in gradients if each is not None),
        *(after[name] != each for name, each in before.items()),
        *(after[name] for name, each in before.items() if not torch.equal(after[name], each)),
    ]
