"""What a device can do, and the study as it can compute it: bf16, torch.compile."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.schema import Study


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bf16 (Ampere and later; AVX512-BF16 or AMX)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@functools.lru_cache(maxsize=8)
def no_compiler(device: torch.device) -> str | None:
    """Why torch.compile does not work for a device here, or None: it is tried on two numbers.

    It needs a C++ compiler for a CPU, Triton and a C compiler for a GPU; the try takes seconds.
    """

    def doubled(numbers: Tensor) -> Tensor:
        return numbers * 2

    try:
        torch.compile(doubled)(torch.ones(2, device=device))
    except Exception as error:  # whatever its many parts raise, the reason is told
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]}"
    return None


def within_reach(study: Study, device: torch.device) -> tuple[Study, tuple[str, ...]]:
    """The study as the device can compute it, and what that changes, in words, a line each.

    A study in bf16 is one in fp32 on a device that would only emulate bf16, more slowly; one that
    compiles its trunk does without where nothing can be compiled.
    """
    told = []
    if _asks(study, "precision", "bf16") and not has_bf16(device):
        study = _everywhere(study, "precision", "fp32")
        told.append(
            f"study {study.name!r} asks for bf16, in which this {device.type} does not compute: "
            "fp32 is used instead, and every record and table says so"
        )
    if _asks(study, "compile", True) and (why := no_compiler(device)) is not None:
        study = _everywhere(study, "compile", False)
        told.append(
            f"study {study.name!r} asks for torch.compile, which does not work for this "
            f"{device.type} ({why}): the trunk runs as it stands instead, and every record says so"
        )
    return study, tuple(told)


def _asks(study: Study, field: str, value: object) -> bool:
    asked = [getattr(study, field), *(own.get(field) for own in study.per_dataset.values())]
    return value in asked


def _everywhere(study: Study, field: str, value: object) -> Study:
    """The study with a field at one value for every dataset."""
    own = {
        name: {**changes, field: value} if field in changes else changes
        for name, changes in study.per_dataset.items()
    }
    changed: Mapping[str, Any] = {field: value, "per_dataset": own}
    return dataclasses.replace(study, **changed)
