"""Test embeddings that a fold's model leaves on disk for its ensemble, with whose they are."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.data import to_log
from harness.files import replacing
from harness.protocol.final import fold_runs
from harness.records import code, folder
from harness.schema import Diverged, Problem, Record, Run


def owner(run: Run, fingerprint: str, threads: int) -> str:
    """All that a fold's embeddings depend on, beside the program itself, in words."""
    parts = {
        "run": f"{run.study.digest()}/{run.dataset}/{run.loss}/{run.key}/{run.seed}",
        "params": dict(run.params),
        "code": code.run_code(run.study.base_of(run.loss), run.study.trunk),
        "dataset": fingerprint,
        "threads": threads,
    }
    return json.dumps(parts, sort_keys=True)


def of_folds(
    ensemble: Run,
    fingerprint: str,
    *,
    results: Path,
    threads: int,
    train_again: Callable[[Run], Record],
) -> list[Tensor]:
    """The test embeddings [n, D] of each fold's model, fold by fold.

    A fold whose embeddings were lost, or are not what it wrote, is trained again from its run,
    which gives the same ones. Diverged where that fails.
    """
    embedded = []
    for run in fold_runs(ensemble):
        path = folder.embeddings_path(results, run)
        belongs_to = owner(run, fingerprint, threads)
        rows, wrong = read(path, belongs_to)
        if rows is None:
            to_log(f"{path} {wrong}: fold {run.fold} is trained again")
            record = train_again(run)
            if record.failure is not None:
                raise Diverged(f"fold {run.fold} has no model: {record.failure}")
            rows, wrong = read(path, belongs_to)
        if rows is None:
            raise Problem(f"{path} {wrong} as soon as it is written; look at the disk")
        embedded.append(rows)
    return embedded


def write(path: Path, embedded: Tensor, belongs_to: str) -> None:
    """Write embeddings [n, D] whole or not at all; Problem where the disk does not take them."""
    rows = embedded.cpu().numpy()
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, embeddings=rows, owner=belongs_to, digest=_digest(rows))
    except OSError as error:
        raise Problem(
            f"{path} cannot be written ({error.strerror}); make room or mend that, then the same "
            "command carries on"
        ) from None


def read(path: Path, belongs_to: str) -> tuple[Tensor | None, str]:
    """Embeddings [n, D]; or None and why the file does not give those of this owner."""
    try:
        with np.load(path) as arrays:
            rows = arrays["embeddings"]
            stated, digest = str(arrays["owner"]), str(arrays["digest"])
    except FileNotFoundError:
        return None, "is not there"
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError):
        return None, "cannot be read"
    if stated != belongs_to:
        return None, "is of another run, code or dataset"
    is_embedding = rows.ndim == 2 and rows.dtype in (np.float32, np.float64)
    if not is_embedding or digest != _digest(rows):
        return None, "was changed after it was written"
    return torch.from_numpy(rows), ""


def _digest(rows: npt.NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()
