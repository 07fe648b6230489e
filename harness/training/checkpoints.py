"""A training's state on disk: written whole or not at all, read back only by the run that wrote it.

A run that goes on from it, after whichever epoch, ends with the same result bit for bit.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from harness.files import replacing
from harness.schema import Problem
from harness.training.state import Best, State
from harness.training.train import Training, enter

FORMAT = 4


def _owner(training: Training, origin: str) -> str:
    """What a checkpoint belongs to: run, origin, kind of device, whose random numbers it holds."""
    run, kind = training.run, training.device.type
    return f"{run.study.digest()}/{run.dataset}/{run.loss}/{run.key}/{run.seed} {kind} {origin}"


def write(path: Path, training: Training, seconds: float, origin: str = "") -> None:
    """Keep a training between two epochs at `path`; `seconds` is what it took so far.

    `origin` says what else the training depends on, beside its run: its code and its data. Problem
    where the disk does not take it.
    """
    assert training.models is not None
    content = {
        "format": FORMAT,
        "owner": _owner(training, origin),
        "params": dict(training.run.params),
        "state": asdict(training.state),
        "models": training.models.copy_state(),
        "best_models": training.best_models,
        "seconds": seconds,
        "numpy": training.rng.bit_generator.state,
        "torch": torch.get_rng_state(),
        # of the run's own device alone: it may go on with another one of its kind
        "cuda": torch.cuda.get_rng_state(training.device) if training.on_gpu else None,
    }
    try:
        with replacing(path) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:  # torch has a RuntimeError for a full disk
        reason = str(error).splitlines()[0]
        raise Problem(
            f"checkpoint {path} cannot be written ({reason}); make room or mend that, then the "
            "same command carries on"
        ) from None


def resume(path: Path, training: Training, origin: str = "") -> float:
    """Bring a training that has just started to where `path` left it; the seconds it took so far.

    Nothing happens, and the seconds are 0, where there is no file, where it cannot be read, or
    where another run wrote it, or one of another origin or on another kind of device.
    """
    content = _read(path, training, origin)
    if content is None or training.models is None:
        return 0.0
    fields = content["state"]
    best = {phase: Best(**values) for phase, values in fields["best"].items()}
    state = State(**(fields | {"best": best}))
    if state.phase != training.state.phase:
        enter(training, state.phase)
    training.state, training.best_models = state, content["best_models"]
    training.models.load_state(content["models"])
    training.rng.bit_generator.state = content["numpy"]
    torch.set_rng_state(content["torch"])
    if content["cuda"] is not None:
        torch.cuda.set_rng_state(content["cuda"], training.device)
    return float(content["seconds"])


def _read(path: Path, training: Training, origin: str) -> dict[str, Any] | None:
    """What `write` kept; None where there is no file, or none of this run that can be read."""
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged file makes torch raise anything: the run then starts afresh
        return None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return None
    params = dict(training.run.params)
    if content["owner"] != _owner(training, origin) or content["params"] != params:
        return None
    return content
