"""What a loss file breaks of the contract of losses/__init__.py, in sentences for its author.

The harness gives a loss what it promises there: embeddings [B, D] in float32 with autocast off,
labels 0..n_classes-1, at least two classes of MIN_IMAGES_PER_CLASS images each. A loss need not
check that again. Embeddings that are not finite end the run before the loss's value counts.
"""

from __future__ import annotations

import inspect
import math
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from harness.protocol.ranges import FOLLOWUP
from harness.protocol.search import loss_params
from harness.training import loss_declarations as declarations
from harness.training.embeddings import for_loss, unit_length

N_CLASSES, DIM, IMAGES = 12, 16, 4
RAW_NORM = 64.0  # mean initial norm of raw embeddings over ResNet50, for ranges without a reference
STEPS, ENOUGH = 200, 0.9  # of Adam; the precision at 1 that they must reach from under 0.6
SPREADS = (3, 10)
BATCHES = 3  # before a loss is saved, and again after it was restored
DOING = {  # what a check does with the loss, in words
    "states": "when it is built",
    "values": "when its value or its gradient is computed (does it change its inputs in place?)",
    "order": "when the same batch comes in another order",
    "restored": "when its state_dict is loaded into a new one, as an interrupted run does",
    "followup": "when the follow-up phase begins",
    "learning": "when it is trained (groups(), if there is one, gives {'params': [...], "
    "'lr_factor': 1.0} for each)",
}
RATES = ((0.1, 0.001), (0.02, 0.02), (0.02, 0.2), (0.1, 0.1))  # of embeddings, of the loss's own


def shortfalls(module: ModuleType) -> list[str]:
    """What the file breaks, each with what to do; nothing if it keeps the contract.

    What stands later is only looked at if what stands earlier is whole: a loss that cannot be built
    is not trained.
    """
    for parts in (
        (declarations.constants, declarations.docstring),
        (declarations.constructor, declarations.ranges),
        *((part,) for part in (_states, _values, _order, _restored, _followup)),
    ):
        lines = [line for part in parts for line in _guarded(part, module)]
        if lines:
            return lines
    return list(_guarded(_learning, module))


def _guarded(part: Callable[[ModuleType], Iterator[str]], module: ModuleType) -> Iterator[str]:
    """What a part finds; where the loss raises what the part did not expect, that is found too."""
    try:
        yield from part(module)
    except Exception as error:  # a loss is a program, which may raise anything
        raised = traceback.extract_tb(error.__traceback__)[-1]
        doing = part.__name__.removeprefix("_")
        yield (
            f"{type(error).__name__}: {error} ({Path(raised.filename).name}:{raised.lineno}), "
            f"{DOING.get(doing, doing)}"
        )


def _states(module: ModuleType) -> Iterator[str]:
    for where, params in _points(module):
        try:
            loss = _built(module, params)
        except Exception as error:
            yield f"Loss cannot be built {where}: {type(error).__name__}: {error}"
            continue
        if bool(list(loss.parameters())) is not module.OWN_PARAMETERS:
            has = "no parameters" if module.OWN_PARAMETERS else "parameters of its own"
            yield (
                f"OWN_PARAMETERS = {module.OWN_PARAMETERS}, but Loss has {has} "
                "(nn.Parameter in __init__)"
            )
            return


def _values(module: ModuleType) -> Iterator[str]:
    moved = False
    for classes, images, spread in (
        (4, 3, 1.0),
        (2, module.MIN_IMAGES_PER_CLASS, 1.0),
        (4, 3, 0.0),
    ):
        embeddings, labels = _batch(module, classes, max(images, 1), spread)
        for where, params in _points(module):
            loss = _built(module, params)
            on = f"on {classes} classes x {images} images {where}"
            on += " whose embeddings are all the same" if spread == 0 else ""
            inputs = embeddings.clone().requires_grad_()
            try:
                value = _value(loss, for_loss(inputs, module), labels)
            except Exception as error:
                yield f"forward fails {on}: {type(error).__name__}: {error}"
                return
            fault = _fault_of(value, [inputs, *loss.parameters()])
            if fault:
                yield f"{fault} {on}"
                return
            gradients = [
                each.grad for each in (inputs, *loss.parameters()) if each.grad is not None
            ]
            moved |= spread > 0 and any(bool(each.any()) for each in gradients)
    if not moved:
        yield "no batch gives a gradient: nothing would be trained; is there a detach or no_grad?"


def _fault_of(value: Any, inputs: list[Tensor]) -> str | None:
    """What is wrong with a loss's value or, after its backward pass, with the gradients."""
    if not isinstance(value, Tensor):
        return f"forward gives {type(value).__name__}, not a tensor with one number,"
    if value.shape != ():
        return f"forward gives shape {list(value.shape)}, not one number (end with .mean()),"
    if not bool(torch.isfinite(value)):
        return f"the loss is {float(value.detach())}"
    if value.requires_grad:
        torch.autograd.backward(value)
    if any(each.grad is not None and not bool(torch.isfinite(each.grad).all()) for each in inputs):
        return "a gradient is NaN or infinite (a square root or a division at 0?)"
    return None


def _order(module: ModuleType) -> Iterator[str]:
    embeddings, labels = _batch(module, 4, 3, 1.0)
    embeddings = for_loss(embeddings, module)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))
    first = _value(_built(module, {}), embeddings, labels)
    if not torch.equal(first, _value(_built(module, {}), embeddings, labels)):
        yield (
            "the same batch gives another value the second time, with the same seed of torch; does "
            "the loss draw otherwise, or change its inputs in place?"
        )
    elif not torch.allclose(
        first, _value(_built(module, {}), embeddings[order], labels[order]), rtol=1e-4, atol=1e-5
    ) and not re.search(r"\border\b[^.]*\bmatters?\b", module.__doc__ or ""):
        yield "the order of the batch changes the value; if so, say: the order of a batch matters"


def _restored(module: ModuleType) -> Iterator[str]:
    """Whether a loss goes on from its state_dict as it would have gone on itself."""
    embeddings, labels = _batch(module, 4, 3, 1.0)
    generator = torch.Generator().manual_seed(6)
    batches = [
        for_loss(embeddings[torch.randperm(len(labels), generator=generator)], module)
        for _ in range(2 * BATCHES)
    ]
    loss = _built(module, {})
    for batch in batches[:BATCHES]:
        _value(loss, batch, labels)
    restored = _built(module, {})
    restored.load_state_dict(loss.state_dict())
    for batch in batches[BATCHES:]:
        if not torch.equal(_value(loss, batch, labels), _value(restored, batch, labels)):
            yield (
                f"after {BATCHES} batches a new loss that is given the state_dict has other "
                "values, so an interrupted run would end with other numbers: keep what changes "
                "from batch to batch in buffers (self.register_buffer in __init__), counters too"
            )
            return


def _followup(module: ModuleType) -> Iterator[str]:
    embeddings, labels = _batch(module, 4, 3, 1.0)
    start = _defaults(module) | {name: _at(space, 0.5) for name, space in module.SPACE.items()}
    ratios = {name: _at(space, 0.5) for name, space in module.FOLLOWUP.items()}
    first = _built(module, start)
    try:
        changed = {f"{FOLLOWUP}{name}": value for name, value in ratios.items()}
        second = _built(module, loss_params({}, start | changed)[1])
        second.load_state_dict(first.state_dict())
        value = _value(second, for_loss(embeddings, module), labels)
    except Exception as error:
        yield f"the follow-up phase cannot begin: {type(error).__name__}: {error}"
        return
    if not bool(torch.isfinite(value)):
        yield f"the loss is {float(value)} at the start of the follow-up phase"


def _learning(module: ModuleType) -> Iterator[str]:
    """Whether some pair of learning rates separates four classes, and then holds each together."""
    labels = torch.arange(4).repeat_interleave(12)
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(48, DIM, generator=generator)
    start = unit_length(start + 0.4 * torch.randn(4, DIM, generator=generator)[labels])
    reached = []
    for rates in RATES:
        loss, embeddings = _trained(module, start, labels, *rates)
        if embeddings is None:
            reached.append(0.0)
            continue
        reached.append(_precision_at_1(module, embeddings, labels))
        if reached[-1] >= ENOUGH:
            yield from _apart(module, loss, embeddings, labels)
            return
    yield (
        f"{STEPS} steps of Adam bring the precision at 1 of four easy classes to "
        f"{100 * max(reached):.0f} % at best ({100 * ENOUGH:.0f} % is asked, at one of "
        f"{len(RATES)} pairs of learning rates); is the sign right?"
    )


def _trained(
    module: ModuleType, start: Tensor, labels: Tensor, lr: float, loss_lr: float
) -> tuple[nn.Module, Tensor | None]:
    """The loss and the vectors after Adam's steps; None where the loss stopped being finite."""
    scale, loss = _scale(module), _built(module, {}, n_classes=4)
    embeddings = (scale * start).requires_grad_()
    groups: list[dict[str, Any]] = [{"params": [embeddings], "lr": lr * scale}]
    own_groups = getattr(loss, "groups", None)
    if callable(own_groups):
        for group in own_groups():
            groups.append({"params": group["params"], "lr": loss_lr * group["lr_factor"]})
    elif module.OWN_PARAMETERS:
        groups.append({"params": list(loss.parameters()), "lr": loss_lr})
    optimiser = torch.optim.Adam(groups)
    generator = torch.Generator().manual_seed(4)
    for _ in range(STEPS):
        images = torch.rand(4, 12, generator=generator).argsort(1)[:, :IMAGES]
        batch = (images + 12 * torch.arange(4)[:, None]).flatten()
        optimiser.zero_grad()
        value = loss(for_loss(embeddings[batch], module), labels[batch])
        if not bool(torch.isfinite(value)):
            return loss, None
        if value.requires_grad:
            torch.autograd.backward(value)
        optimiser.step()
    return loss, embeddings.detach()


def _precision_at_1(module: ModuleType, embeddings: Tensor, labels: Tensor) -> float:
    ended = unit_length(embeddings) if module.RETRIEVAL == "cosine" else embeddings
    nearest = torch.cdist(ended, ended).fill_diagonal_(math.inf).argmin(1)
    return float((labels[nearest] == labels).float().mean())


def _apart(
    module: ModuleType, loss: nn.Module, embeddings: Tensor, labels: Tensor
) -> Iterator[str]:
    """Whether the trained loss does not mind that every class is spread more widely."""
    centres = torch.stack([embeddings[labels == label].mean(0) for label in range(4)])[labels]
    with torch.no_grad():
        before, *after = (
            float(_value(loss, for_loss(centres + wider * (embeddings - centres), module), labels))
            for wider in (1, *SPREADS)
        )
    if max(after) <= before:
        times = " or ".join(map(str, SPREADS))
        yield (
            f"four separated classes get no larger loss when each is spread {times} times as "
            f"widely: {before:.4g}, then {' and '.join(f'{value:.4g}' for value in after)}; is the "
            "sign of the term that pulls a class together right?"
        )


def _points(module: ModuleType) -> list[tuple[str, dict[str, Any]]]:
    """Where in the space a loss is tried: its defaults, and all ranges at one end, or the other."""
    ends = (
        ("with every parameter at the low end", 0.0),
        ("with every parameter at the high end", 1.0),
    )
    return [("with its defaults", {})] + [
        (where, {name: _at(space, share) for name, space in module.SPACE.items()})
        for where, share in (ends if module.SPACE else ())
    ]


def _at(space: Any, share: float) -> Any:
    """The value of a distribution at a share of its range, 0 to 1, on its own scale."""
    if isinstance(space, CategoricalDistribution):
        return space.choices[round(share * (len(space.choices) - 1))]
    low, high = float(space.low), float(space.high)
    if space.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    value = min(max(value, low), high)
    return round(value) if isinstance(space, IntDistribution) else value


def _defaults(module: ModuleType) -> dict[str, Any]:
    parameters = inspect.signature(module.Loss).parameters
    return {k: p.default for k, p in parameters.items() if k not in ("n_classes", "dim")}


def _built(module: ModuleType, params: Mapping[str, Any], n_classes: int = N_CLASSES) -> nn.Module:
    torch.manual_seed(0)
    build: Callable[..., nn.Module] = module.Loss
    return build(n_classes=n_classes, dim=DIM, **params)


def _scale(module: ModuleType) -> float:
    """The norm of embeddings that the loss's ranges are meant for."""
    if module.EMBEDDING == "unit":
        return 1.0
    return float(max(module.REFERENCE_NORM.values(), default=RAW_NORM))


def _batch(module: ModuleType, classes: int, images: int, spread: float) -> tuple[Tensor, Tensor]:
    """Embeddings and labels, class after class; `spread` 0 makes all embeddings the same."""
    labels = torch.arange(classes).repeat_interleave(images)
    embeddings = torch.randn(len(labels), DIM, generator=torch.Generator().manual_seed(3))
    embeddings = embeddings[:1] + spread * (embeddings - embeddings[:1])
    return _scale(module) * unit_length(embeddings), labels


def _value(loss: nn.Module, embeddings: Tensor, labels: Tensor) -> Any:
    torch.manual_seed(1)
    return loss(embeddings, labels)
