"""A study as its trunk and its device can compute it, and what a user should know of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from harness.schema import Study
from harness.training import precision, trunks
from harness.training.folded_batch_norm import Folding
from harness.training.trunks import Trunk
from harness.training.trunks._outline import outline


def computable(
    study: Study, datasets: Sequence[str], device: torch.device | None
) -> tuple[Study, tuple[str, ...]]:
    """The study as its trunks and the device can compute it, and a line for each thing to know.

    `datasets` are those that it runs on. No device: that of a cluster's nodes, which check it
    themselves. A Problem as in adapt_to_trunk.
    """
    study, lines = adapt_to_trunk(study, datasets)
    if device is None:
        return study, lines
    study, replacements = precision.adapt_to_device(study, device)
    return study, (*lines, *replacements)


def adapt_to_trunk(study: Study, datasets: Sequence[str]) -> tuple[Study, tuple[str, ...]]:
    """The study as its trunks can compute it, and a line for each thing that a user should know.

    A trunk of tokens has no feature map, so it pools by itself in place of the study's pooling. One
    whose code cannot be traced keeps its BatchNorm in evaluation. A line also tells where a trunk
    was made for images of another size, or resized in another way. Fields of datasets that it does
    not run on stay as they are. A Problem where a trunk is not known, or takes no such crops.
    """
    lines: dict[str, None] = {}  # in order, each once
    per_dataset = dict(study.per_dataset)
    for dataset in datasets:
        resolved = study.for_dataset(dataset)
        differing = {
            name: value
            for name, value in _fields(resolved, lines).items()
            if value != getattr(resolved, name)
        }
        if differing:
            per_dataset[dataset] = {**per_dataset.get(dataset, {}), **differing}
    return dataclasses.replace(study, per_dataset=per_dataset), tuple(lines)


def _fields(study: Study, lines: dict[str, None]) -> dict[str, Any]:
    """Pooling and fold_batch_norm of a study of one dataset; adds lines on what its trunk needs."""
    fields: dict[str, Any] = {"pooling": study.pooling, "fold_batch_norm": study.fold_batch_norm}
    if study.on_features:
        return fields
    if study.pooling != "trunk" and not trunks.has_feature_map(study.trunk, study.crop):
        fields["pooling"] = "trunk"
        line = (
            f"trunk {study.trunk} gives tokens and no feature map, so it pools by itself: pooling "
            f'is "trunk" in place of the study\'s "{study.pooling}", and every record says so'
        )
        lines[line] = None
    trunk = trunks.load(study.trunk, pooling=fields["pooling"], crop=study.crop)
    if trunk.side is not None and (trunk.side, trunk.interpolation) != (study.crop, "bilinear"):
        line = (
            f"trunk {study.trunk} was made for images of {trunk.side} px, resized by "
            f"{trunk.interpolation} interpolation; here they are crops of {study.crop} px of "
            f"images resized to {study.resize} px by bilinear interpolation"
        )
        lines[line] = None
    if study.fold_batch_norm and (why := _why_not_folded(trunk)):
        fields["fold_batch_norm"] = False
        line = (
            f"trunk {study.trunk} cannot be folded in evaluation ({why}): it runs as it stands "
            "instead, and every record says so"
        )
        lines[line] = None
    return fields


def _why_not_folded(trunk: Trunk) -> str:
    """Why BatchNorm cannot be folded into the trunk's convolutions, or nothing."""
    module = outline(lambda: trunk.module(3))
    try:
        Folding(module)
    except Exception as error:  # torch.fx runs the trunk's code, which may do anything
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""
