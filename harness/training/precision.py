"""What a device can do, and the study as it can compute it: tf32, bf16, torch.compile.

A study's `precision` is that of the trunk; pooling, head, loss and metrics are float32 or wider.
tf32 is what PyTorch does by itself to convolutions on an NVIDIA GPU since Ampere, so what most
published numbers of these years were computed in, whether their papers knew it or not.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor

from harness.schema import Precision, Problem, Study


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bf16 (Ampere and later; AVX512-BF16 or AMX)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def has_tf32(device: torch.device) -> bool:
    """Whether the device multiplies in TF32: NVIDIA's since Ampere."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def reduced(device: torch.device) -> tuple[Precision, ...]:
    """The precisions less than float32 that the device computes in."""
    told: list[Precision] = []
    if has_tf32(device):
        told.append("tf32")
    if has_bf16(device):
        told.append("bf16")
    return tuple(told)


def settle(study: Study, device: torch.device) -> None:
    """Let this process's convolutions be in TF32 if the study says so, and in nothing less if not.

    A Problem if the device has none: a record would name a precision in which nothing was computed.
    """
    wanted = study.precision == "tf32"
    if wanted and not has_tf32(device):
        raise Problem(
            f"study {study.name!r} asks for tf32, which {device} of this machine has not; set "
            'precision to "fp32" or "bf16", or keep to nodes with NVIDIA GPUs since Ampere'
        )
    torch.backends.cudnn.allow_tf32 = wanted


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

    A study in tf32 is one in fp32 on a device without it, and so is one in bf16 on a device that
    would only emulate it, more slowly; one that compiles its trunk does without where nothing can
    be compiled.
    """
    told = []
    for precision in sorted({"tf32", "bf16"} - set(reduced(device))):
        if _asks(study, "precision", precision):
            study = _everywhere(study, "precision", precision, "fp32")
            told.append(
                f"study {study.name!r} asks for {precision}, in which this {device.type} does not "
                "compute: fp32 is used instead, and every record and table says so"
            )
    if _asks(study, "compile", True) and (why := no_compiler(device)) is not None:
        study = _everywhere(study, "compile", True, False)
        told.append(
            f"study {study.name!r} asks for torch.compile, which does not work for this "
            f"{device.type} ({why}): the trunk runs as it stands instead, and every record says so"
        )
    return study, tuple(told)


def _asks(study: Study, field: str, value: object) -> bool:
    asked = [getattr(study, field), *(own.get(field) for own in study.per_dataset.values())]
    return value in asked


def _everywhere(study: Study, field: str, asked: object, instead: object) -> Study:
    """The study with another value of a field wherever it asks for one, for every dataset."""
    own = {
        name: {**changes, field: instead} if changes.get(field) == asked else changes
        for name, changes in study.per_dataset.items()
    }
    changed: dict[str, Any] = {"per_dataset": own}
    if getattr(study, field) == asked:
        changed[field] = instead
    return dataclasses.replace(study, **changed)
