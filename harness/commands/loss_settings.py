"""Check what a study fixes, ranges and varies of its losses against the losses themselves."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from harness.commands import options as shared
from harness.protocol import ranges, search
from harness.schema import Problem, Study, fits
from harness.training.loss_files import declared

SIZES = {"n_classes": 12, "dim": 16}  # of the losses that are built for the check


def check(study: Study) -> None:
    """Problem where loss_params, loss_ranges or variants name no loss, parameter or allowed value.

    The study's own values and those of each dataset that changes them. Allowed is what the loss's
    constructor takes, with its other parameters at their defaults.
    """
    for resolved in (study, *map(study.for_dataset, study.per_dataset)):
        for loss in dict.fromkeys([*resolved.loss_params, *resolved.loss_ranges]):
            where = f"loss (in loss_params or loss_ranges of the study {study.name!r})"
            shared.known(where, loss, [*shared.names_in("losses"), *resolved.variants])
            if loss not in resolved.variants:
                _check_loss(resolved, loss, declared(loss))
        for name in resolved.variants:
            _check_variant(resolved, name)


def _check_variant(study: Study, name: str) -> None:
    """Problem where a variant has the name of a loss, or is of no loss, or of wrong params."""
    losses, base = shared.names_in("losses"), study.base_of(name)
    if name in losses:
        raise Problem(
            f"study {study.name!r}: variants[{name!r}] has the name of losses/{name}.py; rename it"
        )
    shared.known(f"loss (of variants[{name!r}] of the study {study.name!r})", base, losses)
    _check_loss(study.for_loss(name), name, declared(base))


def _check_loss(study: Study, loss: str, module: ModuleType) -> None:
    norm = max(module.REFERENCE_NORM.values(), default=1.0)
    space = search.space_of(study, module, norm, loss)
    hints = typing.get_type_hints(module.Loss.__init__)
    fixed = study.loss_params.get(loss, {})
    for param, value in fixed.items():
        setting = f"loss_params[{loss!r}][{param!r}] = {value!r}"
        if not fits(value, hints[param]):
            raise Problem(
                f"study {study.name!r}: {setting} is not of the type "
                f"{getattr(hints[param], '__name__', hints[param])}; correct it in the study's file"
            )
        _build(study, module, setting, {param: value})
    _build(study, module, f"loss_params[{loss!r}]", fixed)
    for param, bounds in study.loss_ranges.get(loss, {}).items():
        if param in module.SPACE and param in space:
            for bound in bounds:
                setting = f"loss_ranges[{loss!r}][{param!r}] = {bounds!r}"
                _build(study, module, setting, {**fixed, param: bound})
        elif param.startswith(ranges.FOLLOWUP) and param not in space and study.followup:
            raise Problem(
                f"study {study.name!r}: loss_ranges[{loss!r}] has {param!r}, whose parameter "
                "loss_params fixes; leave it out of one"
            )


def _build(study: Study, module: ModuleType, setting: str, params: Mapping[str, Any]) -> None:
    """Problem where the loss's constructor refuses params. It draws from a generator of its own."""
    import torch

    with torch.random.fork_rng(devices=[]):
        try:
            module.Loss(**SIZES, **params)
        except (Exception, SystemExit) as error:  # it is a program, which may raise anything
            refusal = isinstance(error, TypeError | ValueError)
            reason = str(error) if refusal else f"Loss raises {type(error).__name__}: {error}"
            raise Problem(
                f"study {study.name!r}: {setting}, but {reason}; correct it in the study's file"
            ) from None
