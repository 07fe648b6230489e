"""What made a record: code, packages, device, and what its run was computed from."""

from __future__ import annotations

import os
from typing import Any

import torch

from harness.records import code, provenance
from harness.schema import Study
from harness.training import network

FEWER = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE")


def made_by(
    study: Study, fingerprint: str, device: torch.device, loss: str | None = None
) -> dict[str, Any]:
    """What a record says of its making: code, packages, device, and what it was computed from."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else provenance.processor()
    libraries = ["timm"] if study.trunk.startswith("timm:") else []
    codes = {"study_code": code.study_code(study.name)}
    codes["loss_code"] = None if loss is None else code.loss_code(loss)
    codes["trunk_code"] = code.trunk_code(study.trunk)
    kind = provenance.processor_kind() if device.type == "cpu" else None
    if kind is not None:  # variables of the environment can bid torch use fewer of its instructions
        kind += f"; torch {torch.backends.cpu.get_cpu_capability()}"
        kind += "".join(f", {name}={os.environ[name]}" for name in FEWER if name in os.environ)
    return {
        **provenance.code_version(),
        **{name: digest for name, digest in codes.items() if digest is not None},
        **({} if kind is None else {"processor": kind}),
        "versions": provenance.package_versions(*libraries),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        "precision": study.precision,
        "compile": study.compile,
        "fold_batch_norm": study.fold_batch_norm,
        "weights": network.weights_of(study),
        "dataset": fingerprint,
        "study": study.digest(),
    }
