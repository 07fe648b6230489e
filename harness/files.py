"""Where the checkout is, files written whole or not at all, and checksums of files."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]  # where `python -m harness` works


def checksum(path: Path, kind: str = "sha256") -> str:
    """A file's checksum of a kind that hashlib knows, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def meant_path(path: Path) -> str:
    """The question which path was meant, to stand behind `;`; nothing if it exists or none is near.

    Only the last part of the path may be misspelt.
    """
    try:
        names = [] if path.exists() else os.listdir(path.parent)
    except (OSError, ValueError):
        return ""
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f" did you mean {str(path.with_name(close[0]))!r}?" if close else ""


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary file beside `path` to write: it replaces `path` at the end, or goes on an error.

    `durable`: only once its bytes are on the disk, so that a power cut leaves the old file or the
    new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if durable:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
