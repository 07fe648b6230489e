"""Published weights of trunks: fetched once with their checksum into torch's usual cache, loaded.

A file under its final name is whole: a download goes to a temporary name and is renamed only when
its SHA-256 is right.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.client
import os
import pickle
import urllib.parse
import urllib.request
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from harness.schema import Problem

CHUNK = 1 << 20  # bytes
TIMEOUT = 60  # seconds without an answer or a byte


@dataclass(frozen=True)
class Checkpoint:
    """A published file of weights: where it is and its SHA-256 in hex digits."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, the last part of its address."""
        return Path(urllib.parse.urlparse(self.url).path).name

    @property
    def path(self) -> Path:
        """Where the file lies once fetched: torch.hub's checkpoints (TORCH_HOME moves it)."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.name


def checksum(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(checkpoint: Checkpoint) -> Path:
    """The checkpoint's whole file in torch's cache, downloaded if it is not there.

    A Problem names the file, its checksum and where to put it, when there is no network, the
    server answers with an error or something else, or the cache cannot be written.
    """
    path = checkpoint.path
    wanted = f"put {checkpoint.name} (SHA-256 {checkpoint.sha256}) at {path}"
    if path.exists():
        if (digest := checksum(path)) != checkpoint.sha256:
            raise Problem(f"{path} has SHA-256 {digest}, a wrong file; remove it and {wanted}")
        return path
    # unlike any other worker's that fetches the same file at the same time
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            digest = _download(checkpoint.url, file)
        if digest != checkpoint.sha256:
            raise Problem(f"{checkpoint.url} gave another file (SHA-256 {digest}); {wanted}")
        partial.replace(path)
    except (OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise Problem(f"cannot fetch {checkpoint.url} ({reason}); {wanted}") from error
    finally:
        with contextlib.suppress(OSError):  # not even its folder may exist
            partial.unlink()
    return path


def _download(url: str, file: BinaryIO) -> str:
    """Write what `url` gives into an open file; its SHA-256. A short answer is an OSError."""
    digest, length = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        while chunk := answer.read(CHUNK):
            digest.update(chunk)
            length += file.write(chunk)
        promised = answer.headers.get("Content-Length")
    if promised is not None and int(promised) != length:
        raise OSError(f"the connection ended after {length} of {promised} bytes")
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()


def load(trunk: nn.Module, path: Path, *, unused: tuple[str, ...] = ()) -> None:
    """Put the state_dict in `path` into `trunk`, in place.

    Keys that start with one of `unused` (a classifier's) are left out. Vectors may carry a leading
    axis of 1 and counters of batches may be missing, as in checkpoints of early torch versions.
    Any other difference of keys or shapes is a Problem.
    """
    state = read(path)
    wanted = trunk.state_dict()
    state_by_name: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith(unused):
            continue
        fits = key in wanted and value.ndim == wanted[key].ndim + 1 and value.shape[0] == 1
        state_by_name[key] = value.squeeze(0) if fits else value
    for key in wanted:
        if key.endswith("num_batches_tracked"):
            state_by_name.setdefault(key, wanted[key])
    wrong = [f"{key} is missing" for key in wanted if key not in state_by_name]
    wrong += [f"{key} is not expected" for key in state_by_name if key not in wanted]
    wrong += [
        f"{key} is {list(state_by_name[key].shape)}, expected {list(value.shape)}"
        for key, value in wanted.items()
        if key in state_by_name and state_by_name[key].shape != value.shape
    ]
    if wrong:
        raise Problem(
            f"{path} does not fit the trunk {type(trunk).__name__}: {wrong[0]} "
            f"({len(wrong)} differences); give the trunk's own checkpoint as the study's weights"
        )
    trunk.load_state_dict(state_by_name)


def read(path: Path) -> dict[str, Tensor]:
    """The state_dict saved in a file, on the CPU; a Problem if it is none."""
    if not path.is_file():
        raise Problem(
            f'weights = "{path}": no such file; give "imagenet", "none" or the path of a '
            "state_dict saved by torch"
        )
    state: object = None
    with contextlib.suppress(
        RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, UnicodeDecodeError
    ):
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(item, Tensor) for item in state.values()):
        raise Problem(f"{path} holds no state_dict of tensors; save one with torch.save")
    return state


@functools.lru_cache(maxsize=4)
def identity(weights: str) -> str:
    """What a study's `weights` are, for the record: a file's checksum beside its path."""
    if weights in ("imagenet", "none"):
        return weights
    return f"{weights} (sha256 {checksum(Path(weights).expanduser())})"
