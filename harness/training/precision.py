"""What a device can do, and the study as it can compute it: tf32, bf16, torch.compile.

A study's `precision` is that of the trunk; pooling, head, loss and metrics are float32 or wider.
PyTorch by itself computes convolutions in TF32 on NVIDIA's GPUs since Ampere. So tf32 is what most
published numbers of these years were computed in, whether their papers say so or not.
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


def reduced_precisions(device: torch.device) -> tuple[Precision, ...]:
    """The precisions below float32 that the device computes in."""
    precisions: list[Precision] = []
    if has_tf32(device):
        precisions.append("tf32")
    if has_bf16(device):
        precisions.append("bf16")
    return tuple(precisions)


def set_tf32(*, in_convolutions: bool) -> None:
    """Let this process's convolutions be in TF32 or not; its matrix products never are.

    Each kind of operation is set by itself: `allow_tf32 = False` leaves a kind at "none", which
    follows a setting for all that a library or the environment may have made.
    """
    cudnn: Any = torch.backends.cudnn
    for operations in (cudnn.conv, cudnn.rnn):
        operations.fp32_precision = "tf32" if in_convolutions else "ieee"
    torch.backends.cuda.matmul.fp32_precision = "ieee"


def allow_tf32(study: Study, device: torch.device) -> None:
    """Let this process's convolutions be in TF32 if the study says so, and only then.

    A Problem if the device has none: the record would name a precision that nothing was computed
    in.
    """
    wanted = study.precision == "tf32"
    if wanted and not has_tf32(device):
        raise Problem(
            f"study {study.name!r} asks for tf32, which {device} of this machine has not; set "
            'precision to "fp32" or "bf16", or keep to nodes with NVIDIA GPUs since Ampere'
        )
    set_tf32(in_convolutions=wanted)


@functools.lru_cache(maxsize=8)
def why_no_compiler(device: torch.device) -> str | None:
    """Why torch.compile does not work for a device here, or None: it is tried on two numbers.

    It needs a C++ compiler for a CPU, Triton and a C compiler for a GPU; the try takes seconds.
    """

    def doubled(numbers: Tensor) -> Tensor:
        return numbers * 2

    try:
        torch.compile(doubled)(torch.ones(2, device=device))
    except Exception as error:  # its many parts raise many kinds; the reason is reported
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]}"
    return None


def adapt_to_device(study: Study, device: torch.device) -> tuple[Study, tuple[str, ...]]:
    """The study as the device can compute it, and a line for each field that this changes.

    A device without tf32 computes in fp32 instead, and so does one that would only emulate bf16,
    more slowly. Where nothing can be compiled, the trunk runs as it stands.
    """
    replacements = []
    for precision in sorted({"tf32", "bf16"} - set(reduced_precisions(device))):
        if _has(study, "precision", precision):
            study = _with(study, "precision", precision, "fp32")
            replacements.append(
                f"study {study.name!r} asks for {precision}, in which this {device.type} does not "
                "compute: fp32 is used instead, and every record and table says so"
            )
    if _has(study, "compile", True) and (why := why_no_compiler(device)) is not None:
        study = _with(study, "compile", True, False)
        replacements.append(
            f"study {study.name!r} asks for torch.compile, which does not work for this "
            f"{device.type} ({why}): the trunk runs as it stands instead, and every record says so"
        )
    return study, tuple(replacements)


def _has(study: Study, field: str, value: object) -> bool:
    """Whether a field has a value, for any dataset."""
    values = [getattr(study, field), *(fields.get(field) for fields in study.per_dataset.values())]
    return value in values


def _with(study: Study, field: str, value: object, replacement: object) -> Study:
    """The study with one value of a field replaced, for every dataset."""
    per_dataset = {
        name: {**fields, field: replacement} if fields.get(field) == value else fields
        for name, fields in study.per_dataset.items()
    }
    changes: dict[str, Any] = {"per_dataset": per_dataset}
    if getattr(study, field) == value:
        changes[field] = replacement
    return dataclasses.replace(study, **changes)
