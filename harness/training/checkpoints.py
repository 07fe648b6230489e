"""A run's state on disk: written whole or not at all, read back only by the run that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.files import replacing
from harness.schema import Run


def _owner(run: Run) -> str:
    return f"{run.study.digest()}/{run.dataset}/{run.loss}/{run.key}/{run.seed}"


def write(path: Path, run: Run, parts: Mapping[str, Any], rng: np.random.Generator) -> None:
    """Keep `parts` (states of tensors and plain values) and all generators' states at `path`."""
    saved = {
        **parts,
        "owner": _owner(run),
        "params": dict(run.params),
        "numpy": rng.bit_generator.state,
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    with replacing(path) as temporary:
        torch.save(saved, temporary)


def read(path: Path, run: Run) -> dict[str, Any] | None:
    """What `write` kept, or None where there is nothing, or another run's or an unreadable file."""
    if not path.exists():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whatever a damaged file makes torch raise: the run then starts afresh
        return None
    if saved.get("owner") != _owner(run) or saved["params"] != dict(run.params):
        return None
    return saved


def restore_randomness(saved: Mapping[str, Any], rng: np.random.Generator) -> None:
    """Set numpy's generator and torch's global ones to where they were when `saved` was written."""
    rng.bit_generator.state = saved["numpy"]
    torch.set_rng_state(saved["torch"])
    if saved["cuda"]:
        torch.cuda.set_rng_state_all(saved["cuda"])
